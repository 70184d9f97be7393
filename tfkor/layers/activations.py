"""Activations by their names in published configs."""

from collections.abc import Callable

from keras import ops

from tfkor.layers.fast.gradients import gelu
from tfkor.layers.inputs import Tensor


def gelu_new(x: Tensor) -> Tensor:
    """The tanh approximation of gelu, as google-research/albert, electra and GPT-2 use it."""
    return ops.gelu(x, approximate=True)


ACTIVATIONS = {"gelu": gelu, "gelu_new": gelu_new, "relu": ops.relu}


def activation_function(name: str) -> Callable:
    """Returns the activation of that name in a published config ("gelu", "gelu_new", "relu").

    Raises:
      ValueError: no such activation.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"hidden_act is {name!r}; expected one of {sorted(ACTIVATIONS)}")
    return ACTIVATIONS[name]
