"""Code for speed and memory alone: it computes the same as the plain formulas in `tfkor.layers`.

Gradients written out (`gradients`), blocks computed again in the backward pass (`recompute`), one position instead of
all in the last block (`blocks`). Readers who want a model's mathematics can skip this folder.
"""

from tfkor.layers.fast.blocks import fast_blocks
from tfkor.layers.fast.gradients import cross_entropy, gelu, layer_norm

__all__ = ["cross_entropy", "fast_blocks", "gelu", "layer_norm"]
