"""Parts of training data: the folds of cross-validation, and rows to test on."""

import numpy as np

from tfkor.data.text_data import DataError


def folds(data, count):
    """Cuts data into `count` parts of about the same size; an ascending int array of the rows of each.

    The rows of a class are spread evenly over the parts, where labels are names. Questions on one context stay together
    in one part. The same data give the same parts.

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


def cut_rows(data, count):
    """(the other rows, `count` rows drawn at random, or a few more that share a context with one of them), ascending.

    The same data give the same rows.

    Raises:
      DataError: no row would be left.
    """
    units = units_of(data)
    order = np.random.default_rng(0).permutation(len(units))
    sizes = np.cumsum([len(units[i]) for i in order])
    first = int(np.searchsorted(sizes, count)) + 1
    cut = np.sort(np.concatenate([units[i] for i in order[:first]]))
    if len(cut) == len(data):
        raise DataError(f"{data.name}: {count} rows, or the contexts that they share, are all of it; cut fewer")
    return np.setdiff1d(np.arange(len(data)), cut), cut


def units_of(data):
    """What is not parted: lists of row numbers, those of one context, else of one row each."""
    if not hasattr(data, "contexts"):
        return [[row] for row in range(len(data))]
    rows = {}
    for row, context in enumerate(data.contexts):
        rows.setdefault(context, []).append(row)
    return list(rows.values())
