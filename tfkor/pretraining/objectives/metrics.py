"""Weighted sums over a batch."""

from keras import ops


def weighted_sum(batch, name, values):
    """The sum of `values` times the batch's `{name}_weights` of the same shape; with weights of sum 1 it is a mean."""
    return ops.sum(values * batch[f"{name}_weights"])


def accuracy(batch, name, labels, logits):
    """The weighted fraction of the labels [...] that have the largest of the logits [..., C]."""
    return weighted_sum(batch, name, ops.cast(ops.argmax(logits, axis=-1) == batch[labels], "float32"))
