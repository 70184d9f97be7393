"""The blocks of an encoder as functions that compute the same in less time or less memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras

from tfkor.layers.fast.recompute import recomputed
from tfkor.layers.inputs import Tensor


def fast_blocks(
    blocks: Iterable,
    training: bool = False,
    gradient_checkpointing: bool = False,
    attentions: bool = True,
    first_only: bool = False,
) -> Iterator[Callable]:
    """Yields for each block a function of (x [B, S, H], *context) that gives what the block gives: (x, probabilities).

    Args:
      blocks: layers with the call of `TransformerBlock`, in order.
      gradient_checkpointing: the activations inside each block are computed again in the backward pass instead of being
        kept (Chen et al. 2016). The probabilities are then None, unless `attentions` is True.
      first_only: the last block computes the first position only, x [B, 1, H]: all that a pooler needs.
    """
    blocks = list(blocks)
    for number, block in enumerate(blocks):
        if first_only and number == len(blocks) - 1:
            yield lambda x, *context, block=block: block(x, *context, queries=x[:, :1], training=training)
        elif gradient_checkpointing:
            yield lambda x, *context, block=block: checkpointed(block, x, context, training, attentions)
        else:
            yield lambda x, *context, block=block: block(x, *context, training=training)


def checkpointed(block: Any, x: Tensor, context: tuple, training: bool, attentions: bool) -> tuple:
    seeds = block.draw_seeds() if training else None  # drawn outside, so that both computations drop the same values
    if attentions:
        return keras.remat(lambda x, *context: block(x, *context, seeds=seeds, training=training))(x, *context)
    return recomputed(block, x, context, seeds, training), None
