"""Samples of the generator, and what it takes to add an objective."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from tfkor.models import Bert, BertConfig
from tfkor.pretraining import OBJECTIVES, Phase, Pretraining, PretrainingBatches, Recipe
from tfkor.pretraining.alarms import Low
from tfkor.pretraining.objectives.rtd import sample
from tfkor.training import AdamW


@pytest.mark.parametrize("vocab_size", [100, 128, 300])
def test_samples_are_the_inverse_of_the_running_sum(vocab_size):
    random = np.random.default_rng(vocab_size)
    logits = random.normal(scale=2, size=(40, 25, vocab_size)).astype("float32")
    noise = random.random((40, 25), dtype="float32")
    noise[0], noise[1] = 0, np.float32(1 - 2**-24)
    found = ops.convert_to_numpy(sample(ops.convert_to_tensor(logits), ops.convert_to_tensor(noise)))
    weights = np.exp(logits.astype(np.float64))
    reached = np.cumsum(weights / weights.sum(-1, keepdims=True), axis=-1)
    expected = (reached <= noise[..., None]).sum(-1).clip(max=vocab_size - 1)
    assert found.dtype == np.int32 and (found >= 0).all() and (found < vocab_size).all()
    assert np.abs(found - expected).max() <= 1 and (found == expected).mean() > 0.995  # float32 at the borders
    np.testing.assert_array_equal(found[0], 0)


def test_samples_follow_the_distribution():
    logits = np.log(np.array([0.5, 1e-30, 0.3, 0.2], "float32"))
    noise = (np.arange(10_000, dtype="float32") + 0.5) / 10_000
    found = ops.convert_to_numpy(sample(ops.convert_to_tensor(np.tile(logits, (100, 100, 1))), noise.reshape(100, 100)))
    np.testing.assert_allclose(np.bincount(found.ravel(), minlength=4) / 10_000, [0.5, 0, 0.3, 0.2], atol=2e-4)


class LengthOfText(keras.Model):
    """An objective that has nothing in common with the others: how full is a row?"""

    papers, pairs_allowed, masking, encoder_names = {}, (None,), {}, ("encoder",)
    alarms = (Low("closeness", 2.0, "the lengths are wrong", "count again"),)

    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.head = encoder, keras.layers.Dense(1)
        self.head.build((None, encoder.config.hidden_size))
        self.built = True

    @classmethod
    def collate(cls, examples, recipe, vocabulary):
        real = examples.batch["input_mask"] > 0
        return {**examples.batch, "filled": real.mean(axis=1).astype("float32")}

    @property
    def encoders(self):
        return {"encoder": self.encoder}

    def idle_variables(self):
        return []

    def call(self, batch, training=False):
        return self.head(self.encoder(batch, training=training)["pooled_output"])[:, 0]

    def objective(self, batch, training=True):
        loss = ops.sum(ops.square(self(batch, training=training) - batch["filled"]))
        return loss, {"length_loss": loss}

    def evaluation_metrics(self, batch):
        loss, _ = self.objective(batch, training=False)
        return {"loss": loss, "closeness": -loss}

    def forward_flops(self, batch_size, recipe):
        return batch_size * recipe.length


def test_an_objective_of_ones_own_is_a_class_and_a_line_in_the_registry(tmp_path, shards, monkeypatch):
    with pytest.raises(ValueError, match="objective is 'length'; expected one of"):
        Recipe(length=24, objective="length")
    monkeypatch.setitem(OBJECTIVES, "length", LengthOfText)
    recipe = Recipe(length=24, objective="length")
    train, held_out = (PretrainingBatches(shards, recipe, 8, held_out=0.1, part=p) for p in ("train", "held_out"))
    sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    encoder = Bert(BertConfig(shards.tokenizer.vocab_size, max_position_embeddings=32, **sizes))
    phases, options = [Phase(train, held_out=held_out)], dict(steps=24, learning_rate=1e-2, log_every=1, peak_flops=1e9)
    metrics = Pretraining(tmp_path, LengthOfText(encoder), AdamW(1e-3), phases, **options).train()
    assert set(metrics) == {"steps", "tokens", "seconds", "held_out_loss", "held_out_closeness"}
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"length_loss", "closeness", "mfu"} <= set(lines[0])
    assert lines[19]["alarms"][0].startswith("step 20: the lengths are wrong for 20 log lines (closeness -")
