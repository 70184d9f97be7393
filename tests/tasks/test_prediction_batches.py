"""The batches that predictions are made on: little padding, or few shapes where each of them is compiled."""

import numpy as np
import pytest

from tfkor.tasks import batches


def shapes_of(lengths, **options):
    """{length: (widths of the batches that hold rows of this length)}; each row comes once."""
    ids = batches.ragged([np.arange(1, length + 1).tolist() for length in lengths])
    seen, widths = [], set()
    for rows, batch in batches.prediction_batches(ids, **options):
        seen += list(rows)
        width = batch["input_word_ids"].shape[1]
        widths.add(width)
        assert batch["input_mask"][: len(rows)].sum(1).tolist() == [lengths[row] for row in rows]
        assert "sample_weight" not in batch
    assert sorted(seen) == list(range(len(lengths)))
    return widths


def test_rows_are_padded_to_lengths_that_occur():
    assert shapes_of([3, 3, 7, 7, 20, 20], batch_size=2, max_length=64) == {3, 7, 20}
    many = list(np.random.default_rng(0).permutation(np.repeat(np.arange(1, 61), 4)))
    widths = shapes_of(many, batch_size=4, max_length=64)
    assert 20 < len(widths) <= batches.BUCKETS and max(widths) == 60


@pytest.mark.parametrize("lengths, widths", [([3, 9, 20, 50], {50}), ([3] * 4 + [50] * 4, {8, 50}), ([9] * 4, {16})])
def test_shapes_that_are_compiled_are_few_and_the_same_in_each_call(lengths, widths, monkeypatch):
    monkeypatch.setattr(batches, "compiles_each_shape", lambda: True)
    assert shapes_of(lengths, batch_size=4, max_length=50) == widths
