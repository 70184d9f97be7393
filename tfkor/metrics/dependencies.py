"""Dependency parsing: the metrics of KLUE-DP, and attachment scores."""

import numpy as np
from numpy.typing import ArrayLike

MERGED = 15  # relations from this id on count as one
OTHER, WRONG_HEAD = -3, -2  # the ids that the official script gives


def dependency_report(
    heads: ArrayLike,
    relations: ArrayLike,
    predicted_heads: ArrayLike,
    predicted_relations: ArrayLike,
    merged: int | None = MERGED,
) -> dict[str, float]:
    """Flat int lists of all words, where words with a true head of -1 are left out -> metrics.

    `uas` and `las` are attachment scores: the fraction of words with the right head, and with the right relation too.
    Relations with ids from `merged` on count as one, as in KLUE; with None each counts by itself. `uas_macro_f1`
    is a macro F1 whose classes are the positions of heads, and `las_macro_f1` one over relations, in which words with a
    wrong head are a class of their own: what KLUE reports (KLUE-baseline, klue_dp_uas_macro_f1 and
    klue_dp_las_macro_f1, whose micro F1 are the attachment scores).
    """
    heads, relations, predicted_heads, predicted = (
        np.asarray(values, np.int64) for values in (heads, relations, predicted_heads, predicted_relations)
    )
    words = heads != -1
    heads, relations, predicted_heads, predicted = (
        values[words] for values in (heads, relations, predicted_heads, predicted)
    )
    if merged is not None:
        relations, predicted = (np.where(ids >= merged, OTHER, ids) for ids in (relations, predicted))
    right = heads == predicted_heads
    predicted = np.where(right, predicted, WRONG_HEAD)
    return {
        "uas": float(right.mean()),
        "las": float((relations == predicted).mean()),
        "uas_macro_f1": macro_f1(heads, predicted_heads),
        "las_macro_f1": macro_f1(relations, predicted),
        "words": len(heads),
    }


def macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Two int arrays [N] -> the mean F1 over the classes that occur in either."""
    classes, hits = np.union1d(truth, predicted), truth[truth == predicted]
    total = np.append(truth, predicted)
    return float(np.mean([2 * np.sum(hits == c) / np.sum(total == c) for c in classes]))
