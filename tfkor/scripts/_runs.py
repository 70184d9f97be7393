"""Several trainings of one program: one for each of --seeds, and for each of --folds of the training data.

Each run has its own folder in --model_dir: seed-0, fold-0 or seed-0-fold-0. A run that has its results.json is not
repeated, so a stopped program resumes when it is started again, and more seeds can be added later.

results.json in --model_dir has the metrics of the runs, with their mean and sample standard deviation (n - 1). With
--seeds alone --model_dir also holds a model, as after a single run: the one with the best metric on dev, or that of the
first seed where there are no dev data. With --folds it holds none, as each model was trained on a part of the data.
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
MAX_SEED = 2**32 - 1  # NumPy's limit
PARTS = ("dev", "test", "held_out")  # the parts of the data that results have metrics for
# flags that don't change the trained model
OTHER_FLAGS = ("mode", "model_dir", "overwrite", "tensorboard_dir", "seeds", "input_file", "output_file", "top_k")


def define_flags():
    about = "Train once with each of these seeds, separated by commas; the results have mean and standard deviation."
    flags.DEFINE_list("seeds", None, about)
    about = "Cross-validation: number of folds of the training data; each run evaluates on one, trains on the rest."
    flags.DEFINE_integer("folds", None, about, lower_bound=2)


class Run(NamedTuple):
    """A training: the name of its folder, its seed, and the number of the fold that it evaluates on, or None."""

    name: str
    seed: int
    fold: int | None


def seeds_of(words):
    """The seeds of --seeds, a list of str, as numbers."""
    found = f"--seeds={','.join(words)}"
    if not words or not all(word.isdecimal() and int(word) <= MAX_SEED for word in words):
        raise app.UsageError(f"{found}; expected whole numbers from 0 to {MAX_SEED}, separated by commas")
    seeds = [int(word) for word in words]
    if len(set(seeds)) < len(seeds):
        raise app.UsageError(f"{found}; expected each seed once")
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
    """{flag: value} of the flags that decide what model is trained, as results.json has them."""
    modules = FLAGS.flags_by_module_dict().items()
    names = [flag.name for module, found in modules if not module.startswith("absl") for flag in found]
    return {name: FLAGS[name].value for name in sorted(names) if name not in OTHER_FLAGS}


def train_runs(folder, load, train_one):
    """Does the runs that have no results yet; returns the results of all.

    Args:
      folder: --model_dir.
      load: () -> (train, dev, test), data or None.
      train_one: function of (folder, train, dev, test, held_out) that trains once and writes results.json.
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
        if seen:  # `fit` ended early because of it, and did not raise
            (folder / run.name / RESULTS).unlink()
            raise KeyboardInterrupt
        keras.utils.clear_session()
    FLAGS.seed, FLAGS.tensorboard_dir = seed, log_dir


@contextlib.contextmanager
def interrupts():
    """Yields a list that gets an entry at each Ctrl-C, which has its usual effect; an ignored one stays ignored."""
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
    """Raises UsageError if the folder holds something else, or runs with other flags."""
    if FLAGS.overwrite or not folder.exists():
        return
    there = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    if there and not any(name.startswith(("seed-", "fold-")) for name in there):
        raise app.UsageError(f"--model_dir={folder} already exists; expected a new folder, or --overwrite")
    for run in runs:
        path = folder / run.name / RESULTS
        before = read(path)["flags"] if path.is_file() else {}
        now = json.loads(json.dumps(settings() | {"seed": run.seed}))
        for name in before:
            if name in now and before[name] != now[name]:
                raise app.UsageError(
                    f"{folder / run.name} was trained with --{name}={before[name]}, now it is {now[name]}; expected "
                    "the same value, a new folder, or --overwrite"
                )


def read(path):
    return json.loads(path.read_text("utf-8"))


def summary(found):
    """{run: results} -> runs, and for each part of the data {metric: {"mean", "std"}}; std is None for a single run."""
    kept = ("seconds", "epochs", "train_examples", *PARTS)
    out = {"runs": {run: {name: results[name] for name in kept if name in results} for run, results in found.items()}}
    for part in PARTS:
        metrics = [results[part] for results in found.values() if part in results]
        out |= {part: mean_and_std(metrics)} if metrics else {}
    return out


def mean_and_std(metrics):
    """The metrics of several runs, a list of dicts -> {name: {"mean", "std"}}, without the number of examples."""
    names = [name for name, value in metrics[0].items() if isinstance(value, (int, float)) and name != "examples"]
    columns = {name: [each[name] for each in metrics] for name in names}
    return {
        name: {"mean": statistics.fmean(values), "std": standard_deviation(values) if len(values) > 1 else None}
        for name, values in columns.items()
    }


def standard_deviation(values):
    """Of a sample; NaN if a value is not finite."""
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan


def best_of(found):
    """The run with the best metric on dev, the first of equal ones; the first run where there are no dev data."""

    def metric(run):
        value = found[run]["dev"][found[run]["monitor"]] if "dev" in found[run] else 0.0
        return -math.inf if math.isnan(value) else value

    return max(found, key=metric)


def copy_model(source, folder):
    """Copies the files of a model into a folder, as hard links where the file system has them, to save disk space."""
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
