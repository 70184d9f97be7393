"""run_pretraining from end to end: train, go on, start from another run, and what it says of bad flags."""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from absl import app, flags
from absl.testing import flagsaver

sys.path.insert(0, str(Path(__file__).parents[1] / "pretraining"))

from tiny_corpus import write_shards

from tfkor import recipes, zoo
from tfkor.scripts import run_pretraining

FLAGS = flags.FLAGS
SMALL = dict(size="tiny", max_positions=64, length=24, batch_size=8, held_out=0.1, log_every=5, evaluate_every=5)


@pytest.fixture(scope="module", autouse=True)
def own_flags():
    """The program's flags, which it defines when it starts, for this module alone."""
    before = set(FLAGS)
    run_pretraining.define_flags()
    yield
    for name in set(FLAGS) - before:
        delattr(FLAGS, name)


def run(**values):
    with flagsaver.flagsaver():
        FLAGS(["run_pretraining", *(f"--{name}={value}" for name, value in values.items())])
        return run_pretraining.job()


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("shards")).folder


@pytest.fixture(scope="module")
def electra(shards, tmp_path_factory):
    """The folder of a finished run of ELECTRA, and its figures."""
    folder = tmp_path_factory.mktemp("electra")
    return folder, run(shards=shards, model_dir=folder, model="electra", steps=12, **SMALL)


def same(some, others):
    pairs = zip(some.weights, others.weights, strict=True)
    return all(np.array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b)) for a, b in pairs)


def test_a_run_leaves_encoders_with_their_tokenizer(electra, shards):
    folder, figures = electra
    assert figures["steps"] == 12 and {"held_out_rtd_recall", "held_out_generator_entropy"} <= set(figures)
    for name in ("encoder", "generator"):
        encoder, tokenizer = zoo.load(folder / name)
        assert type(encoder).__name__ == "Electra"
        assert encoder.config.vocab_size == tokenizer.vocab_size
    generator, encoder = (zoo.load(folder / name)[0] for name in ("generator", "encoder"))
    assert same(generator.embeddings, encoder.embeddings)


def test_the_same_command_goes_on(electra, shards):
    folder, figures = electra
    again = run(shards=shards, model_dir=folder, model="electra", steps=12, **SMALL)
    assert again["steps"] == 12
    np.testing.assert_allclose(again["held_out_loss"], figures["held_out_loss"], rtol=1e-6)


def test_another_run_starts_from_it_generator_and_discriminator_both(electra, shards, tmp_path):
    folder, _ = electra
    start = dict(shards=shards, model="electra", init_checkpoint=folder, learning_rate=0.0, weight_decay=0.0)
    run(**start, model_dir=tmp_path / "more", steps=1, **SMALL)
    for name in ("encoder", "generator"):
        assert same(zoo.load(folder / name)[0], zoo.load(tmp_path / "more" / name)[0])
    with pytest.raises(ValueError, match=r"--init_checkpoint: found Electra .* expected Bert"):
        run(shards=shards, model="bert", init_checkpoint=folder, model_dir=tmp_path / "bert", steps=1, **SMALL)
    with pytest.raises(FileNotFoundError, match=r"no config\.json and 0 files"):
        run(shards=shards, model="bert", init_checkpoint=tmp_path, model_dir=tmp_path / "bert", steps=1, **SMALL)


@pytest.mark.parametrize(
    "values",
    [
        dict(model="bert", masking="span:1,token:1", optimizer="lamb", schedule="poly"),
        dict(model="albert", remat=True, precision="mixed_bfloat16", schedule="triangular"),
        dict(model="roberta", packing=True, accumulation=2, masking="eojeol", long_length=48),
    ],
    ids=["bert", "albert", "roberta"],
)
def test_each_family_and_option_trains(shards, tmp_path, values):
    figures = run(shards=shards, model_dir=tmp_path, steps=10, **{**SMALL, **values})
    assert figures["steps"] == 10 and np.isfinite(figures["held_out_loss"])
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line["loss"]) for line in lines if "loss" in line)
    assert type(zoo.load(tmp_path / "encoder")[0]).__name__.lower() == values["model"]


def test_flags_that_do_not_fit_are_named(shards, tmp_path):
    for values, words in (
        (dict(steps=1), "expected one of --shards and --tfrecords"),
        (dict(shards=shards), "expected one of --steps and --train_hours"),
        (dict(shards=shards, steps=1, model="electra", objectives="mlm"), "--objectives=mlm with --model=electra"),
        (dict(shards=shards, steps=1, masking="span:x"), "--masking=span:x"),
        (dict(shards=shards, steps=1, recipe="none"), "--recipe=none; expected one of .*bert_hour"),
        (dict(tfrecords="x", steps=1), "--tfrecords needs --tokenizer_dir"),
    ):
        with pytest.raises(app.UsageError, match=words):
            run(model_dir=tmp_path / "run", **values)
    with pytest.raises(ValueError, match="--strategy=nobody; expected one of"):
        run(shards=shards, model_dir=tmp_path / "run", steps=1, strategy="nobody", **SMALL)


def test_the_flags_of_each_recipe_are_flags_and_the_command_line_wins(shards, tmp_path):
    import importlib

    for name in recipes.names():
        module = importlib.import_module(f"tfkor.recipes.{name}")
        assert all(flag in FLAGS for flag in module.FLAGS)
        assert "Command: " in module.__doc__
    with flagsaver.flagsaver():
        FLAGS(["run_pretraining", "--recipe=bert_hour", "--length=99"])
        run_pretraining.apply_recipe()
        assert (FLAGS.model, FLAGS.length) == ("bert", 99)
    with flagsaver.flagsaver():
        FLAGS(["run_pretraining", "--recipe=bert_hour", "--steps=5"])
        run_pretraining.apply_recipe()
        assert (FLAGS.steps, FLAGS.train_hours) == (5, None)
