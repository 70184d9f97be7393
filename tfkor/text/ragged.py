"""Rows of different lengths in one NumPy array."""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np


class Ragged(NamedTuple):
    """Rows of different lengths in one array: row i is values[row_splits[i]:row_splits[i + 1]].

    values: int32 [N]; row_splits: int64 [B + 1].
    """

    values: np.ndarray
    row_splits: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """int64 [B]"""
        return np.diff(self.row_splits)

    def to_lists(self) -> list[list[int]]:
        """[[id, ...], ...]"""
        return [self.values[a:b].tolist() for a, b in itertools.pairwise(self.row_splits)]


def ragged(rows: Iterable[Sequence[int]]) -> Ragged:
    """Lists of ints -> Ragged"""
    rows = list(rows)
    lengths = [len(row) for row in rows]
    values = np.concatenate([np.zeros(0, np.int32), *rows]).astype(np.int32)
    return Ragged(values, np.cumsum([0, *lengths], dtype=np.int64))


def spans(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """int64 [sum of lengths]: start, start + 1, ... start + length - 1 of each, one after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())
