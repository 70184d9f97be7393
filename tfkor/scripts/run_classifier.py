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

from tfkor import zoo
from tfkor.data import TextData, load_dataset, read_table
from tfkor.data.korean import splits_of_datasets
from tfkor.data.sentence_tasks import TASKS
from tfkor.files import new_file, write_json
from tfkor.scripts import run_program, say

FLAGS = flags.FLAGS

MODES = ("train", "evaluate", "predict")
ACTIVATIONS = {"class": "softmax", "multi_label": "sigmoid", "regression": "linear"}


def define_flags():
    flags.DEFINE_enum("mode", "train", MODES, "What to do.")
    flags.DEFINE_string(
        "model_dir", None, "Folder of the model: written by train, read by evaluate and predict.", required=True
    )
    # Data
    flags.DEFINE_string("dataset", None, "A data set that tfkor knows, in place of files: 3i4k, nsmc, korsts ...")
    flags.DEFINE_string("train_file", None, "Labelled texts to train on.")
    flags.DEFINE_string("dev_file", None, "Labelled texts that choose the best epoch and the threshold.")
    flags.DEFINE_string("test_file", None, "Labelled texts to evaluate on.")
    flags.DEFINE_string("input_file", None, "Texts to predict.")
    flags.DEFINE_string("output_file", None, "Where predictions go, a JSON object a line.")
    flags.DEFINE_string("text_column", "text", "Column of the text.")
    flags.DEFINE_string("label_column", "label", "Column of the label.")
    flags.DEFINE_string("pair_column", None, "Column of the second text, for pairs.")
    flags.DEFINE_enum("label_type", "class", list(ACTIVATIONS), "One class, any number of classes, or a number.")
    flags.DEFINE_string("label_separator", "|", "What stands between the labels of a multi_label column.")
    flags.DEFINE_integer("dev_rows", 2000, "Rows cut from the training data for dev, where there is no dev data.")
    flags.DEFINE_integer("max_train_rows", None, "Train on so many rows only, drawn with the seed.")
    # Model
    flags.DEFINE_string(
        "init_checkpoint",
        None,
        "A run of run_pretraining, a published checkpoint, or its name: klue/bert-base.",
    )
    flags.DEFINE_string(
        "tokenizer_dir", None, "Folder of a tokenizer; by default one is trained on the training texts."
    )
    flags.DEFINE_integer("vocab_size", 8000, "Tokens of a tokenizer that is trained here.")
    flags.DEFINE_bool("lowercase", False, "Whether a tokenizer that is trained here folds case.")
    flags.DEFINE_enum("model", "bert", zoo.NAMES, "Architecture of an encoder with random weights.")
    flags.DEFINE_string("size", "mini", "Its size: tiny, mini, small, base, large ...")
    flags.DEFINE_integer("num_hidden_layers", None, "Layers of the encoder, if not those of the size.")
    flags.DEFINE_float("hidden_dropout", 0.1, "Dropout in the encoder.")
    flags.DEFINE_float("dropout", 0.2, "Dropout before the classifier.")
    flags.DEFINE_enum("pooling", "first", ("first", "max", "mean"), "What of the encoder's output the classifier sees.")
    flags.DEFINE_integer("max_length", 128, "Tokens of a row; longer rows are cut.")
    flags.DEFINE_enum(
        "precision", "float32", ("float32", "mixed_bfloat16", "mixed_float16"), "Arithmetic of the encoder."
    )
    # Training
    flags.DEFINE_integer("epochs", 10, "Epochs at the most.")
    flags.DEFINE_integer("batch_size", 32, "Rows of a training step.")
    flags.DEFINE_float("learning_rate", 5e-4, "Highest learning rate; 5e-5 suits a pretrained encoder.")
    flags.DEFINE_float("warmup", 0.1, "Share of the steps in which the learning rate rises.")
    flags.DEFINE_float("weight_decay", 0.01, "AdamW's decay, not of biases and norms.")
    flags.DEFINE_float("token_dropout", 0.0, "Share of tokens replaced by [MASK] in training.")
    flags.DEFINE_float("subword_dropout", 0.0, "Words fall into other pieces in each epoch; try 0.3.")
    flags.DEFINE_float("r_drop", 0.0, "Weight of R-Drop: better without pretraining, at twice the time; try 1.")
    flags.DEFINE_float("layer_decay", 1.0, "Of the learning rate from a layer to the one below; try 0.9.")
    flags.DEFINE_float("unfreeze_epochs", 0.0, "Epochs after which one more layer is trained, from the last one down.")
    flags.DEFINE_float("ema", 0.0, "Momentum of an average of the weights, which is what is kept; try 0.999.")
    flags.DEFINE_float("label_smoothing", 0.0, "Share of a label that is spread over all classes; try 0.1.")
    flags.DEFINE_bool("balanced", False, "Weigh each class the same, however many rows it has.")
    flags.DEFINE_integer("patience", 3, "Epochs without a better dev figure after which training stops.")
    flags.DEFINE_integer("seed", 0, "The same seed gives the same model.")
    flags.DEFINE_float("none_acceptance", 0.95, 'Share of dev texts that are kept by the "none of these" threshold.')
    flags.DEFINE_bool("overwrite", False, "Replace a model that is in model_dir.")
    flags.DEFINE_string("tensorboard_dir", None, "Folder for TensorBoard.")
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
    import keras

    from tfkor.tasks import TextClassifier

    keras.utils.set_random_seed(FLAGS.seed)
    encoder, tokenizer = pretrained_encoder() if FLAGS.init_checkpoint else new_encoder(train)
    return TextClassifier(
        encoder,
        dropout=FLAGS.dropout,
        activation=ACTIVATIONS[FLAGS.label_type],
        pooling=FLAGS.pooling,
        tokenizer=tokenizer,
        max_length=min(FLAGS.max_length, encoder.max_length) if FLAGS.init_checkpoint else FLAGS.max_length,
    )


def pretrained_encoder():
    """(encoder, tokenizer) of --init_checkpoint."""
    from tfkor.text import Tokenizer

    source = FLAGS.init_checkpoint
    encoder, tokenizer = zoo.load(source, dtype=FLAGS.precision, hidden_dropout_prob=FLAGS.hidden_dropout)
    if FLAGS.tokenizer_dir:
        tokenizer = Tokenizer.load(FLAGS.tokenizer_dir)
    if tokenizer is None:
        raise FileNotFoundError(f"--init_checkpoint={source} has no tokenizer; name its folder with --tokenizer_dir")
    return encoder, tokenizer


def new_encoder(train):
    """(encoder, tokenizer) of the flags, with random weights; the tokenizer is trained here unless one is named."""
    from tfkor.text import Tokenizer, train_wordpiece

    if FLAGS.tokenizer_dir:
        tokenizer = Tokenizer.load(FLAGS.tokenizer_dir)
    else:
        texts = train.texts + (train.pairs or [])
        vocab = train_wordpiece(texts, vocab_size=FLAGS.vocab_size, lowercase=FLAGS.lowercase)
        tokenizer = Tokenizer.from_vocab(vocab, lowercase=FLAGS.lowercase)
    changes = {} if FLAGS.num_hidden_layers is None else {"num_hidden_layers": FLAGS.num_hidden_layers}
    encoder_class, config_class = zoo.architecture(FLAGS.model)
    config = config_class.of(
        FLAGS.size,
        vocab_size=tokenizer.vocab_size,
        max_position_embeddings=FLAGS.max_length + config_class.position_offset,
        hidden_dropout_prob=FLAGS.hidden_dropout,
        **changes,
    )
    return encoder_class(config, dtype=FLAGS.precision), tokenizer


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
        epochs=FLAGS.epochs,
        batch_size=FLAGS.batch_size,
        learning_rate=FLAGS.learning_rate,
        warmup=FLAGS.warmup,
        weight_decay=FLAGS.weight_decay,
        class_weight="balanced" if FLAGS.balanced else None,
        token_dropout=FLAGS.token_dropout,
        subword_dropout=FLAGS.subword_dropout,
        r_drop=FLAGS.r_drop,
        ema=FLAGS.ema,
        layer_decay=FLAGS.layer_decay,
        unfreeze_epochs=FLAGS.unfreeze_epochs,
        label_smoothing=FLAGS.label_smoothing,
        patience=FLAGS.patience,
        seed=FLAGS.seed,
        on_best=lambda: classifier.save(FLAGS.model_dir),
        log_dir=FLAGS.tensorboard_dir,
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
    here = FLAGS.find_module_defining_flag("model_dir")
    return {flag.name: flag.value for flag in FLAGS.flags_by_module_dict()[here]}


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
