"""Parts of training data: the folds of cross-validation, and rows to test on."""

import numpy as np

from tfkor.data.text_data import DataError


def folds(data, count):
    """Cuts data into `count` parts of about the same size; an ascending int array of the rows of each.

    The rows of a class are spread evenly over the parts, where labels are names. Questions on one context, and pairs
    with the same first text, stay together in one part. The same data give the same parts.

    Raises:
      DataError: less than `count` rows, or contexts.
    """
    units = units_of(data)
    if not 2 <= count <= len(units):
        raise DataError(
            f"{data.name}: {len(units)} rows or contexts for {count} folds; expected 2 folds, up to as many as rows"
        )
    order = np.random.default_rng(0).permutation(len(units))
    labels = getattr(data, "labels", None)
    if labels and isinstance(labels[0], str):
        number = {label: i for i, label in enumerate(dict.fromkeys(labels))}
        order = order[np.argsort([number[labels[units[i][0]]] for i in order], kind="stable")]
    return [np.sort(np.concatenate([units[i] for i in order[part::count]])) for part in range(count)]


def cut_rows(data, count, seed=0):
    """(the other rows, `count` rows drawn at random, or a few more that belong to one of them), ascending.

    Questions on one context, and pairs with the same first text, stay together: who has seen the one knows something
    about the other. The same data give the same rows.

    Raises:
      DataError: no row would be left.
    """
    units = units_of(data)
    order = np.random.default_rng(seed).permutation(len(units))
    sizes = np.cumsum([len(units[i]) for i in order])
    first = int(np.searchsorted(sizes, count)) + 1
    cut = np.sort(np.concatenate([units[i] for i in order[:first]]))
    if len(cut) == len(data):
        raise DataError(f"{data.name}: {count} rows, or the contexts that they share, are all of it; cut fewer")
    return np.setdiff1d(np.arange(len(data)), cut), cut


def units_of(data):
    """What is not parted: lists of row numbers, those of one context or first text, else of one row each."""
    texts = data.texts if getattr(data, "pairs", None) is not None else getattr(data, "contexts", None)
    if texts is None:
        return [[row] for row in range(len(data))]
    rows = {}
    for row, text in enumerate(texts):
        rows.setdefault(text, []).append(row)
    return list(rows.values())
