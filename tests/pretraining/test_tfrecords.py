"""TFRecords of other tools are trained on as tfkor's own shards are."""

import itertools
import json

import numpy as np
import pytest

from tfkor.data.tfrecord import write_tfrecords
from tfkor.pretraining import Phase, Pretraining, PretrainingBatches, Recipe
from tfkor.pretraining.tfrecords import TFRecordBatches
from tfkor.training import AdamW


@pytest.fixture(scope="module")
def records(shards, tmp_path_factory):
    """Two files with 64 examples each, as google-research/bert names things."""
    folder = tmp_path_factory.mktemp("records")
    batches = PretrainingBatches(shards, Recipe(length=24, pairs="nsp", max_predictions=5), 64)
    for i, batch in enumerate(itertools.islice(batches, 2)):
        batch["next_sentence_labels"] = batch["pair_labels"]
        batch["masked_lm_weights"] = np.sign(batch["masked_lm_weights"])
        write_tfrecords(folder / f"{i}.tfrecord", [batch])
    return folder / "*.tfrecord"


def test_an_epoch_holds_each_example_once_and_goes_on_from_any_state(records, shards):
    batches = TFRecordBatches(records, shards.tokenizer, 16, pairs="nsp")
    everything, states = [], []
    for _ in range(20):
        everything.append(next(batches))
        states.append(batches.state)
    assert [state["epoch"] for state in states] == [0] * 8 + [1] * 8 + [2] * 4
    rows = [sorted(tuple(row) for batch in everything[i : i + 8] for row in batch["input_word_ids"]) for i in (0, 8)]
    assert rows[0] == rows[1] and len(set(rows[0])) == 128
    assert not np.array_equal(everything[0]["input_word_ids"], everything[8]["input_word_ids"])
    again = TFRecordBatches(records, shards.tokenizer, 16, pairs="nsp")
    again.state = states[10]
    for name, values in next(again).items():
        np.testing.assert_array_equal(values, everything[11][name])


@pytest.mark.parametrize("kind", ["nsp", "rtd"])
def test_a_run_trains_on_them(records, shards, make_model, tmp_path, kind):
    pairs = "nsp" if kind == "nsp" else None
    batches = TFRecordBatches(records, shards.tokenizer, 16, pairs=pairs, objective="rtd" if kind == "rtd" else "mlm")
    batch = next(batches)
    np.testing.assert_allclose(batch["masked_lm_weights"].sum(), 1, rtol=1e-5)
    if kind == "rtd":
        assert shards.tokenizer.mask_id not in batch["original_word_ids"]
    phases = [Phase(batches)]
    run = Pretraining(tmp_path, make_model(kind), AdamW(1e-3), phases, learning_rate=1e-2, steps=60, log_every=20)
    run.train()
    assert run.step == 60
    losses = [json.loads(line)["mlm_loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]


def test_another_vocabulary_is_an_error(records, shards):
    class Small:
        vocab_size = 7

    with pytest.raises(ValueError, match="expected 0 to 6, those of the tokenizer"):
        next(TFRecordBatches(records, Small(), 16))
