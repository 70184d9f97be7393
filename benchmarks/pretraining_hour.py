"""From text to test metrics: tokenizer, shards, an hour of pretraining, classifiers from it and from random weights.

  python benchmarks/pretraining_hour.py --corpus=CORPUS --output_dir=runs/hour

CORPUS is a folder of text files, or a comma-separated list of files. Finished steps in --output_dir are not repeated,
so a stopped run resumes. The last line printed is one JSON object with the results.
"""

import functools
import json
import subprocess
import sys
import time
from pathlib import Path

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_list("corpus", None, "Text files, or a folder of them.", required=True)
flags.DEFINE_string("output_dir", "runs/hour", "Folder for all results.")
flags.DEFINE_string("recipe", "bert_hour", "Recipe of the pretraining.")
flags.DEFINE_float("train_hours", 1.0, "Hours of pretraining.")
flags.DEFINE_integer("vocab_size", 16_000, "Entries of the tokenizer.")
flags.DEFINE_list("datasets", ["intents176", "3i4k"], "Data sets to fine-tune on.")
flags.DEFINE_integer("seeds", 3, "Fine-tunings of each kind.")

# The same for both, except that random weights need more epochs and max pooling; with a higher learning rate, four
# layers with random weights learn nothing
COMMON = {
    "intents176": ["--dropout=0.2", "--max_length=64", "--batch_size=32", "--subword_dropout=0.5", "--r_drop=1.0"],
    "3i4k": ["--dropout=0.2", "--max_length=64", "--batch_size=64", "--subword_dropout=0.3"],
}
FINE_TUNING = {
    "intents176": {
        "pretrained": ["--epochs=12", "--learning_rate=5e-4", "--patience=12", "--pooling=mean"],
        "random": ["--epochs=20", "--learning_rate=3e-4", "--patience=20", "--pooling=max"],
    },
    "3i4k": {
        "pretrained": ["--epochs=3", "--learning_rate=3e-4", "--patience=3", "--pooling=mean"],
        "random": ["--epochs=3", "--learning_rate=3e-4", "--patience=3", "--pooling=max"],
    },
}


def program(name, *arguments):
    """Runs a program of tfkor, its progress on standard error; returns the JSON object on its last line."""
    command = [sys.executable, "-m", f"tfkor.scripts.{name}", *arguments]
    print(" ".join(command), file=sys.stderr, flush=True)
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def once(path, make):
    """The results in the file `path`; if there is none, those of `make()`, which are written to it."""
    if not path.is_file():
        start = time.monotonic()
        result = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**result, "wall_seconds": round(time.monotonic() - start, 1)}, ensure_ascii=False))
    return json.loads(path.read_text())


def main(_):
    folder = Path(FLAGS.output_dir)
    tokenizer, shards, model = folder / "tokenizer", folder / "shards", folder / FLAGS.recipe
    files = [str(p) for path in map(Path, FLAGS.corpus) for p in (sorted(path.iterdir()) if path.is_dir() else [path])]
    text = ",".join(files)
    results = {
        "tokenizer": once(folder / "tokenizer.json", lambda: program(
            "train_tokenizer", f"--input={text}", f"--vocab_size={FLAGS.vocab_size}", f"--output_dir={tokenizer}",
            "--overwrite",
        )),
        "shards": once(folder / "shards.json", lambda: program(
            "create_pretraining_data", f"--input={text}", f"--tokenizer={tokenizer}", f"--output_dir={shards}",
        )),
        "pretraining": once(folder / f"{FLAGS.recipe}.json", lambda: program(
            "run_pretraining", f"--recipe={FLAGS.recipe}", f"--shards={shards}", f"--model_dir={model}",
            f"--train_hours={FLAGS.train_hours}",
        )),
    }  # fmt: skip
    for dataset in FLAGS.datasets:
        kinds = ("pretrained", "random")
        results[dataset] = {kind: fine_tuned(folder, dataset, kind, model, tokenizer) for kind in kinds}
    print_table(results)
    print(json.dumps(results, ensure_ascii=False))


def fine_tuned(folder, dataset, kind, model, tokenizer):
    """The test metrics of each seed."""
    out = []
    for seed in range(FLAGS.seeds):
        name = f"{dataset}-{FLAGS.recipe}-{seed}" if kind == "pretrained" else f"{dataset}-random-{seed}"
        if kind == "pretrained":
            start = [f"--init_checkpoint={model}"]
        else:
            start = [f"--tokenizer_dir={tokenizer}", f"--model={FLAGS.recipe.split('_')[0]}", "--size=mini"]
        arguments = [f"--dataset={dataset}", f"--model_dir={folder / name}", f"--seed={seed}", "--overwrite"]
        arguments += [*start, *COMMON[dataset], *FINE_TUNING[dataset][kind]]
        result = once(folder / f"{name}.json", functools.partial(program, "run_classifier", *arguments))
        out.append({**result["test"], "seconds": result["seconds"]})
    return out


def print_table(results):
    for dataset in FLAGS.datasets:
        for kind, runs in results[dataset].items():
            accuracies = [100 * run["accuracy"] for run in runs]
            mean = sum(accuracies) / len(accuracies)
            seeds = ", ".join(f"{a:.1f}" for a in accuracies)
            print(f"| {dataset} | {kind} | {mean:.1f}% ({seeds}) |", flush=True)


if __name__ == "__main__":
    app.run(main)
