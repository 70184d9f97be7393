"""Knowledge distillation: a small classifier learns from the outputs of a larger one (Hinton et al. 2015)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from tfkor.data import DataError, TextData, label_array
from tfkor.layers.inputs import Tensor
from tfkor.tasks.losses import CrossEntropy, Loss, MeanSquaredError, smoothed


@dataclass(frozen=True)
class DistillationLoss:
    """Targets [B, 1 + ...] of `Distillation.targets` and logits [B, C] -> losses [B].

    Args:
      of_labels: the loss of the labels, without label smoothing.
      temperature, weight: of the teacher's outputs; see `Distillation`.
      label_smoothing: the fraction of a label that is spread over all classes.
    """

    of_labels: Loss
    temperature: float
    weight: float
    label_smoothing: float = 0.0

    def __call__(self, targets: Tensor, logits: Tensor) -> Tensor:
        classes, one_class = logits.shape[-1], isinstance(self.of_labels, CrossEntropy)
        labelled, labels, taught = targets[:, 0], targets[:, 1:-classes], targets[:, -classes:]
        if one_class:
            labels = ops.cast(labels[:, 0], "int32")
            soft = -ops.sum(taught * ops.log_softmax(logits / self.temperature), axis=-1) * self.temperature**2
        elif isinstance(self.of_labels, MeanSquaredError):
            labels, soft = labels[:, 0], self.of_labels(taught[:, 0], logits)
        else:
            soft = self.of_labels(taught, logits)
        hard = labelled * self.of_labels(labels, logits)
        losses = (1 - self.weight) * hard + self.weight * soft
        return smoothed(losses, logits, self.label_smoothing)


class Distillation:
    """A student learns labels and its teacher's outputs for each text, which are computed once, before the training.

        student.fit(texts, labels, teacher=teacher, temperature=2.0, distillation=0.9, unlabelled=more_texts)

    A row's loss is (1 - distillation) * that of its label + distillation * that of the teacher's output. The latter is
    for softmax T^2 times the cross entropy of both distributions at temperature T, for sigmoid the binary cross entropy
    with the teacher's probabilities, for linear the squared distance of both numbers; the last two have no temperature.

    Args:
      student, teacher: TextClassifiers of the same kind and labels; the teacher has a tokenizer of its own. A student
        without labels gets the teacher's.
      temperature: T, 1 or so; the higher, the more the student learns of the classes that are not the likeliest.
      distillation: weight of the teacher's outputs, 0 to 1; the labels have the rest.

    Raises:
      ValueError: a weight or temperature out of range, or a teacher of another kind or with other labels.
    """

    def __init__(
        self,
        student: Any,
        teacher: Any,
        temperature: float = 2.0,
        distillation: float = 0.5,
    ):
        if not temperature > 0 or not 0 <= distillation <= 1:
            raise ValueError(
                f"temperature={temperature}, distillation={distillation}; expected more than 0, and a weight of 0 to 1"
            )
        if teacher.activation != student.activation:
            raise ValueError(
                f"the teacher's activation is {teacher.activation!r}, the student's {student.activation!r}; "
                "expected the same"
            )
        if student.labels is None and teacher.labels is not None:
            student.labels = list(teacher.labels)
        if set(student.labels or ()) != set(teacher.labels or ()):
            other = sorted(set(student.labels) ^ set(teacher.labels or ()))
            raise ValueError(f"student and teacher do not have the same labels; one of them lacks {other[:5]}")
        self.student, self.teacher = student, teacher
        self.temperature, self.weight = temperature, distillation

    def loss(self, label_smoothing: float = 0.0) -> DistillationLoss:
        """The loss that the student minimises."""
        of_labels = type(self.student.loss_function)()
        return DistillationLoss(of_labels, self.temperature, self.weight, label_smoothing)

    def targets(self, train: TextData, unlabelled: Any = None) -> tuple[TextData, np.ndarray]:
        """TextData with the unlabelled texts after those of `train`, and labels for `loss`, float32 [N, 1 + ...].

        Args:
          unlabelled: a list of texts, a tuple (texts, pairs), TextData or a DataFrame; None for none.
        """
        labels = label_array(train, self.student.labels or ())
        known = np.zeros((len(train), 1 + (labels.shape[1] if labels.ndim == 2 else 1)), np.float32)
        known[:, 0] = 1
        known[:, 1:] = labels.reshape(len(train), -1)
        if unlabelled is not None:
            parts = unlabelled if isinstance(unlabelled, tuple) else (unlabelled,)
            more = self.student.text_data(parts[0], None, *parts[1:])
            if (more.pairs is None) != (train.pairs is None):
                raise DataError(
                    "unlabelled texts and labelled ones are not of one kind, single or pairs; expected that"
                )
            pairs = None if train.pairs is None else train.pairs + more.pairs
            train = TextData(train.texts + more.texts, pairs, train.labels + [None] * len(more))
            known = np.concatenate([known, np.zeros((len(more), known.shape[1]), np.float32)])
        return train, np.concatenate([known, self.taught(train)], axis=1)

    def taught(self, data: TextData) -> np.ndarray:
        """The teacher's outputs float32 [N, C]: softened probabilities, probabilities or numbers."""
        scores = self.teacher.predict_proba(TextData(data.texts, data.pairs))
        if self.student.activation == "softmax":
            logits = np.log(np.maximum(scores, np.finfo(np.float32).tiny)) / self.temperature
            scores = np.exp(logits - logits.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
        if self.student.labels is None:
            return scores
        column = {label: i for i, label in enumerate(self.teacher.labels)}
        return scores[:, [column[label] for label in self.student.labels]]
