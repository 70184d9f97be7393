"""The strategies by name, and what a training needs to know of its devices.

Data parallel: each replica computes its part of the global batch, and gradients are added up. A batch whose weights sum
to 1 (tfkor.pretraining) then has the loss, and gives the update, that one device would compute.
"""

import contextlib
import importlib

TENSORFLOW_ONLY = ("mirrored", "multi_worker", "parameter_server", "tpu")
JAX_ONLY = ("data_parallel", "model_parallel")
STRATEGIES = ("one", *TENSORFLOW_ONLY, *JAX_ONLY)


class Devices:
    """What a training needs to know of its devices.

    Attributes:
      strategy: the tf.distribute.Strategy, or None; for TrainStep.
      replicas: how many parts the global batch is cut into; its size must be a multiple.
      chief: whether this process writes logs and checkpoints.
    """

    def __init__(self, strategy=None, replicas: int = 1, chief: bool = True):
        self.strategy, self.replicas, self.chief = strategy, replicas, chief

    @contextlib.contextmanager
    def scope(self):
        """Models and optimizers are made inside."""
        with self.strategy.scope() if self.strategy else contextlib.nullcontext():
            yield


def make_devices(name: str = "one", model_axis: int = 2) -> Devices:
    """Returns the Devices of a strategy.

    Args:
      name: "one"; on the TensorFlow backend "mirrored" (the GPUs of one machine, or logical devices), "multi_worker",
        "parameter_server" (TF_CONFIG says who is who) and "tpu"; on the JAX backend "data_parallel" and
        "model_parallel", in one process, or in several, where KERAS_DISTRIBUTION_JOB_ADDRESSES, _NUM_PROCESSES and
        _PROCESS_ID say so. A worker or a parameter server of "parameter_server" serves, and never returns.
      model_axis: for model_parallel, over how many devices each layer is cut.

    Raises:
      ValueError: no such strategy, not for this backend, too few devices, no TPU, or variables of the environment that
        say something else.
    """
    if name not in STRATEGIES:
        raise ValueError(f"strategy is {name!r}; expected one of {', '.join(STRATEGIES)}")
    import keras

    backend = keras.backend.backend()
    wanted = "tensorflow" if name in TENSORFLOW_ONLY else "jax" if name in JAX_ONLY else backend
    if backend != wanted:
        raise ValueError(f"strategy is {name!r}, the backend {backend}; expected KERAS_BACKEND={wanted}")
    if name == "one":
        return Devices()
    make = getattr(importlib.import_module(f"tfkor.training.devices.{wanted}"), name)
    return Devices(*make(model_axis)) if name == "model_parallel" else Devices(*make())
