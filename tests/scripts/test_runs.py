"""--seeds and --folds: a folder for each run, mean and deviation, what is done is not done again."""

import contextlib
import json
import math

import pytest
from absl import app, flags
from own_flags import own_flags

from tfkor.data import TextData
from tfkor.files import new_folder, write_json
from tfkor.scripts import _runs as runs

DATA = TextData([str(i) for i in range(12)], labels=["a", "b"] * 6)
DEV = {0: 0.5, 1: 0.75, 2: 0.75}


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A function that runs a program whose trainings only write down what they were given."""
    calls = []

    def train_one(folder, train, dev, test, held_out):
        seed = runs.FLAGS.seed
        calls.append((folder.name, seed, train.texts, held_out and held_out.texts))
        if seed == 13:
            raise KeyboardInterrupt
        with new_folder(folder, overwrite=True) as temporary:
            (temporary / "model").mkdir()
            (temporary / "model/weights").write_text(f"of {folder.name}")
        results = {"seconds": 1.0, "monitor": "f1", "flags": runs.settings()}
        if held_out:
            results["held_out"] = {"f1": len(held_out) / 10, "examples": len(held_out)}
        if dev:
            results["dev"] = {"f1": DEV[seed], "examples": 9}
        write_json(folder / "results.json", results)

    def run(dev=DATA, **values):
        with own_flags() as own:
            runs.define_flags()
            flags.DEFINE_integer("seed", 0, "")
            flags.DEFINE_integer("epochs", 3, "")
            flags.DEFINE_bool("overwrite", False, "")
            flags.DEFINE_string("tensorboard_dir", None, "")
        monkeypatch.setattr(runs, "FLAGS", own)
        own(["program", *(f"--{name}={value}" for name, value in values.items())])
        calls.clear()
        return runs.train_runs(tmp_path / "model", lambda: (DATA, dev, None), train_one), list(calls)

    return run


def test_seeds_have_folders_metrics_and_one_model(program, tmp_path):
    results, calls = program(seeds="0,1")
    assert [call[:2] for call in calls] == [("seed-0", 0), ("seed-1", 1)]
    assert results["dev"] == {"f1": {"mean": 0.625, "std": pytest.approx(0.25 / 2**0.5)}}
    assert results["best"] == "seed-1" and results["runs"]["seed-0"]["dev"]["f1"] == 0.5
    folder = tmp_path / "model"
    assert json.loads((folder / "results.json").read_text()) == results
    assert (folder / "model/weights").read_text() == "of seed-1"
    assert sorted(path.name for path in folder.iterdir()) == ["model", "results.json", "seed-0", "seed-1"]
    results, calls = program(seeds="0,1,2")  # one more
    assert [call[0] for call in calls] == ["seed-2"] and results["best"] == "seed-1"
    _, calls = program(seeds="2,0", overwrite=True)
    assert len(calls) == 2 and (folder / "model/weights").read_text() == "of seed-2"
    assert (folder / "seed-1/model/weights").read_text() == "of seed-1"


def test_without_dev_data_the_first_seed_is_the_model(program, tmp_path):
    results, _ = program(dev=None, seeds="2")
    assert results["best"] == "seed-2" and "dev" not in results
    results, _ = program(dev=None, seeds="1,2")
    assert results["best"] == "seed-1"


def test_each_fold_is_scored_on_what_it_left_out(program, tmp_path):
    results, calls = program(folds=3)
    assert [call[0] for call in calls] == ["fold-0", "fold-1", "fold-2"]
    assert sorted(text for call in calls for text in call[3]) == sorted(DATA.texts)
    for _, _, kept, left_out in calls:
        assert sorted(kept + left_out) == sorted(DATA.texts) and len(left_out) == 4
    assert results["held_out"] == {"f1": {"mean": pytest.approx(0.4), "std": 0.0}}
    assert "best" not in results and not (tmp_path / "model/model").exists()
    _, calls = program(folds=3, seeds="0,1", overwrite=True)
    assert [call[0] for call in calls][2:4] == ["seed-0-fold-2", "seed-1-fold-0"]


def test_a_metric_that_is_nan_is_the_worst(program, monkeypatch):
    monkeypatch.setitem(DEV, 0, math.nan)
    results, _ = program(seeds="0,1")
    assert results["best"] == "seed-1"
    assert math.isnan(results["dev"]["f1"]["mean"]) and math.isnan(results["dev"]["f1"]["std"])


def test_a_stopped_program_goes_on(program, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        program(seeds="1,13")
    assert not (tmp_path / "model/results.json").exists()
    _, calls = program(seeds="1,2")
    assert [call[0] for call in calls] == ["seed-2"]


def test_a_ctrl_c_that_only_ended_the_epochs_is_no_finished_run(program, monkeypatch, tmp_path):
    import signal

    write = runs.write_json

    def interrupted(path, value):
        with contextlib.suppress(KeyboardInterrupt):  # as fit does
            signal.raise_signal(signal.SIGINT)
        write(path, value)

    monkeypatch.setitem(globals(), "write_json", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in a background job
    try:
        with pytest.raises(KeyboardInterrupt):
            program(seeds="1,2")
    finally:
        signal.signal(signal.SIGINT, before)
    assert not (tmp_path / "model/seed-1/results.json").exists() and not (tmp_path / "model/seed-2").exists()


def test_an_ignored_ctrl_c_stays_ignored():
    import signal

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with runs.interrupts() as seen:
            signal.raise_signal(signal.SIGINT)
        assert not seen and signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_does_not_fit_is_named(program, tmp_path):
    program(seeds="0")
    with pytest.raises(app.UsageError, match=r"seed-0 was trained with --epochs=3, now it is 5"):
        program(seeds="0,1", epochs=5)
    for seeds, words in (("0,x", "expected whole"), ("-1", "--seeds=-1; expected"), ("1,1", "each seed once")):
        with pytest.raises(app.UsageError, match=words):
            program(seeds=seeds)
    (tmp_path / "model/seed-0").rename(tmp_path / "seed-0")
    with pytest.raises(app.UsageError, match="already exists; expected a new folder"):
        program(seeds="0")
