"""What is there for speed and memory alone: it computes what the plain formulas in `tfkor.layers` say, and no more.

Gradients written out (`gradients`), blocks computed again in the backward pass (`recompute`), one position in place of
all in the last block (`blocks`). Who reads a model for its mathematics can leave this folder out.
"""

from tfkor.layers.fast.blocks import fast_blocks
from tfkor.layers.fast.gradients import cross_entropy, gelu, layer_norm

__all__ = ["cross_entropy", "fast_blocks", "gelu", "layer_norm"]
