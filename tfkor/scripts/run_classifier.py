"""Trains, evaluates or applies a text classifier.

Train on files, or on a data set that tfkor knows:

  python -m tfkor.scripts.run_classifier --mode=train --train_file=train.tsv --dev_file=dev.tsv --test_file=test.tsv \\
      --text_column=utterance --label_column=intent --model_dir=runs/intents
  python -m tfkor.scripts.run_classifier --mode=train --dataset=3i4k --model_dir=runs/3i4k

Train LoRA weights only; with three seeds, for mean and standard deviation; with five folds; with a teacher
(knowledge distillation):

  ... --init_checkpoint=klue/bert-base --lora_rank=8 --learning_rate=3e-4
  ... --seeds=0,1,2
  ... --folds=5
  ... --teacher=runs/large --distillation=0.9 --unlabelled_file=more.txt

Evaluate, and write predictions for a file (plain text with one text per line, or a table with a text column):

  python -m tfkor.scripts.run_classifier --mode=evaluate --model_dir=runs/intents --test_file=test.tsv
  python -m tfkor.scripts.run_classifier --mode=predict --model_dir=runs/intents --input_file=in.txt \\
      --output_file=out.jsonl

Files are TSV, CSV or JSONL, also .gz. The last line printed is one JSON object with the metrics.
"""

import functools
import json
import time

from absl import app, flags

from tfkor.data import TextData, label_names, load_dataset, read_table
from tfkor.data.folds import cut_rows
from tfkor.data.korean import splits_of_datasets
from tfkor.data.sentence_tasks import TASKS
from tfkor.files import new_file
from tfkor.scripts import _fine_tuning as fine_tuning
from tfkor.scripts import run_program

FLAGS = flags.FLAGS

ACTIVATIONS = {"class": "softmax", "multi_label": "sigmoid", "regression": "linear"}


def define_flags():
    fine_tuning.define_flags(max_length=128, epochs=10, learning_rate=5e-4, dropout=0.2, patience=3)
    fine_tuning.define_test_rows()
    fine_tuning.define_label_smoothing()
    flags.adopt_module_key_flags(fine_tuning)
    # Data
    flags.DEFINE_string("dataset", None, "Data set that tfkor knows, instead of files: 3i4k, nsmc, korsts ...")
    for name in ("train_file", "dev_file", "test_file"):
        flags.mark_flags_as_mutual_exclusive(("dataset", name))
    flags.DEFINE_enum("train_split", "train", ("train", "dev", "test"), "Part of --dataset to train on.")
    flags.DEFINE_enum("test_split", "test", ("dev", "test"), "Part of --dataset to test on.")
    flags.DEFINE_string("text_column", "text", "Column of the text.")
    flags.DEFINE_string("label_column", "label", "Column of the label.")
    flags.DEFINE_string("pair_column", None, "Column of the second text, for tasks on pairs of texts.")
    flags.DEFINE_enum("label_type", "class", list(ACTIVATIONS), "One class, any number of classes, or a number.")
    flags.DEFINE_string("label_separator", "|", "Separator between the labels in a multi_label column.")
    about = "Without dev data: rows of the training data to use as dev, drawn with --seed."
    flags.DEFINE_integer("dev_rows", 2000, about, lower_bound=0)
    # Model
    about = "Number of layers of an encoder with random weights; by default that of --size."
    flags.DEFINE_integer("num_hidden_layers", None, about, lower_bound=1)
    about = "Pooling of the encoder's output: the first token, or the maximum or mean over tokens."
    flags.DEFINE_enum("pooling", "first", ("first", "max", "mean"), about)
    # Training
    fraction = fine_tuning.FRACTION
    flags.DEFINE_float("token_dropout", 0.0, "Fraction of the tokens to replace by [MASK] in training.", **fraction)
    about = "Subword regularisation: how often words are split into other pieces than usual in training; try 0.3."
    flags.DEFINE_float("subword_dropout", 0.0, about, **fraction)
    about = "Weight of the R-Drop loss, which takes twice the time and helps without pretraining; 0 is off, try 1."
    flags.DEFINE_float("r_drop", 0.0, about, lower_bound=0)
    flags.DEFINE_bool("balanced", False, "Weight the loss so that all classes count the same, whatever their size.")
    flags.DEFINE_string("teacher", None, "Knowledge distillation: folder of a fine-tuned classifier to learn from.")
    about = "Knowledge distillation: temperature of the teacher's softmax; with a high one unlikely classes count more."
    flags.DEFINE_float("temperature", 2.0, about)
    flags.register_validator("temperature", lambda value: value > 0, "expected more than 0")
    about = "Knowledge distillation: weight of the teacher's loss; that of the labels has the rest."
    flags.DEFINE_float("distillation", 0.5, about, **fraction)
    about = "Knowledge distillation: file of further texts, which the teacher labels."
    flags.DEFINE_string("unlabelled_file", None, about)
    about = 'Fraction of the dev texts that the "none of these" (out-of-scope) threshold accepts.'
    flags.DEFINE_float("none_acceptance", 0.95, about, **fraction)
    # Prediction
    flags.DEFINE_integer("top_k", 3, "Number of labels to write for each text.", lower_bound=1)


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
        train, dev, test = known_splits()
    elif FLAGS.train_file:
        train = read_file(FLAGS.train_file)
        dev, test = (read_file(path) if path else None for path in (FLAGS.dev_file, FLAGS.test_file))
    else:
        raise app.UsageError("--mode=train needs --train_file or --dataset; found neither")
    train, test = fine_tuning.with_test_rows(train, test)
    if dev is None and not FLAGS.folds:  # with --folds it is cut from what each run trains on
        train, dev = cut_dev(train)
    return fine_tuning.sampled(train), dev, test


def known_splits():
    """(train, dev, test) of --dataset; no dev where the part is already trained on or evaluated on."""
    taken = {"train": FLAGS.train_split, "test": FLAGS.test_split}
    taken["dev"] = None if "dev" in taken.values() else "dev"
    known = {*splits_of_datasets().get(FLAGS.dataset, ()), FLAGS.train_split} - {None}
    parts = [taken[name] if taken[name] in known else None for name in ("train", "dev", "test")]
    if parts[2] == parts[0]:
        parts[2] = None
    return tuple(load_dataset(FLAGS.dataset, part) if part else None for part in parts)


def label_type():
    return TASKS[FLAGS.dataset].label_type if FLAGS.dataset in TASKS else FLAGS.label_type


def cut_dev(train):
    """(the rest, dev), drawn with the seed; dev is None where there are few rows."""
    rows = min(FLAGS.dev_rows, len(train) // 10)
    return tuple(map(train.select, cut_rows(train, rows, FLAGS.seed))) if rows else (train, None)


def build_classifier(train, labels=None):
    from tfkor.tasks import TextClassifier

    texts = train.texts + (train.pairs or [])
    changes = {} if FLAGS.num_hidden_layers is None else {"num_hidden_layers": FLAGS.num_hidden_layers}
    encoder, tokenizer = fine_tuning.encoder_and_tokenizer(texts, **changes)
    return TextClassifier(
        encoder,
        dropout=FLAGS.dropout,
        activation=ACTIVATIONS[label_type()],
        pooling=FLAGS.pooling,
        tokenizer=tokenizer,
        labels=labels,
        max_length=min(FLAGS.max_length, encoder.max_length) if FLAGS.init_checkpoint else FLAGS.max_length,
    )


def train():
    for name in ("temperature", "distillation", "unlabelled_file"):
        if FLAGS[name].present and not FLAGS.teacher:
            raise app.UsageError(f"--{name}={FLAGS[name].value} has no effect without --teacher; expected both")
    splits = functools.cache(load_splits)

    def make(train):
        is_class = FLAGS.folds and label_type() != "regression"
        return build_classifier(train, label_names(splits()[0]) if is_class else None)

    return fine_tuning.train(splits, make, fit_options, calibrated, cut_dev)


def fit_options():
    """Keyword arguments of `TextClassifier.fit` that only this program has."""
    from tfkor.tasks import TextClassifier

    names = ("token_dropout", "subword_dropout", "r_drop", "label_smoothing")
    options = {name: FLAGS[name].value for name in names}
    options["class_weight"] = "balanced" if FLAGS.balanced else None
    if FLAGS.teacher:
        options |= {"temperature": FLAGS.temperature, "distillation": FLAGS.distillation}
        options["teacher"] = TextClassifier.load(FLAGS.teacher)
        options["unlabelled"] = read_file(FLAGS.unlabelled_file, labelled=False) if FLAGS.unlabelled_file else None
    return options


def calibrated(classifier, dev):
    if dev is not None and classifier.activation == "softmax":
        classifier.calibrate(dev.texts, dev.pairs, FLAGS.none_acceptance)
    return {"none_threshold": classifier.none_threshold}


def evaluate():
    from tfkor.tasks import TextClassifier

    if not FLAGS.test_file and not FLAGS.dataset:
        raise app.UsageError("--mode=evaluate needs --test_file or --dataset; found neither")
    classifier = TextClassifier.load(FLAGS.model_dir, dtype=FLAGS.precision)
    FLAGS.label_type = classifier.label_type
    return classifier.evaluate(evaluation_data())


def evaluation_data():
    """TextData of --test_file, or of the part --test_split of --dataset."""
    if not FLAGS.dataset:
        return read_file(FLAGS.test_file)
    known = splits_of_datasets().get(FLAGS.dataset)
    if known and FLAGS.test_split not in known:
        raise app.UsageError(f"--test_split={FLAGS.test_split}; --dataset={FLAGS.dataset} has {', '.join(known)}")
    return load_dataset(FLAGS.dataset, FLAGS.test_split)


def predict():
    from tfkor.tasks import TextClassifier

    for name in ("input_file", "output_file"):
        if not FLAGS[name].value:
            raise app.UsageError(f"--mode=predict needs --{name}")
    classifier = TextClassifier.load(FLAGS.model_dir, dtype=FLAGS.precision)
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
