"""Latency of one utterance: tfkor's exports beside ONNX Runtime and PyTorch, with the same weights.

  python benchmarks/latency.py
  python benchmarks/latency.py --contenders=saved_model,onnx,onnx_int8,tflite_int8
  python benchmarks/latency.py --quick

Ids of one utterance in, probabilities out; BERT-base, random weights, 176 classes.

  saved_model        the SavedModel of tfkor.export.export_classifier, by TensorFlow
  saved_model_eigen  the same with TF_ENABLE_ONEDNN_OPTS=0, which suits a single row better
  tflite_int8        the file of export_tflite(quantize="int8"), by TFLite
  onnx               torch.onnx.export of the same weights, by ONNX Runtime; onnx_fused: after its optimizer of BERT
  onnx_int8          onnx after quantize_dynamic; onnx_fused_int8: both
  torch              transformers on PyTorch, inference mode; torch_compiled: by torch.compile

A contender is a process that keeps its model; they take turns for several rounds, and medians are reported. The
probabilities of each are compared with the first one's. The last line printed is one JSON object. benchmarks/README.md
has results.
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

PEERS = Path(__file__).with_name("latency_peers.py")
CONTENDERS = (
    "saved_model_eigen",
    "saved_model",
    "tflite_int8",
    "onnx",
    "onnx_fused",
    "onnx_int8",
    "onnx_fused_int8",
    "torch",
    "torch_compiled",
)
QUICK = dict(size="tiny", rounds=2, turn_seconds=0.2)


def define_flags():
    flags.DEFINE_list("contenders", list(CONTENDERS), "Contenders to measure; ratios are to the first one.")
    flags.DEFINE_enum("size", "base", list(SIZES), "Size of the BERT.")
    flags.DEFINE_integer("tokens", 20, "Ids of the utterance.")
    flags.DEFINE_integer("rounds", 7, "Turns of each contender.", lower_bound=1)
    flags.DEFINE_float("turn_seconds", 2.0, "About how long a turn lasts.")
    flags.DEFINE_bool("quick", False, "A tiny size, to check that everything runs.")
    flags.DEFINE_string("output", None, "JSON file to write the results to.")


def job():
    if FLAGS.quick:
        for name, value in QUICK.items():
            if not FLAGS[name].present:
                FLAGS[name].value = value
    if unknown := sorted({*FLAGS.contenders} - {*CONTENDERS}):
        raise app.UsageError(f"--contenders: no {', '.join(unknown)}; expected some of {', '.join(CONTENDERS)}")
    with tempfile.TemporaryDirectory() as folder:
        found = compare(FLAGS.contenders, make_job(Path(folder)), Path(folder))
    print_table(found)
    results = {"cores": len(os.sched_getaffinity(0)), "contenders": found}
    if FLAGS.output:
        write_json(FLAGS.output, results)
    return results


def make_job(folder):
    """A TextClassifier with random weights in model/, as transformers writes it in model/hf/; ids of an utterance."""
    import keras

    from tfkor import Bert, BertConfig, TextClassifier, Tokenizer
    from tfkor.interop import save_task

    keras.utils.set_random_seed(0)
    vocab = [chr(0xAC00 + i) for i in range(11_172)]
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *vocab, *(f"##{entry}" for entry in vocab)]
    encoder = Bert(BertConfig.of(FLAGS.size, vocab_size=len(vocab), max_position_embeddings=512))
    labels = [f"intent{i}" for i in range(176)]
    classifier = TextClassifier(encoder, labels=labels, tokenizer=Tokenizer.from_vocab(vocab))
    classifier.save(folder / "model")
    save_task(folder / "model/hf", classifier)
    ids = np.random.default_rng(0).integers(5, len(vocab), FLAGS.tokens)
    return {"model": str(folder / "model"), "ids": [int(i) for i in ids]}


class Contender(Worker):
    """A contender in its own process, after two predictions to warm up."""

    def __init__(self, contender, job, folder):
        write_json(folder / f"{contender}.json", job)
        command = [sys.executable, str(PEERS), contender, str(folder / f"{contender}.json")]
        quiet = {"CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow", "TOKENIZERS_PARALLELISM": "true"}
        if contender == "saved_model_eigen":
            quiet["TF_ENABLE_ONEDNN_OPTS"] = "0"
        super().__init__(command, os.environ | quiet, folder / f"{contender}.err")
        self.name, self.first = contender, self.answer()


def compare(contenders, job, folder):
    """{contender: its measurements}, with interleaved turns."""
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


def print_table(results):
    print(f"\nBERT-{FLAGS.size}, one utterance of {FLAGS.tokens} tokens, ms\n")
    print("| contender | median | best | ratio | largest difference | MB |\n|---|--:|--:|--:|--:|--:|")
    for name, row in sorted(results.items(), key=lambda item: item[1]["seconds"]):
        print(
            f"| {name} | {row['seconds'] * 1e3:.2f} | {row['best_seconds'] * 1e3:.2f} | {row['over_first']:.2f} "
            f"| {row['largest_difference']:.1e} | {row['memory_mb']:,.0f} |"
        )
    print(flush=True)


if __name__ == "__main__":
    run_program(define_flags, job)
