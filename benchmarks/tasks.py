"""Fine-tuning and prediction of four kinds of tasks: tfkor beside transformers on PyTorch, from the same weights.

  python benchmarks/tasks.py --init_checkpoint=saved_models/bert-mini-hour
  python benchmarks/tasks.py --init_checkpoint=saved_models/bert-mini-hour --tasks=nsmc --contenders=tfkor,hf_compiled

  nsmc      classes of sentences         korsts    similarity of two sentences
  klue-ner  tags of characters           korquad   answers in a context, windows of 384 tokens

  tfkor        fit and predict of TextClassifier, TokenTagger, QuestionAnswerer; tfkor_bf16: in mixed_bfloat16
  hf_dynamic   transformers.Trainer, dynamic padding and grouping by length; hf_compiled: with torch_compile,
               hf_dynamic_bf16: with bf16
  hf_padded    transformers.Trainer, every row padded to the maximum length

transformers predicts in several ways: "padded" (every row to the maximum length), "pipeline" (as its documentation has
it, with a batch size) and "sorted" (a loop over rows sorted by length, so that a batch has the least padding).

Each run has its own process, one at a time. Training is timed from texts in memory to the trained model, tokenization
and compilation included; prediction from texts to labels, the median of the calls after the first. For KLUE-NER and
KorQuAD only the dev set is used: one fixed part of it is trained on and another one evaluated, so that their metrics
are comparable only with each other. The last line printed is one JSON object; benchmarks/README.md has the results.
"""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tfkor import metrics, zoo
from tfkor.data import load_dataset
from tfkor.data.folds import cut_rows
from tfkor.data.korean import data_dir
from tfkor.data.questions import read_questions
from tfkor.data.tagging import KLUE_NER_LABELS, read_klue_ner
from tfkor.files import write_json
from tfkor.interop import save_huggingface
from tfkor.scripts import run_program, say

FLAGS = flags.FLAGS

PEERS = Path(__file__).with_name("tasks_peers.py")
CONTENDERS = ("tfkor", "hf_dynamic", "hf_padded", "hf_compiled", "tfkor_bf16", "hf_dynamic_bf16")
COLUMNS = {
    "classes": ("texts", "pairs", "labels"),
    "numbers": ("texts", "pairs", "labels"),
    "tags": ("texts", "units", "tags"),
    "answers": ("ids", "questions", "contexts", "answers"),
}
# task -> its kind; training rows, test rows; metric; settings that replace the flags'
TASKS = {
    "nsmc": ("classes", 4000, 2000, "accuracy", {}),
    "korsts": ("numbers", 4000, 1379, "spearman", {}),
    "klue-ner": ("tags", 4000, 1000, "entity_f1", {}),
    "korquad": ("answers", 1000, 300, "f1", {"max_length": 384, "batch_size": 16}),
}


def define_flags():
    flags.DEFINE_string("init_checkpoint", None, "The encoder to fine-tune.", required=True)
    flags.DEFINE_integer("positions", 512, "Minimum number of positions of the encoder.")
    flags.DEFINE_list("tasks", list(TASKS), f"Some of {', '.join(TASKS)}.")
    flags.DEFINE_list("contenders", list(CONTENDERS[:3]), f"Some of {', '.join(CONTENDERS)}; ratios are to the first.")
    flags.DEFINE_integer("repeats", 1, "Runs of each contender, each with another seed; medians are shown.")
    flags.DEFINE_float("part", 1.0, "Fraction of the rows to use.")
    flags.DEFINE_integer("epochs", 2, "Epochs of each run.", lower_bound=1)
    flags.DEFINE_integer("batch_size", 32, "Rows of a step.")
    flags.DEFINE_integer("max_length", 128, "Maximum length of a row, in tokens.")
    flags.DEFINE_float("learning_rate", 3e-4, "Highest learning rate.")
    flags.DEFINE_float("warmup", 0.1, "Fraction of the steps in which the learning rate rises.")
    flags.DEFINE_float("weight_decay", 0.01, "Weight decay, not of biases and norms.")
    flags.DEFINE_float("clip_norm", 1.0, "Largest global norm of the gradients.")
    flags.DEFINE_float("dropout", 0.1, "Dropout of the encoder and the head.")
    flags.DEFINE_integer("calls", 2, "Timed predictions of the test rows.")
    flags.DEFINE_integer("seed", 0, "The seed of the first run.")
    flags.DEFINE_string("output", None, "JSON file to write the results to.")


SHARED = (
    "epochs",
    "batch_size",
    "max_length",
    "learning_rate",
    "warmup",
    "weight_decay",
    "clip_norm",
    "dropout",
    "calls",
)


def job():
    for given, known in ((FLAGS.tasks, TASKS), (FLAGS.contenders, CONTENDERS)):
        if unknown := [name for name in given if name not in known]:
            raise app.UsageError(f"no {', '.join(unknown)}; expected some of {', '.join(known)}")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        encoder, tokenizer = zoo.load(FLAGS.init_checkpoint)
        save_huggingface(Path(folder) / "start", with_positions(encoder, FLAGS.positions), tokenizer)
        for task in FLAGS.tasks:
            results[task] = run_task(task, Path(folder))
            print_tables(task, results[task])
            if FLAGS.output:
                write_json(FLAGS.output, results)
    return results


def with_positions(encoder, count):
    """The encoder with at least `count` positions: if it has fewer, a copy in which its positions repeat."""
    if encoder.max_length >= count:
        return encoder
    longer = type(encoder)(dataclasses.replace(encoder.config, max_position_embeddings=count))
    for new, old in zip(longer.variables, encoder.variables, strict=True):
        new.assign(np.resize(old, new.shape))  # as it is, or repeated
    return longer


# === Data ===


def data_of(task):
    """The training rows and the test rows."""
    train_rows, test_rows = (max(8, int(FLAGS.part * rows)) for rows in TASKS[task][1:3])
    if task in ("nsmc", "korsts"):
        parts = load_dataset(task, "train"), load_dataset(task, "test")
        return [drawn(data, rows) for data, rows in zip(parts, (train_rows, test_rows))]
    if task == "klue-ner":
        data = read_klue_ner(found("klue-ner/klue-ner-v1.1_dev.tsv"))
    else:
        data = read_questions(found("korquad1/KorQuAD_v1.0_dev.json"))
    others, cut = cut_rows(data, test_rows)
    return drawn(data.select(others), train_rows), data.select(cut)


def found(name):
    path = data_dir() / name
    return path if path.is_file() else path.with_name(f"{path.name}.gz")


def drawn(data, rows):
    order = np.random.default_rng(0).permutation(len(data))
    return data.select(np.sort(order[:rows]))


def report(task, test, predicted):
    kind, _, _, metric, _ = TASKS[task]
    if kind == "answers":
        return metrics.korquad_report(test.truth(), dict(zip(test.ids, predicted)))[metric]
    if kind == "numbers":
        return metrics.regression_report(test.labels, predicted)[metric]
    if kind == "classes":
        return float(np.mean([a == b for a, b in zip(test.labels, predicted, strict=True)]))
    ids = {label: i for i, label in enumerate(KLUE_NER_LABELS)}
    flat = [[ids[tag] for tags in rows for tag in ("O", *tags, "O")] for rows in (test.tags, predicted)]
    return metrics.klue_ner_report(*flat, KLUE_NER_LABELS)[metric]


# === Runs ===


def run_task(task, folder):
    """The measurements of each contender's runs."""
    kind, _, _, metric, settings = TASKS[task]
    train, test = data_of(task)
    labels = {"classes": sorted(set(getattr(train, "labels", ()))), "tags": list(KLUE_NER_LABELS)}.get(kind)
    common = {
        "kind": kind,
        "start": str(folder / "start"),
        "columns": COLUMNS[kind],
        "train": {name: getattr(train, name) for name in COLUMNS[kind]},
        "test": {name: getattr(test, name) for name in COLUMNS[kind]},
        "labels": labels,
        "max_question": 64,
        "overlap": 128,
        **{name: FLAGS[name].value for name in SHARED},
        **settings,
    }
    runs = {contender: [] for contender in FLAGS.contenders}
    for repeat in range(FLAGS.repeats):
        write_json(folder / "job.json", common | {"seed": FLAGS.seed + repeat})
        for contender in FLAGS.contenders:
            run = run_contender(contender, folder / "job.json")
            run["metrics"] = {way: report(task, test, found) for way, found in run.pop("predicted").items()}
            say(f"{task} {contender}: {run}")
            runs[contender].append(run)
    return {"train_rows": len(train), "test_rows": len(test), "metric": metric, "runs": runs}


def run_contender(contender, job_file):
    quiet = {"CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(PEERS), contender, str(job_file)]
    done = subprocess.run(command, env=os.environ | quiet, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"{contender} ended with the status {done.returncode}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def print_tables(task, results):
    """Prints a table of training, then of prediction: medians, and their ratios to the first contender's."""
    metric, runs = results["metric"], results["runs"]
    first = next(iter(runs.values()))
    print(f"\n{task}: {results['train_rows']} training rows\n\n| | seconds | ratio | memory, MB |\n|---|--:|--:|--:|")
    for contender, found in runs.items():
        ratio = statistics.median(a["train_seconds"] / b["train_seconds"] for a, b in zip(found, first))
        seconds, memory = (statistics.median(run[name] for run in found) for name in ("train_seconds", "memory_mb"))
        print(f"| {contender} | {seconds:.1f} | {ratio:.2f} | {memory:,.0f} |")
    print(f"\n{task}: {results['test_rows']} test rows\n\n| | rows/s | ratio | {metric} |\n|---|--:|--:|--:|")
    own = [next(iter(run["predict"].values()))["seconds"] for run in first]
    for contender, found in runs.items():
        for way in found[0]["predict"]:
            taken = [run["predict"][way]["seconds"] for run in found]
            ratio = statistics.median(a / b for a, b in zip(taken, own))
            quality = statistics.median(run["metrics"][way] for run in found)
            rate = results["test_rows"] / statistics.median(taken)
            print(f"| {contender}, {way} | {rate:,.0f} | {ratio:.2f} | {100 * quality:.1f}% |")
    print(flush=True)


if __name__ == "__main__":
    run_program(define_flags, job)
