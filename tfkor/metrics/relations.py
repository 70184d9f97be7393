"""Relation extraction: the metrics of KLUE-RE."""

import numpy as np
from numpy.typing import ArrayLike

from tfkor.metrics.classification import confusion_matrix


def relation_report(truth: ArrayLike, probabilities: ArrayLike, no_relation: int = 0) -> dict[str, float]:
    """int [N], float [N, C] -> micro F1 without `no_relation`, and the area under the precision-recall curve.

    The area, by the trapezoidal rule, is the mean over all classes, `no_relation` included, each against the rest. It
    is nan if a class has no row, as in the official script with the scikit-learn of its time; `present_auprc` is the
    mean over the classes that have one (KLUE-baseline, klue_re_micro_f1 and klue_re_auprc).
    """
    truth, probabilities = np.asarray(truth), np.asarray(probabilities)
    classes = probabilities.shape[1]
    matrix = confusion_matrix(truth, probabilities.argmax(1), classes)
    others = np.arange(classes) != no_relation
    hits, total = np.diag(matrix)[others].sum(), (matrix.sum(0) + matrix.sum(1))[others].sum()
    areas = np.array([precision_recall_area(truth == c, probabilities[:, c]) for c in range(classes)])
    return {
        "micro_f1": float(2 * hits / max(total, 1)),
        "auprc": float(areas.mean()),
        "present_auprc": float(np.nanmean(areas)) if len(truth) else float("nan"),
    }


def precision_recall_area(truth: ArrayLike, scores: np.ndarray) -> float:
    """bool [N], float [N] -> the area under scikit-learn's precision_recall_curve; nan if nothing is true."""
    order = np.argsort(-scores, kind="stable")
    truth, scores = np.asarray(truth)[order], np.asarray(scores)[order]
    if not truth.any():
        return float("nan")
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # ties are one point
    hits = np.cumsum(truth)[last]
    points = slice(0, np.searchsorted(hits, hits[-1]) + 1)  # up to the first with full recall
    precision, recall = (hits / (last + 1))[points], (hits / hits[-1])[points]
    precision, recall = np.append(1.0, precision), np.append(0.0, recall)
    return float(np.sum(np.diff(recall) * (precision[1:] + precision[:-1]) / 2))
