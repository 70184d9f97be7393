"""Losses of tasks as small objects: labels and logits -> a loss for each row or token.

A task holds one of them: `CrossEntropy` where one of C classes is right, `BinaryCrossEntropy` where
any number of them are, `MeanSquaredError` of a number.
"""

from dataclasses import dataclass

from keras import ops

from tfkor.layers.inputs import Tensor


@dataclass(frozen=True)
class CrossEntropy:
    """Labels int [...] and logits [..., C] -> losses [...]: one of C classes is right.

    `tfkor.layers.fast.cross_entropy` is the same with its gradient written out, for a whole vocabulary of classes.

    Args:
      label_smoothing: the fraction of a label that is spread over all classes (Szegedy et al. 2016); 0.1 is usual.
    """

    label_smoothing: float = 0.0

    def __call__(self, labels: Tensor, logits: Tensor) -> Tensor:
        losses = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        return smoothed(losses, logits, self.label_smoothing)

    def scores(self, logits: Tensor) -> Tensor:
        """Logits [..., C] -> probabilities."""
        return ops.softmax(logits)

    def disagreement(self, first: Tensor, second: Tensor) -> Tensor:
        """Logits [B, C] of the same rows, seen in two ways -> [2B], the mean of both Kullback-Leibler divergences."""
        return twice(ops.sum(gaps(self, first, second), axis=-1))


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Labels [B, C] of zeros and ones and logits [B, C] -> losses [B], the mean over classes: any number is right."""

    def __call__(self, labels: Tensor, logits: Tensor) -> Tensor:
        return ops.mean(ops.binary_crossentropy(labels, logits, from_logits=True), axis=-1)

    def scores(self, logits: Tensor) -> Tensor:
        """Logits [..., C] -> probabilities."""
        return ops.sigmoid(logits)

    def disagreement(self, first: Tensor, second: Tensor) -> Tensor:
        """As that of `CrossEntropy`, the mean over classes."""
        return twice(ops.mean(gaps(self, first, second), axis=-1))


@dataclass(frozen=True)
class MeanSquaredError:
    """Labels [B] and outputs [B, 1] -> losses [B]."""

    def __call__(self, labels: Tensor, logits: Tensor) -> Tensor:
        return ops.square(logits[:, 0] - labels)

    def scores(self, logits: Tensor) -> Tensor:
        """The outputs themselves."""
        return logits

    def disagreement(self, first: Tensor, second: Tensor) -> Tensor:
        """Outputs [B, 1] of the same rows, seen in two ways -> [2B], half of the squared distance."""
        return twice(ops.sum(gaps(self, first, second), axis=-1))


Loss = CrossEntropy | BinaryCrossEntropy | MeanSquaredError
LOSSES = {"softmax": CrossEntropy, "sigmoid": BinaryCrossEntropy, "linear": MeanSquaredError}  # by activation


def smoothed(losses: Tensor, logits: Tensor, label_smoothing: float) -> Tensor:
    """Losses [...] of logits [..., C] with a fraction of each label spread over all classes."""
    if not label_smoothing:
        return losses
    return (1 - label_smoothing) * losses - label_smoothing * ops.mean(ops.log_softmax(logits), axis=-1)


def weighted_mean(losses: Tensor, weights: Tensor, least: float = 1e-6) -> Tensor:
    """The mean of the losses by their weights, whose sum counts as no less than `least`."""
    return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), least)


def gaps(loss: Loss, first: Tensor, second: Tensor) -> Tensor:
    """[B, C]: for probabilities p and q both divergences add up to the sum of (p - q) * (logits of p - logits of q)."""
    return (loss.scores(first) - loss.scores(second)) * (first - second) / 2


def twice(values: Tensor) -> Tensor:
    return ops.concatenate([values, values])
