"""Long texts are split into overlapping windows; each piece is predicted in the window with the most context for it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """A part of a text that fits into a row: the pieces `begin` to `end` of text number `row`."""

    row: int
    begin: int
    end: int


def windows_of(lengths: Sequence[int], room: int, stride: int) -> list[Window]:
    """Splits texts of so many pieces into Windows of at most `room` pieces, each `stride` after the one before.

    A text without a piece has one empty window.
    """
    if not 0 < stride <= room:
        raise ValueError(f"stride is {stride}; expected 1 to {room}, the number of pieces that fit into a row")
    out = []
    for row, length in enumerate(lengths):
        begin = 0
        while True:
            end = min(begin + room, length)
            out.append(Window(row, begin, end))
            if end == length:
                break
            begin += stride
    return out


def context_of(windows: Sequence[Window]) -> list:
    """How much context each piece of each Window has: min(left, right) + 0.01 * length, lists of float.

    A piece that several windows hold is predicted in the one where this is largest (google-research/bert, run_squad).
    """
    return [
        np.minimum(np.arange(size := w.end - w.begin), np.arange(size)[::-1]) + 0.01 * size if w.end > w.begin else []
        for w in windows
    ]


def best_windows(windows: Sequence[Window], lengths: Sequence[int]) -> list[np.ndarray]:
    """For each text the number of the window in which each of its pieces has the most context, the first if equal."""
    best = [np.zeros(length, np.int64) for length in lengths]
    most = [np.full(length, -1.0) for length in lengths]
    for number, (window, context) in enumerate(zip(windows, context_of(windows))):
        inside = slice(window.begin, window.end)
        better = np.asarray(context) > most[window.row][inside]
        most[window.row][inside] = np.where(better, context, most[window.row][inside])
        best[window.row][inside] = np.where(better, number, best[window.row][inside])
    return best
