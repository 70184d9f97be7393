"""run_pretraining from end to end: train, resume, start from another run, and the errors of bad flags."""

import json
import shutil
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
from tfkor.data import ShardFolder
from tfkor.interop import save_huggingface
from tfkor.pretraining.starting import check_tokenizer
from tfkor.scripts import run_pretraining
from tfkor.text import Tokenizer

FLAGS = flags.FLAGS
SMALL = dict(size="tiny", max_positions=64, length=24, batch_size=8, held_out=0.1, log_every=5, eval_every=5)


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
    """The folder of a finished run of ELECTRA, and its metrics."""
    folder = tmp_path_factory.mktemp("electra")
    return folder, run(shards=shards, model_dir=folder, model="electra", steps=12, learning_rate=1e-2, **SMALL)


@pytest.fixture(scope="module")
def bert(shards, tmp_path_factory):
    """The same of BERT."""
    folder = tmp_path_factory.mktemp("bert")
    return folder, run(shards=shards, model_dir=folder, model="bert", steps=12, learning_rate=1e-2, **SMALL)


def same(some, others):
    pairs = zip(some.weights, others.weights, strict=True)
    return all(np.array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b)) for a, b in pairs)


def test_a_run_leaves_encoders_with_their_tokenizer(electra, shards):
    folder, metrics = electra
    assert metrics["steps"] == 12 and {"held_out_rtd_recall", "held_out_generator_entropy"} <= set(metrics)
    for name in ("encoder", "generator"):
        encoder, tokenizer = zoo.load(folder / name)
        assert type(encoder).__name__ == "Electra"
        assert encoder.config.vocab_size == tokenizer.vocab_size
    generator, encoder = (zoo.load(folder / name)[0] for name in ("generator", "encoder"))
    assert same(generator.embeddings, encoder.embeddings)


def test_the_same_command_goes_on(electra, shards):
    folder, metrics = electra
    again = run(shards=shards, model_dir=folder, model="electra", steps=12, learning_rate=1e-2, **SMALL)
    assert again["steps"] == 12
    np.testing.assert_allclose(again["held_out_loss"], metrics["held_out_loss"], rtol=1e-6)


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
        dict(model="albert", gradient_checkpointing=True, precision="mixed_bfloat16", schedule="triangular"),
        dict(model="roberta", packing=True, gradient_accumulation_steps=2, masking="eojeol", long_length=48),
    ],
    ids=["bert", "albert", "roberta"],
)
def test_each_family_and_option_trains(shards, tmp_path, values):
    metrics = run(shards=shards, model_dir=tmp_path, steps=10, **{**SMALL, **values})
    assert metrics["steps"] == 10 and np.isfinite(metrics["held_out_loss"])
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line["loss"]) for line in lines if "loss" in line)
    assert type(zoo.load(tmp_path / "encoder")[0]).__name__.lower() == values["model"]


def test_flags_that_do_not_fit_are_named(shards, tmp_path):
    for values, words in (
        (dict(steps=1), "--shards is None and --tfrecords is None; expected one of them"),
        (dict(shards=shards), "--steps is None and --train_hours is None; expected one of them"),
        (dict(shards=shards, steps=1, model="electra", objectives="mlm"), "--objectives is mlm with --model=electra"),
        (dict(shards=shards, steps=1, masking="span:x"), "--masking is span:x"),
        (dict(shards=shards, steps=1, length=4), "--length is 4 with --objectives=mlm,nsp; expected 5 or more"),
        (dict(shards=shards, steps=1, recipe="none"), "--recipe=none; expected one of .*bert_hour"),
        (dict(tfrecords="x", steps=1), "--tokenizer_dir is None; expected the tokenizer that TFRecords"),
    ):
        with pytest.raises(app.UsageError, match=words):
            run(model_dir=tmp_path / "run", **values)
    with pytest.raises(ValueError, match="--strategy is 'nobody'; expected one of"):
        run(shards=shards, model_dir=tmp_path / "run", steps=1, strategy="nobody", **SMALL)


def test_flags_out_of_range_are_named(tmp_path):
    for values in (
        dict(log_every=0), dict(batch_size=0), dict(train_hours=0), dict(steps=0), dict(max_predictions=0),
        dict(generator_size=3.0), dict(gradient_accumulation_steps=0), dict(length=2), dict(mask_rate=0),
        dict(held_out=-1), dict(eval_batches=0),
    ):  # fmt: skip
        (name,) = values
        with pytest.raises(flags.IllegalFlagValueError, match=f"flag --{name}="):
            run(shards="x", model_dir=tmp_path, **values)


def test_flags_that_would_be_ignored_with_tfrecords_are_named(shards, tmp_path):
    records = dict(tfrecords="x", tokenizer_dir="y", model_dir=tmp_path, steps=1)
    for name, value in (("length", 64), ("packing", True), ("long_length", 64), ("held_out", 0.1)):
        with pytest.raises(app.UsageError, match=f"found --{name} with --tfrecords, whose rows are fixed"):
            run(**records, **{name: value})
    with pytest.raises(app.UsageError, match=r"--tokenizer_dir is y; expected .* None for shards"):
        run(shards=shards, tokenizer_dir="y", model_dir=tmp_path, steps=1)


def test_a_tpu_that_is_not_there_is_said(shards, tmp_path):
    with pytest.raises(ValueError, match=r"--strategy=tpu: no TPU answers .*TPU_NAME"):
        run(shards=shards, model_dir=tmp_path, steps=1, strategy="tpu", **SMALL)


@pytest.mark.parametrize("model", ["bert", "electra"])
def test_heads_come_along(model, shards, request, tmp_path, capsys):
    """Trained on at a learning rate of 0, a run has the held-out losses of the one before."""
    folder, first = request.getfixturevalue(model)
    shutil.copytree(folder, tmp_path / "a")
    capsys.readouterr()
    more = dict(shards=shards, init_checkpoint=tmp_path / "a", steps=1, learning_rate=0.0)
    again = run(model_dir=tmp_path / "b", model=model, **more, **SMALL)
    assert "random weights" not in capsys.readouterr().err
    losses = [name for name in first if name.startswith("held_out") and name.endswith("loss")]
    assert len(losses) == 3
    np.testing.assert_allclose([again[name] for name in losses], [first[name] for name in losses], rtol=1e-5)
    if model == "bert":
        run(model_dir=tmp_path / "c", model=model, objectives="mlm,sop", **more, **SMALL | {"held_out": 0.0})
        words = "sop_head starts from random weights: the checkpoint of the encoder has one for other pairs"
        assert words in capsys.readouterr().err
    else:
        with pytest.raises(ValueError, match=r"--generator_size is 0\.5, 64 wide; expected None, .* 32 wide"):
            run(model_dir=tmp_path / "c", model=model, generator_size=0.5, **more, **SMALL)
        zoo.save(tmp_path / "a/encoder", *zoo.load(tmp_path / "a/encoder"), overwrite=True)
        more["init_checkpoint"] = tmp_path / "a/encoder"
        run(model_dir=tmp_path / "c", model=model, **more, **SMALL | {"held_out": 0.0})
        said = capsys.readouterr().err
        assert "discriminator_head starts from random weights: the checkpoint of the encoder has none" in said
        assert "the generator starts from random weights: the checkpoint has none" in said


def test_heads_of_a_published_checkpoint_come_along(bert, shards, tmp_path, capsys):
    """And rows are not longer than its table of positions."""
    folder, first = bert
    found = zoo.load_with_heads(folder)
    save_huggingface(tmp_path / "published", found.encoder, heads=found.heads.values())
    more = dict(shards=shards, init_checkpoint=tmp_path / "published", steps=1, learning_rate=0.0, model="bert")
    capsys.readouterr()
    again = run(model_dir=tmp_path / "b", **more, **SMALL)
    assert "random weights" not in capsys.readouterr().err
    for name in ("held_out_mlm_loss", "held_out_pair_loss"):
        np.testing.assert_allclose(again[name], first[name], rtol=1e-4)
    with pytest.raises(ValueError, match="--length is 65, but the encoder has 64 positions"):
        run(model_dir=tmp_path / "c", **more, **{**SMALL, "length": 65})


def test_both_networks_of_google_electra_come_along(electra, shards, tmp_path, monkeypatch, capsys):
    """Their checkpoint is one file with both; tests/interop reads true ones."""
    folder, _ = electra
    networks = [zoo.load_with_heads(folder / name) for name in ("encoder", "generator")]
    monkeypatch.setattr("tfkor.interop.load_pretrained", lambda folder, generator=False, **_: networks[generator])
    (tmp_path / "model.ckpt.index").touch()
    more = dict(shards=shards, model="electra", steps=1, learning_rate=0.0, init_checkpoint=tmp_path)
    run(**more, model_dir=tmp_path / "both", **SMALL)
    assert "random weights" not in capsys.readouterr().err
    assert same(networks[1].encoder, zoo.load(tmp_path / "both/generator")[0])


def test_a_checkpoint_of_another_tokenizer_is_an_error(electra, shards, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(electra[0], copy)
    tokenizer = ShardFolder(shards).tokenizer
    vocab = tokenizer.vocab
    Tokenizer.from_vocab([*vocab[:6], *vocab[:5:-1]]).save(copy / "encoder/tokenizer")
    words = r"--init_checkpoint=\S+copy has the tokenizer .*--shards=.* ids mean another piece"
    with pytest.raises(ValueError, match=words):
        run(shards=shards, model="electra", steps=1, init_checkpoint=copy, model_dir=tmp_path / "other", **SMALL)
    said = [
        check_tokenizer("a", Tokenizer.from_vocab(other, **more), "b", tokenizer)
        for other, more in ((vocab, {"lowercase": True}), ([*vocab[:-1], "[unused0]"], {}), (vocab[:-2], {}))
    ]
    expected = ("the pieces are the same", "1 pieces are new", "2 pieces are new")
    assert all(words in line for words, line in zip(expected, said, strict=True))
    assert check_tokenizer("a", tokenizer, "b", tokenizer) is check_tokenizer("a", None, "b", tokenizer) is None


def test_a_run_goes_on_with_its_own_flags_only(electra, shards, tmp_path):
    folder, _ = electra
    more = tmp_path / "more"
    shutil.copytree(folder, more)
    same = dict(model_dir=more, model="electra", steps=12, learning_rate=1e-2, **SMALL)
    other = write_shards(tmp_path / "other", documents=20).folder
    for values, words in (
        (dict(batch_size=4), "--batch_size: found 4, expected 8"),
        (dict(learning_rate=1.0), r"--learning_rate: found 1\.0, expected 0\.01"),
        (dict(seed=3), "--seed: found 3, expected 0"),
        (dict(long_length=48), "--long_length: found 48, expected None"),
        (dict(shards=other), "--shards: found SHA-256 .*, expected SHA-256"),
        (dict(steps=13), "--steps: found 13, expected 12"),
    ):
        with pytest.raises(ValueError, match=rf"plan\.json: the run was started with other values: {words}"):
            run(**{**same, "shards": shards, **values})
    moved = shutil.copytree(shards, tmp_path / "moved")
    run(**{**same, "shards": moved, "log_every": 1, "save_every": 1, "keep": 1, "eval_every": 3})


def test_the_flags_of_each_recipe_are_flags_and_the_command_line_wins(shards, tmp_path):
    import importlib

    for name in recipes.names():
        module = importlib.import_module(f"tfkor.recipes.{name}")
        assert all(name in FLAGS for name in module.SETTINGS)
        assert "Command: " in module.__doc__
    with flagsaver.flagsaver():
        FLAGS(["run_pretraining", "--recipe=bert_hour", "--shards=a", "--model_dir=b", "--length=99"])
        config = run_pretraining.read_config()
        assert (config.size, config.length, config.eval_every, config.train_hours) == ("mini", 99, 1000, 1.0)
        assert config.objective_names == ["mlm"] and FLAGS.size == "small"  # nothing is left behind
    with flagsaver.flagsaver():
        FLAGS(["run_pretraining", "--recipe=bert_hour", "--shards=a", "--model_dir=b", "--steps=5"])
        config = run_pretraining.read_config()
        assert (config.steps, config.train_hours) == (5, None)


def test_old_names_of_flags_still_work_and_are_noted_once(capsys):
    old = ["--accumulation=4", "--remat", "--evaluate_every=7"]
    with flagsaver.flagsaver():
        FLAGS(["run_pretraining", "--recipe=bert_hour", "--shards=a", "--model_dir=b", *old])
        config = run_pretraining.read_config()
    found = (config.gradient_accumulation_steps, config.gradient_checkpointing, config.eval_every)
    assert found == (4, True, 7)  # the last one wins over the recipe's
    said = capsys.readouterr().err
    assert said.count("note: --remat is now --gradient_checkpointing") == 1 and said.count("note: ") == 3
