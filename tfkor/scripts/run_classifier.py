"""Trains, evaluates and uses a text classifier.

Train on files, or on a data set that tfkor knows:

  python -m tfkor.scripts.run_classifier --mode=train --train_file=train.tsv --dev_file=dev.tsv --test_file=test.tsv \\
      --text_column=utterance --label_column=intent --model_dir=runs/intents
  python -m tfkor.scripts.run_classifier --mode=train --dataset=3i4k --model_dir=runs/3i4k

Evaluate, and predict a file (plain text with one text a line, or a table with a text column):

  python -m tfkor.scripts.run_classifier --mode=evaluate --model_dir=runs/intents --test_file=test.tsv
  python -m tfkor.scripts.run_classifier --mode=predict --model_dir=runs/intents --input_file=in.txt \\
      --output_file=out.jsonl

Files are TSV, CSV or JSONL, also .gz. The last line printed is one JSON object with the figures.
"""

import json
import time
from pathlib import Path

from absl import app, flags

from tfkor.data import TextData, load_dataset, read_table
from tfkor.data.korean import splits_of_datasets
from tfkor.data.sentence_tasks import TASKS
from tfkor.files import new_file, write_json
from tfkor.scripts import _fine_tuning as fine_tuning
from tfkor.scripts import run_program, say

FLAGS = flags.FLAGS

ACTIVATIONS = {"class": "softmax", "multi_label": "sigmoid", "regression": "linear"}


def define_flags():
    fine_tuning.define_flags(max_length=128, epochs=10, learning_rate=5e-4, dropout=0.2, patience=3)
    flags.adopt_module_key_flags(fine_tuning)
    # Data
    flags.DEFINE_string("dataset", None, "A data set that tfkor knows, in place of files: 3i4k, nsmc, korsts ...")
    flags.DEFINE_string("text_column", "text", "Column of the text.")
    flags.DEFINE_string("label_column", "label", "Column of the label.")
    flags.DEFINE_string("pair_column", None, "Column of the second text, for pairs.")
    flags.DEFINE_enum("label_type", "class", list(ACTIVATIONS), "One class, any number of classes, or a number.")
    flags.DEFINE_string("label_separator", "|", "What stands between the labels of a multi_label column.")
    flags.DEFINE_integer("dev_rows", 2000, "Rows cut from the training data for dev, where there is no dev data.")
    flags.DEFINE_integer("max_train_rows", None, "Train on so many rows only, drawn with the seed.")
    # Model
    flags.DEFINE_bool("lowercase", False, "Whether a tokenizer that is trained here folds case.")
    flags.DEFINE_integer("num_hidden_layers", None, "Layers of an encoder with random weights, if not the size's.")
    flags.DEFINE_enum("pooling", "first", ("first", "max", "mean"), "What of the encoder's output the classifier sees.")
    # Training
    flags.DEFINE_float("token_dropout", 0.0, "Share of tokens replaced by [MASK] in training.")
    flags.DEFINE_float("subword_dropout", 0.0, "Words fall into other pieces in each epoch; try 0.3.")
    flags.DEFINE_float("r_drop", 0.0, "Weight of R-Drop: better without pretraining, at twice the time; try 1.")
    flags.DEFINE_float("label_smoothing", 0.0, "Share of a label that is spread over all classes; try 0.1.")
    flags.DEFINE_bool("balanced", False, "Weigh each class the same, however many rows it has.")
    flags.DEFINE_float("none_acceptance", 0.95, 'Share of dev texts that are kept by the "none of these" threshold.')
    # Prediction
    flags.DEFINE_integer("top_k", 3, "Labels to write for each text.")


def read_file(path, labelled=True):
    return read_table(
        path,
        text_column=FLAGS.text_column,
        label_column=FLAGS.label_column if labelled else None,
        pair_column=FLAGS.pair_column,
        label_type=FLAGS.label_type,
        label_separator=FLAGS.label_separator,
    )


def load_splits():
    """Returns TextData or None for each of train, dev and test; dev is cut from train where there is none."""
    if FLAGS.dataset:
        known = splits_of_datasets().get(FLAGS.dataset, ("train",))
        train = load_dataset(FLAGS.dataset, "train")
        dev, test = (load_dataset(FLAGS.dataset, split) if split in known else None for split in ("dev", "test"))
        if FLAGS.dataset in TASKS:
            FLAGS.label_type = TASKS[FLAGS.dataset].label_type
    elif FLAGS.train_file:
        train = read_file(FLAGS.train_file)
        dev, test = (read_file(path) if path else None for path in (FLAGS.dev_file, FLAGS.test_file))
    else:
        raise app.UsageError("--mode=train needs --train_file or --dataset; found neither")
    if dev is None:
        train, dev = cut(train, min(FLAGS.dev_rows, len(train) // 10))
    if FLAGS.max_train_rows:
        train = cut(train, max(0, len(train) - FLAGS.max_train_rows))[0]
    return train, dev, test


def cut(data, rows):
    """Returns (the rest, `rows` rows), drawn with the seed."""
    import numpy as np

    order = np.random.default_rng(FLAGS.seed).permutation(len(data))
    return data.select(np.sort(order[rows:])), data.select(np.sort(order[:rows])) if rows else None


def build_classifier(train):
    from tfkor.tasks import TextClassifier

    texts = train.texts + (train.pairs or [])
    changes = {} if FLAGS.num_hidden_layers is None else {"num_hidden_layers": FLAGS.num_hidden_layers}
    encoder, tokenizer = fine_tuning.encoder_and_tokenizer(texts, FLAGS.lowercase, **changes)
    return TextClassifier(
        encoder,
        dropout=FLAGS.dropout,
        activation=ACTIVATIONS[FLAGS.label_type],
        pooling=FLAGS.pooling,
        tokenizer=tokenizer,
        max_length=min(FLAGS.max_length, encoder.max_length) if FLAGS.init_checkpoint else FLAGS.max_length,
    )


def train():
    if Path(FLAGS.model_dir).exists() and not FLAGS.overwrite:
        raise app.UsageError(f"--model_dir={FLAGS.model_dir} is there already; name a new folder, or say --overwrite")
    train_data, dev, test = load_splits()
    classifier = build_classifier(train_data)
    parameters = classifier.encoder.count_params()
    tokens = classifier.tokenizer.vocab_size
    say(f"{len(train_data):,} rows to train on, {tokens:,} tokens, {parameters:,} parameters in the encoder")
    start = time.monotonic()
    history = classifier.fit(
        train_data,
        validation=dev,
        class_weight="balanced" if FLAGS.balanced else None,
        token_dropout=FLAGS.token_dropout,
        subword_dropout=FLAGS.subword_dropout,
        r_drop=FLAGS.r_drop,
        label_smoothing=FLAGS.label_smoothing,
        on_best=lambda: classifier.save(FLAGS.model_dir),
        **fine_tuning.fit_options(),
    )
    seconds = time.monotonic() - start
    if dev is not None and classifier.activation == "softmax":
        classifier.calibrate(dev.texts, dev.pairs, FLAGS.none_acceptance)
    classifier.save(FLAGS.model_dir)
    results = {
        "model_dir": FLAGS.model_dir,
        "seconds": round(seconds, 1),
        "epochs": len(history),
        "train_examples": len(train_data),
        "parameters": parameters,
        "none_threshold": classifier.none_threshold,
    }
    for name, data in (("dev", dev), ("test", test)):
        if data is not None:
            results[name] = classifier.evaluate(data)
    write_json(Path(FLAGS.model_dir) / "results.json", {**results, "history": history, "flags": flag_values()})
    return results


def flag_values():
    here = FLAGS.find_module_defining_flag("dataset")
    return {flag.name: flag.value for flag in FLAGS.get_key_flags_for_module(here)}


def evaluate():
    from tfkor.tasks import TextClassifier

    if not FLAGS.test_file and not FLAGS.dataset:
        raise app.UsageError("--mode=evaluate needs --test_file or --dataset; found neither")
    classifier = TextClassifier.load(FLAGS.model_dir)
    FLAGS.label_type = classifier.label_type
    return classifier.evaluate(load_dataset(FLAGS.dataset, "test") if FLAGS.dataset else read_file(FLAGS.test_file))


def predict():
    from tfkor.tasks import TextClassifier

    for name in ("input_file", "output_file"):
        if not FLAGS[name].value:
            raise app.UsageError(f"--mode=predict needs --{name}")
    classifier = TextClassifier.load(FLAGS.model_dir)
    data = read_file(FLAGS.input_file, labelled=False)
    start = time.monotonic()
    scores = classifier.predict_proba(TextData(data.texts, data.pairs))
    seconds = time.monotonic() - start
    with new_file(FLAGS.output_file) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in prediction_rows(classifier, data, scores):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return {"examples": len(data), "seconds": round(seconds, 3), "output_file": FLAGS.output_file}


def prediction_rows(classifier, data, scores):
    """Yields the JSON object of each text."""
    for i, (text, row) in enumerate(zip(data.texts, scores, strict=True)):
        result = {"text": text} if data.pairs is None else {"text": text, "pair": data.pairs[i]}
        if classifier.activation == "linear":
            yield {**result, "value": float(row[0])}
            continue
        best = (-row).argsort(kind="stable")[: FLAGS.top_k]
        result["labels"] = [classifier.labels[j] for j in best]
        result["probabilities"] = [round(float(row[j]), 6) for j in best]
        if classifier.none_threshold is not None:
            result["none_of_these"] = bool(row.max() < classifier.none_threshold)
        yield result


def job():
    return {"train": train, "evaluate": evaluate, "predict": predict}[FLAGS.mode]()


if __name__ == "__main__":
    run_program(define_flags, job)
