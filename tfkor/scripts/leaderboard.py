"""Fine-tunes an encoder on every Korean task whose data are found, and shows its metrics beside published ones.

  python -m tfkor.scripts.leaderboard --init_checkpoint=monologg/koelectra-base-v3-discriminator \\
      --output_dir=runs/koelectra
  python -m tfkor.scripts.leaderboard --init_checkpoint=runs/bert --output_dir=runs/quick --tasks=korsts,klue-ner \\
      --seeds=0 --epochs=1 --max_train_rows=1000

Data are looked for in --data_dir, in the folder that the environment variable TFKOR_DATA names, or in ../shared/data
beside a source checkout; nothing is downloaded. Each task is trained once per seed by its own program, and the best
epoch is not chosen on the part that is evaluated on. Tasks that are done are not repeated, so the same command resumes
after a stop. --output_dir gets a folder for each task, leaderboard.md and leaderboard.json; the last line printed is
that JSON in one line.

An asterisk marks a metric that can't be compared with the published ones, since it comes from less or other data; the
line below the table says why.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from absl import app, flags

from tfkor.data.korean import SOURCES as KNOWN
from tfkor.data.korean import data_dir
from tfkor.data.sentence_tasks import TASKS as SENTENCE_TASKS
from tfkor.files import new_file, write_json
from tfkor.scripts import run_program, say
from tfkor.scripts._leaderboard_tasks import TASKS
from tfkor.scripts._published_metrics import SOURCES, published_metrics
from tfkor.scripts._runs import seeds_of

FLAGS = flags.FLAGS
RESULTS = "results.json"
OVERRIDES = ("epochs", "learning_rate", "max_train_rows", "batch_size")
PASSED = ("init_checkpoint", "tokenizer_dir", "precision", "lora_rank")


def define_flags():
    flags.DEFINE_string(
        "init_checkpoint",
        None,
        "Encoder to fine-tune: a folder of run_pretraining, a published checkpoint, or its name.",
        required=True,
    )
    flags.DEFINE_string("output_dir", None, "Folder for the models and the tables.", required=True)
    flags.DEFINE_string("name", None, "Name of the encoder in the table; by default the end of --init_checkpoint.")
    flags.DEFINE_list("tasks", list(TASKS), f"Tasks to train, separated by commas, some of {','.join(TASKS)}.")
    flags.DEFINE_list("seeds", ["0", "1", "2"], "Random seeds to train each task with, separated by commas.")
    flags.DEFINE_string("data_dir", None, "Folder of the data sets; by default that of TFKOR_DATA.")
    flags.DEFINE_string("tokenizer_dir", None, "Folder of a tokenizer, if the checkpoint has none.")
    flags.DEFINE_string("precision", None, "Dtype policy of the encoder: float32, mixed_bfloat16 or mixed_float16.")
    about = "Pooling of sentence classifiers: the first token, or the maximum or mean over tokens; by default first."
    flags.DEFINE_enum("pooling", None, ("first", "max", "mean"), about)
    flags.DEFINE_integer("lora_rank", None, "LoRA rank; by default the whole encoder is trained.", lower_bound=0)
    about = "Largest number of epochs, for all tasks; by default each has its own."
    flags.DEFINE_integer("epochs", None, about, lower_bound=1)
    about = "Peak learning rate, for all tasks; by default each has its own."
    flags.DEFINE_float("learning_rate", None, about, lower_bound=0)
    about = "Rows of a training batch, for all tasks; by default each has its own."
    flags.DEFINE_integer("batch_size", None, about, lower_bound=1)
    flags.DEFINE_integer("max_train_rows", None, "Train each task on at most this many rows.", lower_bound=1)


# === Data ===


def find(name, part):
    """The path of a file, or of a part of a data set that `load_dataset` knows, in the data folder; None if absent."""
    if name is None:
        names = (part, f"{part}.gz")
    elif name in SENTENCE_TASKS:
        names = SENTENCE_TASKS[name].files.get(part, ())
    elif name in KNOWN:
        names = KNOWN[name][part].names if part in KNOWN[name] else ()
    else:
        return part  # ships with tfkor
    return next((str(data_dir() / each) for each in names if (data_dir() / each).is_file()), None)


def source_of(entry):
    """The first of an entry's sources whose data are there, or None."""
    for source in entry.sources:
        if all(find(entry.dataset, part) for part in (source.train, source.test) if part):
            return source
    return None


# === Runs ===


def command(entry, source, folder):
    values = entry.settings | {name: FLAGS[name].value for name in OVERRIDES if FLAGS[name].value is not None}
    values |= {name: FLAGS[name].value for name in PASSED if FLAGS[name].value is not None}
    if entry.program == "run_classifier" and FLAGS.pooling:
        values["pooling"] = FLAGS.pooling
    if entry.dataset:
        values |= {"dataset": entry.dataset, "train_split": source.train}
        values |= {"test_split": source.test} if source.test else {}
    else:
        values["train_file"] = find(None, source.train)
        values |= {"test_file": find(None, source.test)} if source.test else {}
    values |= {"test_rows": source.test_rows} if source.test_rows else {}
    values |= {"model_dir": str(folder), "seeds": ",".join(FLAGS.seeds)}
    given = [f"--{name}={str(value).lower() if value is True else value}" for name, value in values.items()]
    return [sys.executable, "-m", f"tfkor.scripts.{entry.program}", *given]


def results_of(task, entry, source):
    """The results of a task's program, which runs unless it did with the same flags; None if it failed."""
    folder = Path(FLAGS.output_dir) / task
    words, record = command(entry, source, folder), folder / "command.json"
    if not (record.is_file() and (folder / RESULTS).is_file() and json.loads(record.read_text("utf-8")) == words):
        say(f"=== {task}: {' '.join(words[1:])}")
        if subprocess.run(
            words, stdout=subprocess.DEVNULL, env={**os.environ, "TFKOR_DATA": str(data_dir())}
        ).returncode:
            return None
        write_json(record, words)
    return json.loads((folder / RESULTS).read_text("utf-8"))


def row_of(entry, source, results):
    """The entry of a task in leaderboard.json."""
    first = next(iter(results["runs"].values()))
    rebuilt = "rebuilt" in str(find(entry.dataset, source.train))
    notes = [source.note, "a rebuilt split, not the official one" if rebuilt else ""]
    cut = FLAGS.max_train_rows is not None and first["train_examples"] >= FLAGS.max_train_rows
    notes.append(f"trained on {first['train_examples']:,} rows" if cut else "")
    return {
        "figures": {name: results["test"][name] for name in entry.metrics},
        "train_examples": first["train_examples"],
        "test_examples": first["test"].get("examples"),
        "note": "; ".join(filter(None, notes)),
        "best": results["best"],
        "seconds": sum(run["seconds"] for run in results["runs"].values()),
    }


# === Tables ===


def table(name, rows):
    """Markdown: the encoder's metrics first, the published ones below; one table for each group of sources."""
    models, lines, shown = published_metrics(), [f"# {name}", ""], set()
    ours = {f"{task} {metric}": value for task, row in rows.items() for metric, value in row["figures"].items()}
    notes = {task: row["note"] for task, row in rows.items() if row["note"]}
    groups = (("KoELECTRA", "LMkor"), ("KLUE",))
    for group in groups:
        chosen = [model for model in models if model[1] in group]
        columns = [column for column in chosen[0][2] if column in ours]
        shown |= set(columns)
        if columns:
            links = ", ".join(f"[{source}]({SOURCES[source]})" for source in group)
            lines += [f"Published metrics: {links}", ""]
            lines += markdown(columns, [(name, cells(columns, ours, notes))] + [
                (f"{model} ({source})", [f"{metrics[c]:.2f}" if c in metrics else "" for c in columns])
                for model, source, metrics in chosen
            ])  # fmt: skip
    rest = [column for column in ours if column not in shown]
    if rest:
        lines += ["Without published metrics", "", *markdown(rest, [(name, cells(rest, ours, notes))])]
    lines += [f"Mean and standard deviation over the seeds {', '.join(FLAGS.seeds)}, in percent.", ""]
    lines += [f"\\* {task}: {note}: not comparable with the published metrics." for task, note in notes.items()]
    return "\n".join(lines) + "\n"


def cells(columns, ours, notes):
    out = []
    for column in columns:
        mean, std = (value and 100 * value for value in (ours[column]["mean"], ours[column]["std"]))
        text = f"{mean:.2f}" + (f" ± {std:.2f}" if std is not None else "")
        out.append(text + (" \\*" if column.split()[0] in notes else ""))
    return out


def markdown(columns, rows):
    lines = ["| model | " + " | ".join(columns) + " |", "|---|" + "--:|" * len(columns)]
    return [*lines, *(f"| {name} | {' | '.join(values)} |" for name, values in rows), ""]


def job():
    if unknown := sorted(set(FLAGS.tasks) - set(TASKS)):
        raise app.UsageError(f"--tasks has {unknown[0]}; expected some of {', '.join(TASKS)}")
    seeds_of(FLAGS.seeds)  # raises UsageError for what is no seed
    if FLAGS.data_dir:
        os.environ["TFKOR_DATA"] = os.path.abspath(FLAGS.data_dir)
    name = FLAGS.name or Path(FLAGS.init_checkpoint).name
    folder, rows, missing, failed = Path(FLAGS.output_dir), {}, [], []
    for task in FLAGS.tasks:
        source = source_of(TASKS[task])
        if source is None:
            missing.append(task)
            continue
        results = results_of(task, TASKS[task], source)
        if results is None:
            failed.append(task)
            continue
        rows[task] = row_of(TASKS[task], source, results)
        with new_file(folder / "leaderboard.md") as temporary:  # after each task, so that it can be read meanwhile
            temporary.write_text(table(name, rows), "utf-8")
    if not rows:
        raise FileNotFoundError(
            f"no task was trained: {len(missing)} have no data in {data_dir()}, {len(failed)} failed; expected data in "
            "--data_dir"
        )
    say((folder / "leaderboard.md").read_text("utf-8"))
    results = {"encoder": name, "init_checkpoint": FLAGS.init_checkpoint, "seeds": FLAGS.seeds, "tasks": rows}
    published = [
        {"model": model, "source": SOURCES[source], "percent": row} for model, source, row in published_metrics()
    ]
    write_json(folder / "leaderboard.json", results | {"missing": missing, "failed": failed, "published": published})
    return results | {"missing": missing, "failed": failed}


if __name__ == "__main__":
    run_program(define_flags, job)
