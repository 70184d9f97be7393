"""Dependency parsing: the figures of KLUE-DP, and attachment scores."""

import numpy as np

MERGED = 15  # relations from this id on count as one
OTHER, WRONG_HEAD = -3, -2  # the ids that the official script gives


def dependency_report(heads, relations, predicted_heads, predicted_relations, merged=MERGED):
    """Flat int lists of all words, where a true head of -1 is left out -> figures.

    `uas` and `las` are attachment scores: the share of words with the right head, and with the right relation too.
    Relations from `merged` on are one, as in KLUE; with None each is by itself. `uas_macro_f1` is a macro F1 whose
    classes are the positions of heads, and `las_macro_f1` one over relations, in which a word with a wrong head is of a
    class of its own: what KLUE reports (KLUE-baseline, klue_dp_uas_macro_f1 and klue_dp_las_macro_f1, whose micro F1
    are the attachment scores).
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


def macro_f1(truth, predicted):
    """The mean F1 over the classes that occur in either."""
    classes, hits = np.union1d(truth, predicted), truth[truth == predicted]
    total = np.append(truth, predicted)
    return float(np.mean([2 * np.sum(hits == c) / np.sum(total == c) for c in classes]))
