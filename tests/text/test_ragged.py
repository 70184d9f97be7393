"""Ragged rows: to lists and back."""

import numpy as np
import pytest

from tfkor.text.ragged import ragged, spans


@pytest.mark.parametrize("rows", [[], [[]], [[3, 4], [], [5]]])
def test_lists_and_back(rows):
    found = ragged(rows)
    assert found.to_lists() == rows and found.lengths.tolist() == [len(row) for row in rows]
    assert (found.values.dtype, found.row_splits.dtype) == (np.int32, np.int64)


def test_spans():
    assert spans(np.array([3, 9, 5]), np.array([2, 0, 3])).tolist() == [3, 4, 5, 6, 7]
