"""Batches: their layout, their order, and that a resumed run continues it."""

import itertools

import numpy as np
import pytest
from tiny_corpus import write_shards

from tfkor.pretraining import Masking, PretrainingBatches, Recipe
from tfkor.pretraining.batches import Prefetch
from tfkor.pretraining.held_out import held_out_batches, little_text


def take(batches, count):
    return list(itertools.islice(batches, count))


def assert_equal(some, others):
    for a, b in zip(some, others, strict=True):
        assert set(a) == set(b)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(length=32),
        Recipe(length=32, pairs="nsp", masking=Masking("span")),
        Recipe(length=32, packing=True, objective="rtd"),
        Recipe(length=32, static_masks=True),
    ],
)
def test_from_any_state_the_same_batches_follow(shards, recipe):
    batches = PretrainingBatches(shards, recipe, 16, seed=5, group=2)
    everything, states = [], []
    for _ in range(60):  # several epochs
        everything.append(next(batches))
        states.append(dict(batches.state))
    assert states[-1]["epoch"] >= 1
    for stop in (0, 7, 31, 50):
        again = PretrainingBatches(shards, recipe, 16, seed=5, group=2)
        again.state = states[stop]
        assert_equal(take(again, 5), everything[stop + 1 : stop + 6])


def rows_of(batch):
    return {tuple(row[mask > 0]) for row, mask in zip(batch["original_word_ids"], batch["input_mask"])}


def test_an_epoch_has_each_row_once_in_another_order_and_with_other_masks(shards):
    batches = PretrainingBatches(shards, Recipe(length=32, objective="rtd"), 8)
    epochs = [[], []]
    while batches.state["epoch"] < 2:
        batch = next(batches)
        if batches.state["epoch"] < 2:
            epochs[batches.state["epoch"]].append(batch)
    seen = [[tuple(row) for batch in epoch for row in batch["original_word_ids"]] for epoch in epochs]
    assert len(set(seen[0])) > 0.99 * len(seen[0])
    assert len(set(seen[0]) & set(seen[1])) > 0.95 * len(seen[0])
    assert seen[0] != seen[1]
    masks = [{tuple(row) for batch in epoch for row in batch["input_word_ids"]} for epoch in epochs]
    assert len(masks[0] & masks[1]) < 0.1 * len(masks[0])


def test_static_masks_are_the_same_in_each_epoch(shards):
    batches = PretrainingBatches(shards, Recipe(length=32, static_masks=True), 8)
    masks = [set(), set()]
    while batches.state["epoch"] < 2:
        batch = next(batches)
        if batches.state["epoch"] < 2:
            masks[batches.state["epoch"]] |= {tuple(row) for row in batch["input_word_ids"]}
    assert len(masks[0] & masks[1]) > 0.95 * len(masks[0])


def test_a_row_is_cls_first_sep_second_sep(shards):
    tokenizer = shards.tokenizer
    batch = next(PretrainingBatches(shards, Recipe(length=32, pairs="nsp", objective="rtd"), 32))
    ids, mask, segments = (batch[name] for name in ("original_word_ids", "input_mask", "segment_ids"))
    assert (ids[:, 0] == tokenizer.cls_id).all()
    assert (ids[mask == 0] == tokenizer.pad_id).all()
    assert ((ids == tokenizer.sep_id).sum(axis=1) == 2).all()
    for row, on, segment in zip(ids, mask, segments, strict=True):
        first, last = np.flatnonzero(row == tokenizer.sep_id)
        assert last == on.sum() - 1
        np.testing.assert_array_equal(segment, (np.arange(32) > first) & (np.arange(32) <= last))
    np.testing.assert_allclose(batch["pair_weights"].sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(batch["token_weights"].sum(), 1, rtol=1e-5)


def test_packed_rows_number_their_documents_and_restart_positions(shards):
    tokenizer = shards.tokenizer
    batch = next(PretrainingBatches(shards, Recipe(length=64, packing=True, objective="rtd"), 32))
    ids, mask, positions = (batch[name] for name in ("original_word_ids", "input_mask", "positions"))
    assert mask.max() > 1
    for row, number, position in zip(ids, mask, positions, strict=True):
        for document in range(1, number.max() + 1):
            (places,) = np.nonzero(number == document)
            assert row[places[0]] == tokenizer.cls_id and row[places[-1]] == tokenizer.sep_id
            np.testing.assert_array_equal(position[places], np.arange(len(places)))
            np.testing.assert_array_equal(places, np.arange(places[0], places[0] + len(places)))


def test_held_out_documents_are_not_trained_on(shards):
    def rows(part):
        recipe = Recipe(length=32, objective="rtd")
        batches = PretrainingBatches(shards, recipe, 4, held_out=0.2, part=part)
        out = set()
        while batches.state["epoch"] < 1:
            out |= rows_of(next(batches))
        return out

    train, held_out = rows("train"), rows("held_out")
    assert len(held_out) > 10
    assert not train & held_out


@pytest.mark.parametrize("pairs", [None, "nsp", "sop"])
def test_an_evaluation_takes_what_is_held_out_of_all_shards(tmp_path, pairs):
    """Which is less than two documents of a shard, and less than a batch of them all."""
    shards = write_shards(tmp_path, documents=[12, 9, 1, 14])
    some = dict(seed=3, held_out=0.1)
    recipe = Recipe(length=32, pairs=pairs, objective="rtd")
    batches = PretrainingBatches(shards, recipe, 500, part="held_out", **some)
    counts = [int(documents.sum()) for _, _, documents in batches.parts(range(4))]
    assert min(counts) < 2 <= sum(counts)
    (batch,) = held_out_batches(batches, 8)
    assert_equal([batch], held_out_batches(batches, 8))
    assert 2 <= len(batch["input_mask"]) < 500 and np.isclose(batch["masked_lm_weights"].sum(), 1)
    if pairs == "nsp":
        assert set(batch["pair_labels"]) == {0, 1}
    assert "held_out=0.1 of 36 documents gives" in little_text(batches, [batch])
    train = PretrainingBatches(shards, recipe, 8, **some)
    rows = set().union(*(rows_of(next(train)) for _ in range(12)))
    assert not rows & rows_of(batch)
    several = held_out_batches(PretrainingBatches(shards, recipe, 2, part="held_out", **some), 2)
    assert [len(each["input_mask"]) for each in several] == [2, 2]
    nothing = PretrainingBatches(shards, recipe, 8, held_out=1e-6, part="held_out")
    assert held_out_batches(nothing, 8) == []
    assert "gives 0 rows of 32 ids: nothing is evaluated" in little_text(nothing, [])


def test_nsp_draws_from_other_shards_where_one_has_a_single_document(tmp_path):
    shards = write_shards(tmp_path / "a", documents=[1, 1, 8, 1])
    make = lambda group: PretrainingBatches(shards, Recipe(length=32, pairs="nsp"), 4, group=group)  # noqa: E731
    batches = make(4)
    everything, states = [], []
    for _ in range(30):
        everything.append(next(batches))
        states.append(dict(batches.state))
    assert 0.2 < np.mean([batch["pair_labels"].mean() for batch in everything]) < 0.8
    again = make(4)
    again.state = states[11]
    assert_equal(take(again, 5), everything[12:17])
    alone = make(1)  # a group of one document has true pairs
    assert len(take(alone, 20)) == 20
    with pytest.raises(ValueError, match="wrong pairs from other documents, but there is 1; expected two"):
        PretrainingBatches(write_shards(tmp_path / "b", documents=[1]), Recipe(length=32, pairs="nsp"), 4)


def test_too_little_text_for_a_batch_is_said(shards):
    with pytest.raises(ValueError, match="fewer rows of 32 ids than batch_size, 5000"):
        next(PretrainingBatches(shards, Recipe(length=32), 5000))


def test_a_damaged_shard_stops_or_is_skipped_by_choice(tmp_path):
    shards = write_shards(tmp_path)
    path = tmp_path / "shard-00001.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"shard-00001\.npz"):
        take(PretrainingBatches(shards, Recipe(length=32), 8), 30)
    assert len(take(PretrainingBatches(shards, Recipe(length=32), 8, on_damage="skip"), 30)) == 30


def test_prefetch_gives_the_batches_with_their_states_and_passes_errors_on(shards):
    plain = PretrainingBatches(shards, Recipe(length=32), 8)
    expected = [(next(plain), dict(plain.state)) for _ in range(6)]
    drawn = Prefetch(PretrainingBatches(shards, Recipe(length=32), 8))
    assert drawn.state == {"epoch": 0, "group": 0, "batch": 0}
    got = [(batch, drawn.state) for _, batch in zip(range(6), drawn)]
    drawn.close()
    assert_equal([batch for batch, _ in got], [batch for batch, _ in expected])
    assert [state for _, state in got] == [state for _, state in expected]
    failing = Prefetch(PretrainingBatches(shards, Recipe(length=32), 5000))
    with pytest.raises(ValueError, match="batch_size"):
        next(iter(failing))
    failing.close()
