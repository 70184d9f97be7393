"""Several trainings of one program: one for each of --seeds, and for each of --folds of the training data.

Each run has a folder of its own in --model_dir, seed-0, fold-0 or seed-0-fold-0. One whose results.json is there is not
run again, so a stopped program goes on where it was, and more seeds can be added later.

results.json in --model_dir has the figures of the runs, and their mean and standard deviation (of a sample: n - 1).
With --seeds alone --model_dir is also the folder of a model, as after one run: that of the run which is best on dev, or
of the first seed where there are no dev data. With --folds it has none, as each model has seen a part of the data only.
"""

import contextlib
import json
import math
import os
import shutil
import signal
import statistics
from pathlib import Path
from typing import NamedTuple

from absl import app, flags

from tfkor.files import new_file, new_folder, write_json
from tfkor.scripts import say

FLAGS = flags.FLAGS
RESULTS = "results.json"
MAX_SEED = 2**32 - 1  # of NumPy
PARTS = ("dev", "test", "held_out")  # what figures are of
# not a part of what a model is
OTHER_FLAGS = ("mode", "model_dir", "overwrite", "tensorboard_dir", "seeds", "input_file", "output_file", "top_k")


def define_flags():
    flags.DEFINE_list("seeds", None, "Train with each of these seeds, with commas between; figures have mean and std.")
    flags.DEFINE_integer(
        "folds", None, "Cross-validation: so many trainings, each scored on a part of the training data.", lower_bound=2
    )


class Run(NamedTuple):
    """A training: its folder's name, its seed, and the number of the fold that it leaves out."""

    name: str
    seed: int
    fold: int | None


def seeds_of(words):
    """The numbers that --seeds names."""
    told = f"--seeds={','.join(words)}"
    if not words or not all(word.isdecimal() and int(word) <= MAX_SEED for word in words):
        raise app.UsageError(f"{told}; expected whole numbers from 0 to {MAX_SEED}, with commas between")
    seeds = [int(word) for word in words]
    if len(set(seeds)) < len(seeds):
        raise app.UsageError(f"{told}; expected each seed once")
    return seeds


def planned():
    """The Runs of --seeds and --folds."""
    seeds = seeds_of(FLAGS.seeds) if FLAGS.seeds else [FLAGS.seed]
    runs = [Run(f"seed-{seed}", seed, None) for seed in seeds]
    if not FLAGS.folds:
        return runs
    prefix = "{}-" if FLAGS.seeds else ""
    return [Run(f"{prefix.format(run.name)}fold-{i}", run.seed, i) for run in runs for i in range(FLAGS.folds)]


def settings():
    """{flag: value} of what makes a model, as results.json has them."""
    modules = FLAGS.flags_by_module_dict().items()
    names = [flag.name for module, found in modules if not module.startswith("absl") for flag in found]
    return {name: FLAGS[name].value for name in sorted(names) if name not in OTHER_FLAGS}


def train_runs(folder, load, train_one):
    """Trains what is not there yet; returns the figures.

    Args:
      folder: --model_dir.
      load: () -> (train, dev, test), data or None.
      train_one: (folder, train, dev, test, held_out) trains once and writes results.json.
    """
    runs = planned()
    check(folder, runs)
    todo = [run for run in runs if FLAGS.overwrite or not (folder / run.name / RESULTS).is_file()]
    if todo:
        (folder / RESULTS).unlink(missing_ok=True)
        train_all(folder, todo, load(), train_one)
    found = {run.name: read(folder / run.name / RESULTS) for run in runs}
    results = {"model_dir": str(folder), **summary(found)}
    if not FLAGS.folds:
        results["best"] = best = best_of(found)
        copy_model(folder / best, folder)
    write_json(folder / RESULTS, results)
    return results


def train_all(folder, runs, splits, train_one):
    import keras

    from tfkor.data.folds import folds

    train, dev, test = splits
    parts = folds(train, FLAGS.folds) if FLAGS.folds else []
    seed, log_dir = FLAGS.seed, FLAGS.tensorboard_dir
    for number, run in enumerate(runs, 1):
        say(f"{run.name}, {number} of {len(runs)} runs")
        FLAGS.seed, FLAGS.tensorboard_dir = run.seed, log_dir and os.path.join(log_dir, run.name)
        kept, held_out = train, None
        if run.fold is not None:
            kept = train.select([row for i, part in enumerate(parts) if i != run.fold for row in part])
            held_out = train.select(parts[run.fold])
        with interrupts() as seen:
            train_one(folder / run.name, kept, dev, test, held_out)
        if seen:  # it has ended the training early, without being raised
            (folder / run.name / RESULTS).unlink()
            raise KeyboardInterrupt
        keras.utils.clear_session()
    FLAGS.seed, FLAGS.tensorboard_dir = seed, log_dir


@contextlib.contextmanager
def interrupts():
    """Yields a list that gets an entry at each Ctrl-C, which is raised as ever; it stays ignored where it is."""
    seen, before = [], signal.getsignal(signal.SIGINT)
    if not callable(before):
        yield seen
        return

    def note(*arguments):
        seen.append(True)
        before(*arguments)

    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def check(folder, runs):
    """UsageError if something else is in the folder, or runs with other flags."""
    if FLAGS.overwrite or not folder.exists():
        return
    there = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    if there and not any(name.startswith(("seed-", "fold-")) for name in there):
        raise app.UsageError(f"--model_dir={folder} is there already; name a new folder, or say --overwrite")
    for run in runs:
        path = folder / run.name / RESULTS
        before = read(path)["flags"] if path.is_file() else {}
        now = json.loads(json.dumps(settings() | {"seed": run.seed}))
        for name in before:
            if name in now and before[name] != now[name]:
                raise app.UsageError(
                    f"{folder / run.name} was trained with --{name}={before[name]}, now it is {now[name]}; say the "
                    "same, name a new folder, or say --overwrite"
                )


def read(path):
    return json.loads(path.read_text("utf-8"))


def summary(found):
    """{run: results} -> runs, and for each part of the data {figure: {"mean", "std"}}; std is None for one run."""
    kept = ("seconds", "epochs", "train_examples", *PARTS)
    out = {"runs": {run: {name: results[name] for name in kept if name in results} for run, results in found.items()}}
    for part in PARTS:
        figures = [results[part] for results in found.values() if part in results]
        out |= {part: mean_and_deviation(figures)} if figures else {}
    return out


def mean_and_deviation(figures):
    """A list of dicts of numbers -> {name: {"mean", "std"}}, but of the number of examples."""
    names = [name for name, value in figures[0].items() if isinstance(value, (int, float)) and name != "examples"]
    columns = {name: [each[name] for each in figures] for name in names}
    return {
        name: {"mean": statistics.fmean(values), "std": deviation(values) if len(values) > 1 else None}
        for name, values in columns.items()
    }


def deviation(values):
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan


def best_of(found):
    """The run with the best figure on dev, the first of equal ones; the first run where there are no dev data."""

    def figure(run):
        value = found[run]["dev"][found[run]["monitor"]] if "dev" in found[run] else 0.0
        return -math.inf if math.isnan(value) else value

    return max(found, key=figure)


def copy_model(source, folder):
    """Puts the files of a model into a folder; hard links, where the file system has them, take no space."""
    for path in source.iterdir():
        if path.name == RESULTS:
            continue
        target = folder / path.name
        if path.is_dir():
            with new_folder(target, overwrite=True) as temporary:
                shutil.copytree(path, temporary, copy_function=link, dirs_exist_ok=True)
        else:
            with new_file(target) as temporary:
                link(path, temporary)


def link(source, target):
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
