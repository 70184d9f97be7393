"""Pooling: one vector for each row from the outputs of an encoder, as small objects that a task holds.

Each names the `outputs` of an encoder that it needs, so that the encoder computes only these.
"""

from dataclasses import dataclass
from typing import ClassVar

from keras import ops

from tfkor.layers.inputs import Batch, Tensor


@dataclass(frozen=True)
class First:
    """The encoder's pooled output [B, H], of its first token, as BERT has it (Devlin et al. 2019, section 4.1)."""

    name: ClassVar[str] = "first"
    outputs: ClassVar[tuple[str, ...]] = ("pooled_output",)

    def __call__(self, outputs: Batch, mask: Tensor) -> Tensor:
        return outputs["pooled_output"]


@dataclass(frozen=True)
class Max:
    """The largest of each feature over the tokens of a row [B, H]; learns faster where nothing is pretrained."""

    name: ClassVar[str] = "max"
    outputs: ClassVar[tuple[str, ...]] = ("sequence_output",)

    def __call__(self, outputs: Batch, mask: Tensor) -> Tensor:
        return max_over_tokens(outputs["sequence_output"], mask)


@dataclass(frozen=True)
class Mean:
    """The mean of each feature over the tokens of a row [B, H] (Reimers and Gurevych 2019, section 3)."""

    name: ClassVar[str] = "mean"
    outputs: ClassVar[tuple[str, ...]] = ("sequence_output",)

    def __call__(self, outputs: Batch, mask: Tensor) -> Tensor:
        return mean_over_tokens(outputs["sequence_output"], mask)


Pooling = First | Max | Mean
POOLINGS = {kind.name: kind for kind in (First, Max, Mean)}


def get_pooling(pooling: str | Pooling) -> Pooling:
    """ "mean" -> Mean(); an object is returned as it is.

    Raises:
      ValueError: no such pooling.
    """
    if isinstance(pooling, tuple(POOLINGS.values())):
        return pooling
    if pooling not in POOLINGS:
        raise ValueError(f"pooling is {pooling!r}; expected one of {list(POOLINGS)}")
    return POOLINGS[pooling]()


def max_over_tokens(x: Tensor, mask: Tensor) -> Tensor:
    """x [B, S, H], mask int [B, S] -> the largest of each feature at a token [B, H]."""
    return ops.max(x - 1e4 * (1 - ops.cast(mask, x.dtype)[..., None]), axis=1)


def mean_over_tokens(x: Tensor, mask: Tensor) -> Tensor:
    """x [B, S, H], mask int [B, S] -> the mean of each feature over the tokens [B, H]."""
    weight = ops.cast(mask, x.dtype)[..., None]
    return ops.sum(x * weight, axis=1) / ops.maximum(ops.sum(weight, axis=1), 1)
