"""Time to the end of a fine-tuning, and accuracy: tfkor beside Hugging Face Trainer and KerasHub, on the same machine.

  python benchmarks/fine_tuning.py --train_rows=4000
  python benchmarks/fine_tuning.py --train_rows=12000 --epochs=3 --contenders=tfkor,hf_dynamic

Every contender starts from random weights of the same sizes, with the head's from the same distribution, and gets the
same texts, vocabulary, epochs, batch size, maximum length, learning rate with warm-up and linear decay, weight decay,
clipping and dropout:

  tfkor        TextClassifier.fit
  hf_padded    transformers.Trainer, every row padded to the maximum length
  hf_dynamic   transformers.Trainer, dynamic padding and grouping by length: the fastest peer
  kerashub     keras_hub.models.BertTextClassifier with its preprocessor

Each run has its own process; they run one at a time, and the contenders alternate. Time is measured from texts in
memory, after the libraries have been imported, to the trained model: tokenization, building the model, compilation and
all epochs. Accuracy is that of the test rows, whose prediction is not timed. Everything runs on the CPU.

Tables and metrics go to standard output; its last line is one JSON object. benchmarks/README.md has the results.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags

from tfkor.data import load_dataset
from tfkor.files import write_json
from tfkor.metrics.classification import class_report
from tfkor.models.bert import SIZES
from tfkor.scripts import run_program
from tfkor.text import train_wordpiece

FLAGS = flags.FLAGS

PEERS = Path(__file__).with_name("fine_tuning_peers.py")
CONTENDERS = ("tfkor", "hf_padded", "hf_dynamic", "kerashub", "kerashub_graph", "tfkor_bf16", "hf_dynamic_bf16")
SHARED = ("max_length", "batch_size", "epochs", "learning_rate", "warmup", "weight_decay", "clip_norm", "dropout")
BERT_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


def define_flags():
    flags.DEFINE_list("dataset", ["3i4k", "nsmc"], "Data sets: 3i4k, nsmc, intents176.")
    flags.DEFINE_list("contenders", list(CONTENDERS[:4]), f"Some of {', '.join(CONTENDERS)}.")
    flags.DEFINE_integer("train_rows", 4_000, "Rows to train on, drawn with the seed; 0 takes all.", lower_bound=0)
    flags.DEFINE_integer("test_rows", 10_000, "At most this many test rows, drawn with the seed; 0 takes all.")
    flags.DEFINE_integer("epochs", 2, "Epochs of each run.", lower_bound=1)
    flags.DEFINE_integer("repeats", 1, "Runs of each contender, each with another seed; medians are shown.")
    flags.DEFINE_enum("size", "mini", list(SIZES), "Size of the encoder.")
    flags.DEFINE_integer("vocab_size", 8000, "Entries of the WordPiece vocabulary, trained on the training rows.")
    flags.DEFINE_integer("max_length", 128, "Maximum length of a row, in tokens.")
    flags.DEFINE_integer("batch_size", 32, "Rows of a step.")
    flags.DEFINE_float("learning_rate", 3e-4, "Highest learning rate.")
    flags.DEFINE_float("warmup", 0.1, "Fraction of the steps in which the learning rate rises.")
    flags.DEFINE_float("weight_decay", 0.01, "Weight decay, not of biases and norms.")
    flags.DEFINE_float("clip_norm", 1.0, "Largest global norm of the gradients.")
    flags.DEFINE_float("dropout", 0.1, "Dropout of the encoder, its attention and the classifier.")
    flags.DEFINE_integer("seed", 0, "Draws the rows; the seed of the first run.")
    flags.DEFINE_string("output", None, "JSON file to write the results to.")


def job():
    if unknown := [name for name in FLAGS.contenders if name not in CONTENDERS]:
        raise app.UsageError(f"--contenders: no {', '.join(unknown)}; expected some of {', '.join(CONTENDERS)}")
    results = {"machine": machine(), "flags": flag_values(), "datasets": {}}
    say(f"{results['machine']['processor']}, {results['machine']['cores']} cores, Python {platform.python_version()}")
    for dataset in FLAGS.dataset:
        with tempfile.TemporaryDirectory() as folder:
            found = run_dataset(dataset, Path(folder))
        results["datasets"][dataset] = found
        print(f"\n{table(dataset, found)}\n", flush=True)
        if FLAGS.output:
            write_json(FLAGS.output, results)
    return results


def run_dataset(name, folder):
    """Runs all contenders alternately; returns the measurements, their medians and the ratios to tfkor."""
    train, test = (choose_rows(load_dataset(name, split), split) for split in ("train", "test"))
    vocab = train_wordpiece(train.texts, vocab_size=FLAGS.vocab_size)
    (folder / "vocab.txt").write_text("".join(f"{entry}\n" for entry in vocab), encoding="utf-8")
    label_names = sorted({*train.labels, *test.labels})
    settings = {
        "train_texts": train.texts,
        "train_labels": train.labels,
        "test_texts": test.texts,
        "label_names": label_names,
        "vocab_file": str(folder / "vocab.txt"),
        "sizes": {key: SIZES[FLAGS.size][key] for key in BERT_SIZES},
        **{key: FLAGS[key].value for key in SHARED},
    }
    runs = {contender: [] for contender in FLAGS.contenders}
    for repeat in range(FLAGS.repeats):
        write_json(folder / "job.json", {**settings, "seed": FLAGS.seed + repeat})
        for contender in FLAGS.contenders:
            run = run_contender(contender, folder / "job.json")
            truth, found = (np.searchsorted(label_names, labels) for labels in (test.labels, run.pop("predicted")))
            runs[contender].append({**run, **class_report(truth, found, len(label_names))})
            say(f"{name} {contender}: {runs[contender][-1]}")
    medians = {contender: median_of(found) for contender, found in runs.items()}
    ratios = {}
    if "tfkor" in medians:
        seconds = medians["tfkor"]["seconds"]
        ratios = {peer: found["seconds"] / seconds for peer, found in medians.items() if peer != "tfkor"}
    return {
        "train_rows": len(train),
        "test_rows": len(test),
        "source": Path(train.source).name,
        "medians": medians,
        "seconds_over_tfkor": ratios,
        "runs": runs,
    }


def choose_rows(data, split):
    """All rows, or as many as the flag says, drawn with the seed, in the order of the file."""
    rows = FLAGS[f"{split}_rows"].value
    if not rows or rows >= len(data):
        return data
    return data.select(np.sort(np.random.default_rng(FLAGS.seed).permutation(len(data))[:rows]))


def run_contender(contender, job_file):
    """The measurements and predictions of one run, in its own process."""
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, str(PEERS), contender, str(job_file)], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise ValueError(f"{contender} ended with the status {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def median_of(runs):
    """{name: median over runs} of all measurements that are numbers."""
    numbers = [name for name, value in runs[0].items() if isinstance(value, (int, float))]
    return {name: statistics.median(run[name] for run in runs) for name in numbers}


def table(dataset, found):
    """A Markdown table with a line for each contender."""
    lines = [
        f"{dataset}: {found['train_rows']:,} training rows, {FLAGS.epochs} epochs, BERT-{FLAGS.size}, "
        f"{found['test_rows']:,} test rows, {FLAGS.repeats} runs each",
        "",
        "| contender | seconds | over tfkor | accuracy | macro F1 | memory, MB | import, s |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for contender, median in found["medians"].items():
        ratio = found["seconds_over_tfkor"].get(contender)
        lines.append(
            f"| {contender} | {median['seconds']:.1f} | {f'{ratio:.2f}' if ratio else '1'} | {median['accuracy']:.2%} "
            f"| {median['macro_f1']:.2%} | {median['memory_mb']:,.0f} | {median['import_seconds']:.1f} |"
        )
    return "\n".join(lines)


def machine():
    """What the times depend on: processor, cores that this process may use, Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": processor_name(), "cores": cores, "python": platform.python_version()}


def processor_name():
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def flag_values():
    return {flag.name: flag.value for flag in FLAGS.get_key_flags_for_module(sys.argv[0])}


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_program(define_flags, job)
