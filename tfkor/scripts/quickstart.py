"""From nothing to a served 176-way Korean intent classifier: train, evaluate, export, use.

  python -m tfkor.scripts.quickstart

Trains a tokenizer and a BERT encoder on intents176, which ships with tfkor, writes the model, exports, pictures and
results.json to runs/quickstart/, then loads the exported model in a new process and classifies five utterances.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
from absl import flags

from tfkor import Bert, BertConfig, TextClassifier, Tokenizer
from tfkor.data import Batches, Buckets, TextData, intents176_intents, label_array, load_intents176
from tfkor.export import (
    TFLiteClassifier,
    export_classifier,
    export_encoder,
    export_string_classifier,
    export_tflite,
)
from tfkor.files import new_file, write_json
from tfkor.layers.inputs import INPUT_NAMES
from tfkor.metrics.classification import class_report
from tfkor.scripts import run_program
from tfkor.tasks.report import confusion_picture, domain_report, markdown_table
from tfkor.text import train_wordpiece

FLAGS = flags.FLAGS
EPOCHS = 20

UTTERANCES = [
    "이번 달 카드값 얼마 나왔어?",
    "내일 아침 일곱 시에 깨워 줘",
    "엄마한테 30만 원 보내 줘",
    "오늘 우산 챙겨야 돼?",
    "거실 불 좀 꺼 줄래",
]

# What a new process does with the string model: nothing but tensorflow and tensorflow_text.
SERVE = """
import json, sys
import tensorflow as tf, tensorflow_text
model = tf.saved_model.load(sys.argv[1])
answer = model.signatures["serving_default"](tf.constant(json.loads(sys.argv[2])))
print(json.dumps({"labels": [[x.decode() for x in row] for row in answer["labels"].numpy()],
                  "probabilities": answer["top_probabilities"].numpy().tolist()}))
"""


def define_flags():
    flags.DEFINE_string("output_dir", "runs/quickstart", "Folder for the model, the exports and the results.")
    flags.DEFINE_integer("epochs", EPOCHS, "Largest number of epochs.")
    flags.DEFINE_integer("seed", 0, "Random seed; the same one gives the same model.")
    flags.DEFINE_integer("max_train_rows", None, "Train on about this many rows, taken evenly from all intents.")


def new_classifier(texts, num_classes=176, seed=0):
    """A tokenizer trained on `texts`, and a classifier on a small BERT that is not pretrained."""
    keras.utils.set_random_seed(seed)
    tokenizer = Tokenizer.from_vocab(train_wordpiece(texts, vocab_size=6000))
    sizes = dict(vocab_size=tokenizer.vocab_size, num_hidden_layers=1, max_position_embeddings=64)
    encoder = Bert(BertConfig.of("mini", **sizes))
    return TextClassifier(encoder, num_classes, dropout=0.2, pooling="max", tokenizer=tokenizer, max_length=64)


def train(classifier, data, dev, epochs=EPOCHS, seed=0, on_best=None):
    options = dict(learning_rate=1e-3, token_dropout=0.1, subword_dropout=0.5, r_drop=1.0, ema=0.99, patience=5)
    history = classifier.fit(data, validation=dev, epochs=epochs, seed=seed, on_best=on_best, **options)
    classifier.calibrate(dev.texts)
    return history


def evaluate(classifier, folder):
    """Returns the metrics on the test part, in all and by domain; writes confusion.png and domains.md."""
    test = load_intents176("test")
    # classes in the order of intents.tsv, in which the intents of a domain follow one another
    names = [intent.intent for intent in intents176_intents()]
    domains = [name.split(".")[0] for name in names]
    truth = label_array(test, names)
    predicted = label_array(TextData(test.texts, labels=classifier.predict(test.texts)), names)
    report = class_report(truth, predicted, len(names))
    title = f"intents176, test: {report['accuracy']:.1%} of {report['examples']} utterances right"
    confusion_picture(folder / "confusion.png", truth, predicted, domains, title)
    rows = domain_report(truth, predicted, domains)
    table = markdown_table(rows, ["domain", "examples", "accuracy", "domain_accuracy", "macro_f1"])
    with new_file(folder / "domains.md") as temporary:
        temporary.write_text(table + "\n", encoding="utf-8")
    print(table)
    return report, rows


def export(classifier, folder):
    """Writes the exports; returns the fraction of test rows on which TFLite and the model agree."""
    export_encoder(classifier.encoder, folder / "encoder", overwrite=True)
    export_classifier(classifier, folder / "ids", overwrite=True)
    export_string_classifier(classifier, folder / "strings", overwrite=True)
    agreement = {}
    for quantize in (None, "int8"):
        name = f"classifier_{quantize or 'float'}.tflite"
        export_tflite(classifier, folder / name, length=classifier.max_length, quantize=quantize, overwrite=True)
        agreement[quantize or "float"] = tflite_agreement(classifier, folder / name)
    return agreement


def tflite_agreement(classifier, path):
    """The fraction of test utterances for which TFLite and the Keras model predict the same intent."""
    test = load_intents176("test")
    ids, segments = classifier.pack(test)
    lite = TFLiteClassifier(path)
    buckets = Buckets.of([classifier.max_length], batch_size=80)
    likeliest = np.zeros(len(test), np.int64)
    for rows, batch in Batches(ids, segments, buckets=buckets).in_order():
        scores = lite([batch[name] for name in INPUT_NAMES])
        likeliest[rows] = np.asarray(scores).argmax(1)[: len(rows)]
    return float(np.mean(likeliest == classifier.predict_proba(test.texts).argmax(1)))


def ask_in_new_process(folder):
    """The string model's answers to UTTERANCES, from a process that has only tensorflow and tensorflow_text."""
    command = [sys.executable, "-c", SERVE, str(folder / "strings"), json.dumps(UTTERANCES)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    if done.returncode:
        raise OSError(f"the process that serves {folder / 'strings'} failed:\n{done.stderr[-2000:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    for utterance, labels, probabilities in zip(UTTERANCES, answer["labels"], answer["probabilities"]):
        likely = ", ".join(f"{label} {p:.0%}" for label, p in zip(labels, probabilities))
        print(f"  {utterance}  ->  {likely}")
    return answer


def job():
    start = time.monotonic()
    folder = Path(FLAGS.output_dir).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    data, dev = load_intents176("train"), load_intents176("dev")
    if FLAGS.max_train_rows:
        data = data.select(range(0, len(data), -(-len(data) // FLAGS.max_train_rows)))
    classifier = new_classifier(data.texts, seed=FLAGS.seed)
    print(f"training: {classifier.encoder.count_params():,} parameters, {classifier.tokenizer.vocab_size} tokens")
    model = folder / "model"
    history = train(classifier, data, dev, FLAGS.epochs, FLAGS.seed, on_best=lambda: classifier.save(model))
    classifier.save(model)
    training_seconds = time.monotonic() - start
    report, domains = evaluate(classifier, folder)
    print("exporting: encoder, ids, strings, TFLite float and int8")
    agreement = export(classifier, folder / "exports")
    print("asking the exported string model in a new process:")
    answers = ask_in_new_process(folder / "exports")
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    results = {
        **report,
        "epochs": len(history),
        "training_seconds": round(training_seconds, 1),
        "seconds": round(time.monotonic() - start, 1),
        "peak_memory_mib": max(resource.getrusage(kind).ru_maxrss for kind in kinds) // 1024,
        "none_threshold": classifier.none_threshold,
        "tflite_agreement": agreement,
    }
    details = {"domains": domains, "history": history, "utterances": UTTERANCES, "answers": answers}
    write_json(folder / "results.json", {**results, **details})
    print(f"written to {folder}")
    return results


if __name__ == "__main__":
    run_program(define_flags, job)
