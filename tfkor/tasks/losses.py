"""What a classifier is trained to make small, by its activation: softmax, sigmoid or linear."""

from keras import ops

ACTIVATIONS = {"softmax": ops.softmax, "sigmoid": ops.sigmoid, "linear": lambda x: x}


def row_losses(activation, labels, logits):
    """Labels [B], or [B, C] for sigmoid, and logits [B, C] -> losses [B]."""
    if activation == "softmax":
        return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    if activation == "sigmoid":
        return ops.mean(ops.binary_crossentropy(labels, logits, from_logits=True), axis=-1)
    return ops.square(logits[:, 0] - labels)


def smoothed(losses, logits, share):
    """Losses [...] of logits [..., C] with a share of each label spread over all classes (Szegedy et al. 2016)."""
    if not share:
        return losses
    return (1 - share) * losses - share * ops.mean(ops.log_softmax(logits), axis=-1)


def disagreement(activation, first, second):
    """Logits [B, C] of the same rows, seen in two ways -> [2B], the mean of both Kullback-Leibler divergences.

    For softmax and sigmoid the two divergences add up to the sum of (p - q) * (logits of p - logits of q).
    """
    score = ACTIVATIONS[activation]
    gaps = (score(first) - score(second)) * (first - second) / 2
    gap = ops.mean(gaps, axis=-1) if activation == "sigmoid" else ops.sum(gaps, axis=-1)
    return ops.concatenate([gap, gap])
