"""Splits of data: the folds of cross-validation, and rows held out for a test."""

import numpy as np

from tfkor.data.dialogues import DialogueData
from tfkor.data.questions import QuestionData
from tfkor.data.relations import RelationData
from tfkor.data.tagging import TaggedData
from tfkor.data.text_data import DataError, TextData
from tfkor.data.trees import TreeData

Data = TextData | TaggedData | QuestionData | RelationData | TreeData | DialogueData


def folds(data: Data, count: int) -> list[np.ndarray]:
    """Splits data into `count` folds of about the same size; returns the sorted int array of the rows of each.

    Where labels are class names, the rows of a class are spread evenly over the folds. Questions on one context, and
    pairs with the same first text, stay together in one fold. The same data give the same folds.

    Raises:
      DataError: fewer than `count` rows or contexts.
    """
    units = units_of(data)
    if not 2 <= count <= len(units):
        raise DataError(
            f"{data.name}: {len(units)} rows or contexts for {count} folds; expected 2 folds up to that number"
        )
    order = np.random.default_rng(0).permutation(len(units))
    labels = getattr(data, "labels", None)
    if labels and isinstance(labels[0], str):
        number = {label: i for i, label in enumerate(dict.fromkeys(labels))}
        order = order[np.argsort([number[labels[units[i][0]]] for i in order], kind="stable")]
    return [np.sort(np.concatenate([units[i] for i in order[part::count]])) for part in range(count)]


def cut_rows(data: Data, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Splits data into (all other rows, at least `count` rows drawn at random); sorted int arrays.

    Questions on one context, and pairs with the same first text, stay on one side, since a model that was trained on
    one knows something about the other; this may add a few rows. The same data and seed give the same rows.

    Raises:
      DataError: no row would be left.
    """
    units = units_of(data)
    order = np.random.default_rng(seed).permutation(len(units))
    sizes = np.cumsum([len(units[i]) for i in order])
    first = int(np.searchsorted(sizes, count)) + 1
    cut = np.sort(np.concatenate([units[i] for i in order[:first]]))
    if len(cut) == len(data):
        raise DataError(f"{data.name}: {count} rows, with the others of their contexts, are all of it; cut fewer")
    return np.setdiff1d(np.arange(len(data)), cut), cut


def units_of(data: Data) -> list[list[int]]:
    """Groups of rows that stay together: those of one context or first text; otherwise each row by itself."""
    texts = data.texts if getattr(data, "pairs", None) is not None else getattr(data, "contexts", None)
    if texts is None:
        return [[row] for row in range(len(data))]
    rows = {}
    for row, text in enumerate(texts):
        rows.setdefault(text, []).append(row)
    return list(rows.values())
