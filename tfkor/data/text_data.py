"""Texts with their labels in memory, the file and line of each, and the checks before training."""

import difflib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

LABEL_TYPES = ("class", "multi_label", "regression")
_LABELS_HINT = "set label_column (a .txt file has texts only)"


class DataError(ValueError):
    """Data that can't be used as it is. The message says where the error is, what was found, and what was expected."""


@dataclass
class TextData:
    """Rows of text: `texts`, second texts `pairs`, `labels`; all lists of one length, or None.

    A label is a str (class), a tuple of str (multi-label) or a float (regression). `source` is the file's path and
    `lines` the line, counted from 1, on which each row starts; both are None for data that came from memory.
    """

    texts: list[str]
    pairs: list[str] | None = None
    labels: list[str] | list[tuple[str, ...]] | list[float] | None = None
    source: str | None = None
    lines: list[int] | None = None

    def __post_init__(self):
        for name in ("pairs", "labels", "lines"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.texts):
                raise DataError(f"{self.name}: {len(self.texts)} texts but {len(column)} {name}; expected as many")

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, indices: ArrayLike) -> "TextData":
        """The rows with these 0-based indices (or this boolean mask), in this order, as new TextData."""
        indices = np.asarray(indices)
        indices = np.flatnonzero(indices) if indices.dtype == bool else indices.astype(np.int64)

        def pick(column):
            return None if column is None else [column[i] for i in indices]

        return TextData(pick(self.texts), pick(self.pairs), pick(self.labels), self.source, pick(self.lines))

    @property
    def name(self) -> str:
        return self.source or "the data"

    def where(self, index: int) -> str:
        """Where row `index` comes from, for messages: 'dev.tsv, line 7', or 'row 6' (from 0) of data from memory."""
        return f"row {index}" if self.lines is None else f"{self.name}, line {self.lines[index]}"


def parse_label(value: Any, label_type: str = "class", separator: str = "|") -> str | tuple[str, ...] | float:
    """A cell of a label column as str, tuple of str, or float; white space around a name is dropped.

    Raises:
      ValueError: what was found and expected; the caller adds file and line.
    """
    if label_type == "regression":
        try:
            number = math.nan if isinstance(value, (bool, np.bool_)) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"the label {shorten(value)} is not a finite number, which label_type='regression' needs")
        return number
    if label_type == "multi_label":
        names = value.split(separator) if isinstance(value, str) else value
        listed = isinstance(names, (list, tuple, set, frozenset, np.ndarray))
        if not listed or not all(isinstance(name, str) for name in names):
            raise ValueError(f"the label {shorten(value)} is not a list of names, nor names joined by {separator!r}")
        names = sorted(names) if isinstance(names, (set, frozenset)) else names
        return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    if isinstance(value, (bool, np.bool_)):
        return str(value).lower()
    if not isinstance(value, (str, int, np.integer)):
        raise ValueError(
            f"the label {shorten(value)} ({type(value).__name__}) is not a class name (str or int); "
            "for numbers to be predicted as numbers use label_type='regression'"
        )
    if not (name := str(value).strip()):
        raise ValueError("the label is empty; name a class on every row, or read without labels (label_column=None)")
    return name


def as_text_data(
    texts: Any,
    labels: Iterable | None = None,
    pairs: Iterable[str] | None = None,
    *,
    text_column: str = "text",
    label_column: str | None = "label",
    pair_column: str | None = None,
    label_type: str = "class",
) -> TextData:
    """TextData from lists, tuples, NumPy arrays, pandas Series, a DataFrame, or TextData (returned as it is).

    Of a DataFrame the named columns are used; without a column `label_column` the result has no labels.

    Example:
      as_text_data(["잔액 알려 줘", "불 꺼 줘"], ["balance", "light_off"])
      as_text_data(frame, text_column="utterance", label_column="intent")

    Raises:
      DataError: a text that is not a str, lists of different lengths, a missing column, a label of the wrong kind.
    """
    check_label_type(label_type)
    if isinstance(texts, TextData):
        if labels is not None or pairs is not None:
            raise DataError("texts is TextData, which has labels and pairs; expected labels=None and pairs=None")
        return texts
    if hasattr(texts, "columns"):
        if labels is not None or pairs is not None:
            raise DataError("texts is a DataFrame: name columns (label_column, pair_column), not labels and pairs")
        frame, known = texts, list(texts.columns)
        for argument, column in (("text_column", text_column), ("pair_column", pair_column)):
            if column is not None and column not in known:
                raise DataError(f"the DataFrame has no column {column!r}; it has {known}; set {argument}")
        texts = frame[text_column]
        pairs = None if pair_column is None else frame[pair_column]
        labels = frame[label_column] if label_column is not None and label_column in known else None
    texts = _strings(texts, "texts")
    pairs = None if pairs is None else _strings(pairs, "pairs")
    if labels is not None:
        values, labels = _values(labels, "labels"), []
        for row, value in enumerate(values):
            try:
                labels.append(parse_label(value, label_type))
            except ValueError as error:
                raise DataError(f"row {row}: {error}") from None
    return TextData(texts, pairs, labels)


def check_label_type(label_type: str) -> None:
    if label_type not in LABEL_TYPES:
        raise ValueError(f"label_type={label_type!r}; expected one of {', '.join(LABEL_TYPES)}")


def check_trainable(train: TextData) -> None:
    """Raises DataError unless `train` has labels, two rows or more, and two different labels or more."""
    if train.labels is None:
        raise DataError(f"{train.name}: read without labels; training needs them: {_LABELS_HINT}")
    if len(train) < 2:
        raise DataError(f"{train.name}: {len(train)} row; training needs at least 2, with different labels: add rows")
    if len(set(train.labels)) < 2:
        raise DataError(
            f"{train.name}: all {len(train)} rows have the label {shorten(train.labels[0])}; training needs at least "
            "2 different labels: add rows of another class, or check label_column"
        )


def label_names(train: TextData) -> list[str]:
    """Names of the classes of the training data, sorted (by value if all are whole numbers); [] for regression.

    Raises:
      DataError: no labels, one row, or one class.
    """
    check_trainable(train)
    names = _names_in(train.labels)
    return sorted(names, key=int if all(name.isdecimal() for name in names) else None)


def check_labels(data: TextData, names: Sequence[str]) -> None:
    """Raises DataError if `data` is unlabelled or has a label that is not in `names` (those of the training data)."""
    if data.labels is None:
        raise DataError(f"{data.name}: read without labels; evaluation needs them: {_LABELS_HINT}")
    known = set(names)
    unknown = [i for i, label in enumerate(data.labels) if not known.issuperset(_names_in([label]))]
    if not unknown:
        return
    name = next(name for name in _names_in([data.labels[unknown[0]]]) if name not in known)
    near = difflib.get_close_matches(name, names, n=3)
    shown = ", ".join(map(repr, names[:5])) + (f" ... ({len(names)} in all)" if len(names) > 5 else "")
    raise DataError(
        f"{data.where(unknown[0])}: the label {name!r} is not in the training data, whose labels are {shown}; "
        + (f"near ones: {', '.join(map(repr, near))}; " if near else "")
        + f"{len(unknown)} of {len(data)} rows have such labels: correct them or add training rows with them"
    )


def label_array(data: TextData, names: Sequence[str] = ()) -> np.ndarray:
    """Labels as numbers: classes int32 [N], multi-label float32 [N, names] of 0 and 1, regression float32 [N].

    Raises:
      DataError: as check_labels.
    """
    check_labels(data, names)
    if all(isinstance(label, float) for label in data.labels):
        return np.array(data.labels, np.float32)
    index = {name: i for i, name in enumerate(names)}
    if isinstance(data.labels[0], str):
        return np.array([index[label] for label in data.labels], np.int32)
    array = np.zeros((len(data), len(names)), np.float32)
    for row, labels in enumerate(data.labels):
        array[row, [index[label] for label in labels]] = 1
    return array


def _names_in(labels):
    """The different class names in these labels, in order of appearance; none in numbers."""
    nested = ((label,) if isinstance(label, str) else label for label in labels if not isinstance(label, float))
    return list(dict.fromkeys(name for names in nested for name in names))


def _values(column, what):
    if isinstance(column, (str, bytes)) or not hasattr(column, "__iter__"):
        raise DataError(f"{what} is {shorten(column)}; expected a list (for one text, a list of one)")
    if getattr(column, "ndim", 1) != 1 and what != "labels":
        raise DataError(f"{what} has the shape {column.shape}; expected one dimension")
    return list(column)


def _strings(column, what):
    values = _values(column, what)
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise DataError(
                f"row {row} of {what} is {shorten(value)} ({type(value).__name__}); expected a str: drop empty cells"
            )
    return [str(value) for value in values]


def json_object(line: str, where: str) -> dict[str, Any]:
    """The dict in a line of JSON; errors begin with `where`."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f'{where}: not JSON ({error}); expected an object, such as {{"text": ...}}') from None
    if not isinstance(row, dict):
        raise DataError(f'{where}: found {shorten(row)}, expected an object, such as {{"text": ...}}')
    return row


def shorten(value: Any, width: int = 60) -> str:
    """repr(value), of at most `width` characters."""
    text = repr(value)
    return text if len(text) <= width else text[: width - 3] + "..."
