"""Fine-tunes one encoder on every Korean task whose data are there, and shows its figures beside published ones.

  python -m tfkor.scripts.leaderboard --init_checkpoint=monologg/koelectra-base-v3-discriminator \\
      --output_dir=runs/koelectra
  python -m tfkor.scripts.leaderboard --init_checkpoint=runs/bert --output_dir=runs/quick --tasks=korsts,klue-ner \\
      --seeds=0 --epochs=1 --max_train_rows=1000

Data are looked for in --data_dir, the environment's TFKOR_DATA, or ../shared/data beside a source checkout; none are
downloaded. Each task is trained with each of the seeds by its own program, its epochs chosen without the part that is
scored. What is done is not done again, so the same command goes on after a stop. --output_dir gets a folder for each
task, leaderboard.md and leaderboard.json; the last line printed is that JSON in one line.

A figure with an asterisk is of less or other data than the published ones: the line below the table says which.
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
from tfkor.scripts._published_figures import SOURCES, published_figures
from tfkor.scripts._runs import seeds_of

FLAGS = flags.FLAGS
RESULTS = "results.json"
OVERRIDES = ("epochs", "learning_rate", "max_train_rows", "batch_size")
PASSED = ("init_checkpoint", "tokenizer_dir", "precision", "lora_rank")


def define_flags():
    flags.DEFINE_string(
        "init_checkpoint", None, "A run of run_pretraining, a published checkpoint, or its name.", required=True
    )
    flags.DEFINE_string("output_dir", None, "Folder of the models and the tables.", required=True)
    flags.DEFINE_string("name", None, "What the table calls the encoder; by default the end of --init_checkpoint.")
    flags.DEFINE_list("tasks", list(TASKS), f"Some of {','.join(TASKS)}.")
    flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds, with commas between.")
    flags.DEFINE_string("data_dir", None, "Folder of the data.")
    flags.DEFINE_string("tokenizer_dir", None, "Folder of a tokenizer, if the checkpoint has none.")
    flags.DEFINE_string("precision", None, "Arithmetic of the encoder: float32, mixed_bfloat16 or mixed_float16.")
    flags.DEFINE_enum("pooling", None, ("first", "max", "mean"), "What classifiers of sentences see; first by default.")
    flags.DEFINE_integer("lora_rank", None, "Width of LoRA weights; by default all weights are trained.", lower_bound=0)
    flags.DEFINE_integer("epochs", None, "Epochs of each task, in place of its own.", lower_bound=1)
    flags.DEFINE_float("learning_rate", None, "Learning rate of each task, in place of its own.", lower_bound=0)
    flags.DEFINE_integer("batch_size", None, "Rows of a training step, in place of the task's own.", lower_bound=1)
    flags.DEFINE_integer("max_train_rows", None, "Train on so many rows only.", lower_bound=1)


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
    """What leaderboard.json says of a task."""
    first = next(iter(results["runs"].values()))
    rebuilt = "rebuilt" in str(find(entry.dataset, source.train))
    notes = [source.note, "a split that was rebuilt, not the official one" if rebuilt else ""]
    cut = FLAGS.max_train_rows is not None and first["train_examples"] >= FLAGS.max_train_rows
    notes.append(f"trained on {first['train_examples']:,} rows" if cut else "")
    return {
        "figures": {name: results["test"][name] for name in entry.figures},
        "train_examples": first["train_examples"],
        "test_examples": first["test"].get("examples"),
        "note": "; ".join(filter(None, notes)),
        "best": results["best"],
        "seconds": sum(run["seconds"] for run in results["runs"].values()),
    }


# === Tables ===


def table(name, rows):
    """Markdown: the encoder's figures first, the published ones below; one table for each source of them."""
    models, lines, shown = published_figures(), [f"# {name}", ""], set()
    ours = {f"{task} {figure}": value for task, row in rows.items() for figure, value in row["figures"].items()}
    notes = {task: row["note"] for task, row in rows.items() if row["note"]}
    groups = (("KoELECTRA", "LMkor"), ("KLUE",))
    for group in groups:
        chosen = [model for model in models if model[1] in group]
        columns = [column for column in chosen[0][2] if column in ours]
        shown |= set(columns)
        if columns:
            links = ", ".join(f"[{source}]({SOURCES[source]})" for source in group)
            lines += [f"Published figures: {links}", ""]
            lines += markdown(columns, [(name, cells(columns, ours, notes))] + [
                (f"{model} ({source})", [f"{figures[c]:.2f}" if c in figures else "" for c in columns])
                for model, source, figures in chosen
            ])  # fmt: skip
    rest = [column for column in ours if column not in shown]
    if rest:
        lines += ["No published figures here", "", *markdown(rest, [(name, cells(rest, ours, notes))])]
    lines += [f"Mean and standard deviation of seeds {', '.join(FLAGS.seeds)}, in percent.", ""]
    lines += [f"\\* {task}: {note}: not comparable with published figures." for task, note in notes.items()]
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
    seeds_of(FLAGS.seeds)  # refuses what no training takes
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
        with new_file(folder / "leaderboard.md") as temporary:  # after each task, for those who wait
            temporary.write_text(table(name, rows), "utf-8")
    if not rows:
        raise FileNotFoundError(
            f"no task was trained: {len(missing)} have no data in {data_dir()}, {len(failed)} failed; name --data_dir"
        )
    say((folder / "leaderboard.md").read_text("utf-8"))
    figures = {"encoder": name, "init_checkpoint": FLAGS.init_checkpoint, "seeds": FLAGS.seeds, "tasks": rows}
    published = [
        {"model": model, "source": SOURCES[source], "percent": row} for model, source, row in published_figures()
    ]
    write_json(folder / "leaderboard.json", figures | {"missing": missing, "failed": failed, "published": published})
    return figures | {"missing": missing, "failed": failed}


if __name__ == "__main__":
    run_program(define_flags, job)
