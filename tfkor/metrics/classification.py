"""Metrics of classification and regression, equal to scikit-learn's and scipy's on the same predictions."""

import numpy as np
from numpy.typing import ArrayLike


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, num_classes: int) -> np.ndarray:
    """Two int arrays [N] -> int64 [C, C]: a row for each true class, a column for each predicted one."""
    pairs = np.asarray(truth, np.int64) * num_classes + np.asarray(predicted, np.int64)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def f1_scores(truth: ArrayLike, predicted: ArrayLike, num_classes: int) -> np.ndarray:
    """Two int arrays [N] -> F1 of each class, float64 [C]; 0 for a class that is never true and never predicted."""
    matrix = confusion_matrix(truth, predicted, num_classes)
    return _f1(np.diag(matrix), matrix.sum(0), matrix.sum(1))


def class_report(truth: ArrayLike, predicted: ArrayLike, num_classes: int) -> dict[str, float]:
    """Two int arrays [N] -> accuracy, and macro F1 over the classes that occur in either, as in scikit-learn."""
    scores = f1_scores(truth, predicted, num_classes)
    occurs = np.isin(np.arange(num_classes), np.concatenate([truth, predicted]))
    return {
        "accuracy": float(np.mean(np.equal(truth, predicted))),
        "macro_f1": float(scores[occurs].mean()),
        "examples": len(truth),
    }


def multi_label_report(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Two bool arrays [N, C] -> subset accuracy, micro and macro F1."""
    truth, predicted = np.asarray(truth, bool), np.asarray(predicted, bool)
    hits, found, wanted = (truth & predicted).sum(0), predicted.sum(0), truth.sum(0)  # [C] each
    return {
        "accuracy": float((truth == predicted).all(1).mean()),
        "micro_f1": float(_f1(hits.sum(), found.sum(), wanted.sum())),
        "macro_f1": float(_f1(hits, found, wanted).mean()),
        "examples": len(truth),
    }


def regression_report(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Two float arrays [N] -> Pearson and Spearman correlation (nan if one is constant), mean squared error, F1 at 3.

    `f1_at_3` is F1 of the class "at least 3", for similarities from 0 to 5, as in KLUE-STS (klue_sts_f1).
    """
    truth, predicted = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    wanted, found = (values.astype(np.float32) >= 3 for values in (truth, predicted))
    return {
        "pearson": _correlation(truth, predicted),
        "spearman": _correlation(_ranks(truth), _ranks(predicted)),
        "mean_squared_error": float(np.mean((truth - predicted) ** 2)),
        "f1_at_3": float(_f1(np.sum(wanted & found), np.sum(found), np.sum(wanted))),
        "examples": len(truth),
    }


def auroc(positive: ArrayLike, negative: ArrayLike) -> float:
    """Area under the ROC curve: how probably a score of `positive` exceeds one of `negative`; ties count half."""
    ranks = _ranks(np.concatenate([positive, negative]))
    wins = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(wins / (len(positive) * len(negative)))


def _f1(hits, found, wanted):
    return 2 * hits / np.maximum(found + wanted, 1)


def _ranks(values):
    """Ranks from 1; equal values all get the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _correlation(a, b):
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
