"""One vector for a row out of the vectors of its tokens."""

from keras import ops


def max_over_tokens(x, mask):
    """x [B, S, H], mask int [B, S] -> the largest of each feature at a token [B, H]."""
    return ops.max(x - 1e4 * (1 - ops.cast(mask, x.dtype)[..., None]), axis=1)


def mean_over_tokens(x, mask):
    """x [B, S, H], mask int [B, S] -> the mean of each feature over the tokens [B, H]."""
    weight = ops.cast(mask, x.dtype)[..., None]
    return ops.sum(x * weight, axis=1) / ops.maximum(ops.sum(weight, axis=1), 1)


POOLINGS = {"first": None, "max": max_over_tokens, "mean": mean_over_tokens}
