"""The speed of an MLM training step: tfkor beside KerasHub, TF Model Garden and Hugging Face, on the same machine.

  python benchmarks/pretraining_step.py --garden_python=garden/bin/python
  python benchmarks/pretraining_step.py --models=mini:16x128 --contenders=tfkor_tf,tfkor_tf_bf16,hf_bf16
  python benchmarks/pretraining_step.py --quick
  python benchmarks/pretraining_step.py --device=gpu --contenders=tfkor_jax_bf16,hf_bf16,hf_compiled_bf16

Same sizes, ids, masks, optimizer (AdamW, clipping to a norm of 1) and dropout (0.1) for all. A contender is a process
that keeps its model; they take turns of some steps each for several rounds, and medians are reported. At most --at_once
of them run at a time, and the first contender is in each of these groups: ratios are to its steps in the same group.

  tfkor_tf, tfkor_tf_xla, tfkor_jax              TrainStep on MaskedLanguageModel
  kerashub_tf, kerashub_tf_graph, kerashub_jax   keras_hub.models.BertMaskedLM.fit; graph: jit_compile=False
  garden, garden_xla                             official.nlp MaskedLMTask.train_step (--garden_python)
  hf, hf_gathered, hf_compiled                   transformers.BertForMaskedLM, fused AdamW; gathered: the head is
                                                 called on the masked positions only; compiled: torch.compile

Each also in bfloat16: NAME_bf16 (mixed_bfloat16, torch.autocast). Contenders that can't be imported
are skipped with a message.

MFU is of the highest rate of a product of two square matrices that any contender's library reached in that precision
in the same run; "of own shapes" is of the rate for the step's own products. Model FLOPs are those of the step with the
head at the masked positions. The last table has rows of natural length (--short_corpus), where only real tokens count:
the fastest peer, tfkor, and tfkor with sequence packing. --curve_steps adds the losses of tfkor in bfloat16 and with
two seeds in float32.

Tables and results go to standard output; its last line is one JSON object. benchmarks/README.md has the results.
"""

import gzip
import importlib.util
import itertools
import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags
from pretraining_step_peers import KINDS, kind_of
from worker import Ended, Worker

os.environ.setdefault("KERAS_BACKEND", "numpy")  # of this process, which only makes batches

from tfkor.data import ShardFolder
from tfkor.data.make_shards import ShardRecipe, make_shards
from tfkor.files import write_json
from tfkor.models.bert import SIZES
from tfkor.pretraining.batches import PretrainingBatches, Recipe
from tfkor.scripts import run_program, say
from tfkor.text import Tokenizer, train_wordpiece

FLAGS = flags.FLAGS

PEERS = Path(__file__).with_name("pretraining_step_peers.py")
CONTENDERS = [f"{kind}{precision}" for precision in ("_bf16", "") for kind in KINDS]
EXTRA = ("tfkor_tf_xla", "garden_xla", "hf_gathered", "hf_compiled")  # run when they are asked for
BERT_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
PACKED = "_packed"
QUICK = dict(models=["tiny:4x32"], vocab_size=2000, predictions=4, corpus_mb=0.3, batches=8, rounds=2, turn_seconds=0.2)


def define_flags():
    here = Path(__file__).resolve().parents[1]
    data = os.environ.get("TFKOR_DATA", here.parent / "shared" / "data")
    flags.DEFINE_list("contenders", None, f"Some of {', '.join(CONTENDERS)}; the first one sets the pace.")
    flags.DEFINE_list("models", None, "SIZE:ROWSxLENGTH, ... None: mini:16x128,base:8x128; on a GPU base:128x128.")
    flags.DEFINE_enum("device", "cpu", ["cpu", "gpu"], "Where the contenders run.")
    flags.DEFINE_bool("quick", False, "Tiny sizes, to see whether all of it runs.")
    flags.DEFINE_string("garden_python", None, "Python of an environment with tf-models-official.")
    flags.DEFINE_string("data_dir", str(data), "Folder with corpus/.")
    flags.DEFINE_list("corpus", ["president_speeches", "kr_statutes"], "Files of corpus/, without .txt.gz.")
    flags.DEFINE_string("short_corpus", "nsmc_reviews", "A file of short texts, one a line; empty: no such table.")
    flags.DEFINE_float("corpus_mb", 6.0, "Text of each corpus, in 10**6 bytes.")
    flags.DEFINE_integer("vocab_size", 32_000, "Entries of the vocabulary.")
    flags.DEFINE_integer("predictions", 20, "Positions to predict in a row.")
    flags.DEFINE_integer("batches", 256, "Different batches; after the last one comes the first.", lower_bound=1)
    flags.DEFINE_integer("rounds", 5, "Turns of each contender.", lower_bound=1)
    flags.DEFINE_float("turn_seconds", 4.0, "About how long a turn lasts.")
    flags.DEFINE_integer("at_once", 4, "Processes alive at a time; all their models are in memory.", lower_bound=2)
    flags.DEFINE_float("learning_rate", 2e-4, "Learning rate, the same in each step.")
    flags.DEFINE_integer("curve_steps", 0, "Steps of the curves in float32 and bfloat16, first model; 0: no curves.")
    flags.DEFINE_integer("seed", 0, "Draws rows, masks, weights and dropout.")
    flags.DEFINE_string("output", None, "Where the results go as JSON.")


def job():
    if FLAGS.quick:
        for name, value in QUICK.items():
            if not FLAGS[name].present:
                FLAGS[name].value = value
    contenders = FLAGS.contenders or [name for name in CONTENDERS if not name.startswith(EXTRA)]
    if unknown := [name for name in contenders if name not in CONTENDERS]:
        raise app.UsageError(f"--contenders: no {', '.join(unknown)}; expected some of {', '.join(CONTENDERS)}")
    models = [parse_model(text) for text in FLAGS.models or default_models()]
    results = {"cores": len(os.sched_getaffinity(0)), "device": FLAGS.device, "tables": {}}
    with tempfile.TemporaryDirectory() as folder:
        corpora = Corpora(Path(folder))
        for i, model in enumerate(models):
            file = corpora.batches("long", model)
            results["tables"][model["name"]] = compare(model["name"], contenders, model, {"": file}, Path(folder))
            if not i and FLAGS.curve_steps:
                results["curves"] = curves(model, file, Path(folder))
        if FLAGS.short_corpus:
            measured = results["tables"][models[0]["name"]]["contenders"]
            results["tables"]["short texts"] = compare_short(measured, corpora, models[0], Path(folder))
    if FLAGS.output:
        write_json(FLAGS.output, results)
    return results


def default_models():
    return ["base:128x128"] if FLAGS.device == "gpu" else ["mini:16x128", "base:8x128"]


def parse_model(text):
    try:
        size, shape = text.split(":")
        rows, length = map(int, shape.split("x"))
        sizes = {name: SIZES[size][name] for name in BERT_SIZES}
    except (ValueError, KeyError):
        raise app.UsageError(f"--models: {text!r}; expected SIZE:ROWSxLENGTH such as base:8x128") from None
    return {"name": f"{size} {shape}", "rows": rows, "length": length, "sizes": sizes}


# === Text ===


class Corpora:
    """Shards of long and of short documents, with one tokenizer, and files of batches of them."""

    def __init__(self, folder):
        self.folder = folder
        texts = {"long": [part for name in FLAGS.corpus for part in self.lines(name)]}
        if FLAGS.short_corpus:
            texts["short"] = [part for line in self.lines(FLAGS.short_corpus) for part in (line, "\n")]
        vocab = train_wordpiece([line for lines in texts.values() for line in lines], FLAGS.vocab_size)
        Tokenizer.from_vocab(vocab).save(folder / "tokenizer")
        self.shards = {}
        for name, lines in texts.items():
            (folder / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
            recipe = ShardRecipe(shard_mb=4.0)
            make_shards([folder / f"{name}.txt"], folder / "tokenizer", folder / name, recipe, say=lambda _: None)
            self.shards[name] = ShardFolder(folder / name)
        say(f"{len(vocab):,} entries, {', '.join(f'{n}: {s.manifest}' for n, s in self.shards.items())[:200]}")

    def lines(self, name):
        """The first lines of a corpus; an empty one ends a document."""
        found, left = [], FLAGS.corpus_mb * 10**6
        with gzip.open(Path(FLAGS.data_dir) / "corpus" / f"{name}.txt.gz", "rt", encoding="utf-8") as file:
            for line in file:
                found.append(line)
                left -= len(line.encode())
                if left < 0:
                    break
        return [*found, "\n"]

    def batches(self, name, model, packing=False):
        """Writes an .npz with the arrays of all batches, [N, B, ...]; returns its path."""
        recipe = Recipe(model["length"], FLAGS.predictions, packing=packing)
        drawn = itertools.islice(
            PretrainingBatches(self.shards[name], recipe, model["rows"], FLAGS.seed), FLAGS.batches
        )  # fmt: skip
        rows = list(drawn)
        path = self.folder / f"{name} {model['name']}{PACKED * packing}.npz"
        np.savez(path, **{key: np.stack([row[key] for row in rows]) for key in rows[0]})
        return path


# === Contenders ===


class Missing(Exception):
    """A contender that this machine can't run."""


class Contender(Worker):
    """A contender in its own process, after its step was compiled and run a few times."""

    def __init__(self, contender, settings, folder):
        self.name = contender
        kind, self.dtype = kind_of(contender.removesuffix(PACKED))
        python = FLAGS.garden_python if kind.startswith("garden") else sys.executable
        if python is None:
            raise Missing("--garden_python is not set")
        write_json(folder / f"{contender}.json", settings)
        command = [python, str(PEERS), contender.removesuffix(PACKED), str(folder / f"{contender}.json")]
        super().__init__(command, environment(KINDS[kind][2]), folder / f"{contender}.err")
        try:
            first = self.answer()
            if "missing" in first:
                raise Missing(first["missing"])
            self.versions = first["versions"]
            self.first = self.ask(steps=1)  # compiles
            self.seconds = self.ask(steps=2)["seconds"]
        except (Missing, Ended):
            self.close()
            raise


def environment(backend):
    cpu = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    shared = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TOKENIZERS_PARALLELISM": "false"}
    return {**os.environ, **quiet, **(cpu if FLAGS.device == "cpu" else shared), "KERAS_BACKEND": backend or "torch"}


def start(contender, model, files, folder, seed=0):
    """Returns the worker of a contender, or None where it can't be run."""
    settings = {
        "sizes": model["sizes"],
        "length": model["length"],
        "vocab_size": FLAGS.vocab_size,
        "batches": str(files[PACKED if contender.endswith(PACKED) else ""]),
        "learning_rate": FLAGS.learning_rate,
        "device": FLAGS.device,
        "seed": FLAGS.seed + seed,
    }
    try:
        worker = Contender(contender, settings, folder)
    except (Missing, Ended) as reason:
        say(f"{contender} is left out: {reason}")
        return None
    say(f"{contender}: {worker.seconds * 1000:.0f} ms a step, first {worker.first['seconds']:.0f} s")
    return worker


# === Measurements ===


def compare(name, contenders, model, files, folder):
    """Runs the contenders in groups, alternately; prints a table and returns its values."""
    found, rates, left, table = {}, {}, list(contenders), {}
    while left:
        baseline, workers = list(found)[:1], []
        while left and len(baseline) + len(workers) < FLAGS.at_once:
            worker = start(left.pop(0), model, files, folder)
            workers += [worker] if worker else []
        if not workers:
            break
        workers = [start(first, model, files, folder) for first in baseline] + workers
        turns = [[] for _ in workers]
        for _, (worker, taken) in itertools.product(range(FLAGS.rounds), list(zip(workers, turns, strict=True))):
            steps = max(1, min(100, round(FLAGS.turn_seconds / worker.seconds)))
            taken.append(worker.ask(steps=steps))
            for kind, shapes in (("square", square_shapes()), ("own", own_shapes(model))):
                rate = worker.ask(shapes=shapes, seconds=FLAGS.turn_seconds / 8)["rate"]
                rates.setdefault((worker.dtype, kind), {}).setdefault(worker.name, []).append(rate)
        for worker, taken in zip(workers, turns, strict=True):
            # the first contender keeps the measurements of its first group
            found.setdefault(worker.name, summary(taken, turns[0], worker))
            worker.close()
        best = best_of(rates)
        table = {contender: full(measured, contender, best, model, files) for contender, measured in found.items()}
        print_table(name, table, best, model)
    if not table:
        raise ValueError(f"none of the contenders can be run here: {', '.join(contenders)}")
    return {"matrix_rates": {" ".join(key): rate for key, rate in best.items()}, "contenders": table}


def compare_short(measured, corpora, model, folder):
    """The table of texts of natural length, for the fastest of tfkor and the fastest peer."""
    files = {packing: corpora.batches("short", model, bool(packing)) for packing in ("", PACKED)}
    fastest = sorted(measured, key=lambda contender: measured[contender]["seconds"])
    ours, peers = ([c for c in fastest if c.startswith("tfkor") == is_ours] for is_ours in (True, False))
    contenders = [*(c + PACKED for c in ours[:1]), *ours[:1], *peers[:1]]
    return compare(f"{model['name']}, short texts", contenders, model, files, folder)


def summary(turns, first, worker):
    """Medians of a worker's turns, and of the ratios of its step times to those of the group's first contender."""
    seconds = [turn["seconds"] for turn in turns]
    ratio = [turn["seconds"] / other["seconds"] for turn, other in zip(turns, first, strict=True)]
    return {
        "seconds": statistics.median(seconds),
        "seconds_all": seconds,
        "cpu_seconds": statistics.median(turn["cpu_seconds"] for turn in turns),
        "over_first": statistics.median(ratio),
        "memory_mb": turns[-1]["memory_mb"],
        "first_loss": worker.first["loss"],
        "last_loss": turns[-1]["loss"],
        "compile_seconds": worker.first["seconds"],
        "versions": worker.versions,
    }


def best_of(rates):
    """{(dtype, kind): the highest median that a library reached}."""
    return {key: max(statistics.median(values) for values in by.values()) for key, by in rates.items()}


def full(measured, contender, rates, model, files):
    """The measurements of a contender with the values that follow from them."""
    dtype = kind_of(contender.removesuffix(PACKED))[1]
    real, flops = real_tokens(files[PACKED if contender.endswith(PACKED) else ""]), step_flops(model)
    return {
        **measured,
        "tokens_per_second": model["rows"] * model["length"] / measured["seconds"],
        "real_tokens_per_second": real / measured["seconds"],
        "mfu": flops / measured["seconds"] / rates[dtype, "square"],
        "mfu_own_shapes": flops / measured["seconds"] / rates[dtype, "own"],
    }


def print_table(name, table, rates, model):
    """A Markdown table of what was measured so far."""
    reached = ", ".join(f"{dtype} {kind} {rate / 1e9:,.0f}" for (dtype, kind), rate in rates.items())
    print(f"\n{name}: {step_flops(model) / 1e9:.3g} GFLOP a step; matrix products, GFLOP/s: {reached}\n")
    print("| contender | tokens/s | real tokens/s | ms | ratio | CPU ms | MFU | of own shapes | MB | loss |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for contender, row in sorted(table.items(), key=lambda item: item[1]["seconds"]):
        print(
            f"| {contender} | {row['tokens_per_second']:,.0f} | {row['real_tokens_per_second']:,.0f} "
            f"| {row['seconds'] * 1000:,.0f} | {row['over_first']:.2f} | {row['cpu_seconds'] * 1000:,.0f} "
            f"| {row['mfu']:.0%} | {row['mfu_own_shapes']:.0%} | {row['memory_mb']:,.0f} "
            f"| {row['first_loss']:.2f} → {row['last_loss']:.2f} |"
        )
    print(flush=True)


def curves(model, file, folder, steps=10):
    """The loss of tfkor in bfloat16 and in float32 with two seeds, means over `steps` steps, and their differences."""
    kind = "tfkor_jax" if FLAGS.device == "gpu" or importlib.util.find_spec("tensorflow") is None else "tfkor_tf"
    runs = {"bfloat16": (f"{kind}_bf16", 0), "float32": (kind, 0), "other seed": (kind, 1)}
    losses = {}
    for name, (contender, seed) in runs.items():
        worker = start(contender, model, {"": file}, folder, seed)
        losses[name] = [worker.ask(steps=steps)["loss"] for _ in range(FLAGS.curve_steps // steps)]
        worker.close()
    print("| steps | " + " | ".join(losses) + " |\n|--:|" + "--:|" * len(losses))
    for i, row in enumerate(zip(*losses.values(), strict=True)):
        print(f"| {(i + 1) * steps} | " + " | ".join(f"{loss:.3f}" for loss in row) + " |")
    gaps = {name: np.abs(np.subtract(losses[name], losses["float32"])) for name in ("bfloat16", "other seed")}
    gaps = {name: {"mean": float(gap.mean()), "largest": float(gap.max())} for name, gap in gaps.items()}
    print(f"\naway from float32, mean and largest: {gaps}", flush=True)
    return {"losses": losses, "away_from_float32": gaps}


# === What a step computes ===


def step_flops(model):
    """Operations of a training step, matrix products only, as tfkor.training.flops counts them."""
    hidden, layers, _, inner = (model["sizes"][name] for name in BERT_SIZES)
    tokens, predicted = model["rows"] * model["length"], model["rows"] * FLAGS.predictions
    blocks = layers * (2 * (4 * hidden * hidden + 2 * hidden * inner) + 4 * hidden * model["length"])
    return 3 * (tokens * blocks + 2 * predicted * (hidden * hidden + FLAGS.vocab_size * hidden))


def own_shapes(model):
    """The matrix products of a layer and of the output layer, forward and both backward: [(m, k, n), ...]."""
    hidden, layers, _, inner = (model["sizes"][name] for name in BERT_SIZES)
    tokens, predicted = model["rows"] * model["length"], model["rows"] * FLAGS.predictions
    layer = 4 * [(tokens, hidden, hidden)] + [(tokens, hidden, inner), (tokens, inner, hidden)]
    forward = {(predicted, hidden, FLAGS.vocab_size): 1 / layers} | {shape: layer.count(shape) for shape in layer}
    return [(count, shape) for (m, k, n), count in forward.items() for shape in ((m, k, n), (m, n, k), (k, m, n))]


def square_shapes():
    size = 8192 if FLAGS.device == "gpu" else 2048
    return [(1, (size, size, size))]


def real_tokens(file):
    """Number of ids in a batch that are not padding, the mean over the batches."""
    with np.load(file) as arrays:
        return float((arrays["input_mask"] > 0).sum() / len(arrays["input_mask"]))


if __name__ == "__main__":
    run_program(define_flags, job)
