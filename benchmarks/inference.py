"""Speed of prediction: tfkor beside ONNX Runtime and Hugging Face on PyTorch, with the same weights.

  python benchmarks/inference.py                       latency of one utterance, and rows/s of many
  python benchmarks/inference.py --parts=latency --contenders=saved_model,onnx,onnx_int8,tflite_int8
  python benchmarks/inference.py --quick

Latency: ids of one utterance in, probabilities out; BERT-base, random weights, 176 classes.

  saved_model    the SavedModel of tfkor.export.export_classifier, by TensorFlow
  tflite_int8    the file of export_tflite(quantize="int8"), by TFLite
  onnx           torch.onnx.export of the same weights, by ONNX Runtime; onnx_fused: after its optimizer of BERT
  onnx_int8      onnx after quantize_dynamic; onnx_fused_int8: both
  torch          transformers on PyTorch, inference mode; torch_compiled: by torch.compile

Batches: texts of a data set in, labels out; --batch_size rows at a time, tokenization included.

  predict        TextClassifier.predict
  pipeline       transformers.pipeline with a batch size, as its documentation shows: padded to the longest of a batch
  sorted         by hand: rows sorted by length, so that a batch has the least padding; the strictest
  padded         every row padded to --max_length

A contender is a process that keeps its model; they take turns, several rounds, and medians count. Each contender's
probabilities are compared with the first's. The last line printed is one JSON object.
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags
from worker import Worker

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tfkor.files import write_json
from tfkor.models.bert import SIZES
from tfkor.scripts import run_program, say

FLAGS = flags.FLAGS

PEERS = Path(__file__).with_name("inference_peers.py")
LATENCY = (
    "saved_model",
    "tflite_int8",
    "onnx",
    "onnx_fused",
    "onnx_int8",
    "onnx_fused_int8",
    "torch",
    "torch_compiled",
)
BATCHES = ("predict", "pipeline", "sorted", "padded")
QUICK = dict(size="tiny", batch_model="tiny", rows=64, rounds=2, turn_seconds=0.2, dataset=["intents176"])


def define_flags():
    flags.DEFINE_list("parts", ["latency", "batches"], "What to measure: latency, batches.")
    flags.DEFINE_list("contenders", None, f"Some of {', '.join(LATENCY + BATCHES)}; the first of a part sets the pace.")
    flags.DEFINE_enum("size", "base", list(SIZES), "Size of the BERT whose latency is measured.")
    flags.DEFINE_integer("tokens", 20, "Ids of the utterance.")
    flags.DEFINE_enum("batch_model", "mini", list(SIZES), "Size of the BERT that takes batches.")
    flags.DEFINE_list("dataset", ["nsmc", "korsts"], "Data sets whose test texts are taken.")
    flags.DEFINE_integer("rows", 2000, "Texts of each.")
    flags.DEFINE_integer("batch_size", 32, "Rows at a time.")
    flags.DEFINE_integer("max_length", 128, "Tokens of a row at the most.")
    flags.DEFINE_integer("rounds", 7, "Turns of each contender.", lower_bound=1)
    flags.DEFINE_float("turn_seconds", 2.0, "About how long a turn lasts.")
    flags.DEFINE_bool("quick", False, "Tiny sizes, to see whether all of it runs.")
    flags.DEFINE_string("output", None, "Where the results go as JSON.")


def job():
    if FLAGS.quick:
        for name, value in QUICK.items():
            if not FLAGS[name].present:
                FLAGS[name].value = value
    wanted = FLAGS.contenders or [*LATENCY, *BATCHES]
    if unknown := sorted({*wanted} - {*LATENCY, *BATCHES}):
        raise app.UsageError(f"--contenders: no {', '.join(unknown)}; expected some of {', '.join(LATENCY + BATCHES)}")
    results = {"cores": len(os.sched_getaffinity(0))}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        if "latency" in FLAGS.parts:
            contenders = [name for name in wanted if name in LATENCY]
            results["latency"] = compare(contenders, latency_job(folder), folder)
            print_table(f"BERT-{FLAGS.size}, one utterance of {FLAGS.tokens} tokens, ms", results["latency"], 1e3)
        for dataset in FLAGS.dataset if "batches" in FLAGS.parts else ():
            contenders = [name for name in wanted if name in BATCHES]
            found = results[f"batches {dataset}"] = compare(contenders, batches_job(folder, dataset), folder)
            print_table(f"BERT-{FLAGS.batch_model}, {FLAGS.rows} texts of {dataset}, seconds", found, 1)
    if FLAGS.output:
        write_json(FLAGS.output, results)
    return results


# === What they run ===


def latency_job(folder):
    """A model with random weights in `folder`, and the ids of an utterance."""
    vocab = [f"{chr(0xAC00 + i)}" for i in range(11_172)]
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *vocab, *(f"##{entry}" for entry in vocab)]
    save_model(folder / "latency", vocab, FLAGS.size, [f"intent{i}" for i in range(176)])
    ids = np.random.default_rng(0).integers(5, len(vocab), FLAGS.tokens)
    return {"model": str(folder / "latency"), "ids": [int(i) for i in ids]}


def batches_job(folder, dataset):
    """A model with random weights and a tokenizer of the data set, and texts of it."""
    from tfkor.data import load_dataset
    from tfkor.text import train_wordpiece

    data = load_dataset(dataset, "test")
    pick = np.sort(np.random.default_rng(0).permutation(len(data))[: FLAGS.rows])
    data = data.select(pick)
    vocab = train_wordpiece([*data.texts, *(data.pairs or [])], vocab_size=8000)
    save_model(folder / dataset, vocab, FLAGS.batch_model, ["a", "b"], pair=data.pairs is not None)
    return {"model": str(folder / dataset), "texts": data.texts, "pairs": data.pairs} | {
        name: FLAGS[name].value for name in ("batch_size", "max_length")
    }


def save_model(folder, vocab, size, labels, pair=False):
    """Writes a TextClassifier with random weights, as tfkor does, and as transformers does (hf/ in it)."""
    import keras

    from tfkor import Bert, BertConfig, TextClassifier, Tokenizer
    from tfkor.interop import save_task

    keras.utils.set_random_seed(0)
    tokenizer = Tokenizer.from_vocab(vocab)
    encoder = Bert(BertConfig.of(size, vocab_size=tokenizer.vocab_size, max_position_embeddings=512))
    options = dict(labels=labels, max_length=FLAGS.max_length, tokenizer=tokenizer, pair=pair)
    classifier = TextClassifier(encoder, **options)
    classifier.save(folder)
    save_task(folder / "hf", classifier)


# === Turns ===


class Contender(Worker):
    """A contender in a process of its own, which has predicted twice."""

    def __init__(self, contender, job, folder):
        write_json(folder / f"{contender}.json", job)
        command = [sys.executable, str(PEERS), contender, str(folder / f"{contender}.json")]
        quiet = {"CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow", "TOKENIZERS_PARALLELISM": "true"}
        super().__init__(command, os.environ | quiet, folder / f"{contender}.err")
        self.name, self.first = contender, self.answer()


def compare(contenders, job, folder):
    """{contender: figures} of all, whose turns are interleaved."""
    workers = []
    try:
        for contender in contenders:
            workers.append(Contender(contender, job, folder))
            say(f"{contender}: {workers[-1].first['memory_mb']:,.0f} MB")
        turns = {worker.name: [] for worker in workers}
        for _ in range(FLAGS.rounds):
            for worker in workers:
                turns[worker.name].append(worker.ask(seconds=FLAGS.turn_seconds)["seconds"])
    finally:
        for worker in workers:
            worker.close()
    medians = {name: [statistics.median(turn) for turn in taken] for name, taken in turns.items()}
    first = workers[0]
    out = {}
    for worker in workers:
        ratios = [mine / other for mine, other in zip(medians[worker.name], medians[first.name])]
        away = np.abs(np.subtract(worker.first["probabilities"], first.first["probabilities"]))
        out[worker.name] = {
            "seconds": statistics.median(medians[worker.name]),
            "best_seconds": min(min(turn) for turn in turns[worker.name]),
            "over_first": statistics.median(ratios),
            "memory_mb": worker.first["memory_mb"],
            "largest_difference": float(away.max()),
        }
    return out


def print_table(title, figures, scale):
    print(f"\n{title}\n\n| contender | median | best | ratio | largest difference | MB |\n|---|--:|--:|--:|--:|--:|")
    for name, row in sorted(figures.items(), key=lambda item: item[1]["seconds"]):
        print(
            f"| {name} | {row['seconds'] * scale:.2f} | {row['best_seconds'] * scale:.2f} | {row['over_first']:.2f} "
            f"| {row['largest_difference']:.1e} | {row['memory_mb']:,.0f} |"
        )
    print(flush=True)


if __name__ == "__main__":
    run_program(define_flags, job)
