"""What the programs that fine-tune share: flags, the encoder to start from, the modes train, evaluate and predict."""

import functools
import json
import time
from pathlib import Path

from absl import app, flags

import tfkor
from tfkor.files import new_file, write_json
from tfkor.models.registry import NAMES, get_architecture
from tfkor.scripts import _runs as runs
from tfkor.scripts import say

FLAGS = flags.FLAGS
MODES = ("train", "evaluate", "predict")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
SHARE = {"lower_bound": 0, "upper_bound": 1}


def define_flags(*, max_length, epochs=3, batch_size=32, learning_rate=5e-5, dropout=0.1, patience=None):
    """Defines the flags that all of these programs have; the arguments are defaults.

    A program calls `flags.adopt_module_key_flags` of this module after that, so that its --help shows them.
    """
    flags.DEFINE_enum("mode", "train", MODES, "What to do.")
    flags.DEFINE_string(
        "model_dir", None, "Folder of the model: written by train, read by evaluate and predict.", required=True
    )
    flags.DEFINE_string("train_file", None, "Data to train on.")
    flags.DEFINE_string("dev_file", None, "Data that choose the best epoch.")
    flags.DEFINE_string("test_file", None, "Data to evaluate on.")
    flags.DEFINE_string("input_file", None, "Texts to predict; the formats are those of the program.")
    flags.DEFINE_string("output_file", None, "Where predictions go, a JSON object a line.")
    flags.DEFINE_integer("max_train_rows", None, "Train on so many rows only, drawn with the seed.", lower_bound=1)
    # Model
    flags.DEFINE_string(
        "init_checkpoint", None, "A run of run_pretraining, a published checkpoint, or its name: klue/bert-base."
    )
    flags.DEFINE_string("tokenizer_dir", None, "Folder of a tokenizer; by default the checkpoint's, or a new one.")
    about = "Whether the tokenizer folds case: a new one, or that of a published checkpoint whose files don't say it."
    flags.DEFINE_bool("lowercase", None, about)
    flags.DEFINE_integer("vocab_size", 8000, "Tokens of a tokenizer that is trained here.", lower_bound=6)
    flags.DEFINE_enum("model", "bert", NAMES, "Architecture of an encoder with random weights.")
    flags.DEFINE_string("size", "mini", "Its size: tiny, mini, small, base, large ...")
    flags.DEFINE_float("hidden_dropout", 0.1, "Dropout in the encoder.", **SHARE)
    flags.DEFINE_float("dropout", dropout, "Dropout before the head.", **SHARE)
    flags.DEFINE_integer("max_length", max_length, "Tokens of a row.", lower_bound=3)
    flags.DEFINE_enum("precision", "float32", PRECISIONS, "Arithmetic of the encoder.")
    # Training
    flags.DEFINE_integer("epochs", epochs, "Epochs at the most.", lower_bound=1)
    flags.DEFINE_integer("batch_size", batch_size, "Rows of a training step.", lower_bound=1)
    flags.DEFINE_float(
        "learning_rate", learning_rate, "Highest learning rate; random weights want ten times as much.", lower_bound=0
    )
    flags.DEFINE_float("warmup", 0.1, "Share of the steps in which the learning rate rises.", **SHARE)
    flags.DEFINE_float("weight_decay", 0.01, "AdamW's decay, not of biases and norms.", lower_bound=0)
    flags.DEFINE_float("layer_decay", 1.0, "Of the learning rate from a layer to the one below; try 0.9.", **SHARE)
    flags.register_validator("layer_decay", lambda rate: rate > 0, "expected more than 0, up to 1")
    flags.DEFINE_float(
        "unfreeze_epochs", 0.0, "Epochs after which one more layer is trained, from the last one down.", lower_bound=0
    )
    flags.DEFINE_float("ema", 0.0, "Momentum of an average of the weights, which is what is kept; try 0.999.", **SHARE)
    flags.DEFINE_integer(
        "patience", patience, "Epochs without a better dev figure after which training stops.", lower_bound=1
    )
    flags.DEFINE_integer("seed", 0, "The same seed gives the same model.", lower_bound=0, upper_bound=runs.MAX_SEED)
    flags.DEFINE_bool("overwrite", False, "Replace a model that is in model_dir.")
    flags.DEFINE_string("tensorboard_dir", None, "Folder for TensorBoard.")
    flags.DEFINE_integer(
        "lora_rank", 0, "Train low-rank weights of this width beside the frozen encoder; 0: all of it.", lower_bound=0
    )
    flags.DEFINE_float("lora_alpha", None, "They count alpha / rank; by default alpha is the rank.", lower_bound=0)
    flags.register_multi_flags_validator(
        ("lora_rank", "lora_alpha"), lambda values: values["lora_rank"] or values["lora_alpha"] is None,
        "--lora_alpha is of no use without --lora_rank",
    )  # fmt: skip
    runs.define_flags()
    flags.adopt_module_key_flags(runs)


def define_test_rows():
    flags.DEFINE_integer(
        "test_rows", None, "Rows of the training data to test on instead, the same ones each time.", lower_bound=1
    )


def define_label_smoothing():
    about = "Share of a label that is spread over all classes; try 0.1."
    flags.DEFINE_float("label_smoothing", 0.0, about, **SHARE)


def label_smoothing():
    """The keyword argument of `fit`, of tasks that take it."""
    return {"label_smoothing": FLAGS.label_smoothing}


def encoder_and_tokenizer(texts, symbols=(), **changes):
    """(encoder, tokenizer) of the flags; a new tokenizer is trained on `texts`.

    `symbols` are strings that shall be one piece each; with LoRA their vectors stay as they are drawn. `changes` are
    fields of the config of an encoder with random weights.
    """
    import keras

    from tfkor.models.lora import add_lora
    from tfkor.text import Tokenizer

    keras.utils.set_random_seed(FLAGS.seed)
    if FLAGS.lora_rank and not FLAGS.init_checkpoint:
        raise app.UsageError("--lora_rank freezes the encoder, which has random weights: name --init_checkpoint")
    tokenizer = Tokenizer.load(FLAGS.tokenizer_dir) if FLAGS.tokenizer_dir else None
    if FLAGS.init_checkpoint:
        encoder, tokenizer = from_checkpoint(tokenizer)
    else:
        encoder, tokenizer = with_random_weights(tokenizer, texts, changes)
    if symbols:
        encoder, tokenizer = tfkor.zoo.with_symbols(encoder, tokenizer, symbols)
    if FLAGS.lora_rank:
        add_lora(encoder, FLAGS.lora_rank, FLAGS.lora_alpha)
    return encoder, tokenizer


def from_checkpoint(tokenizer):
    name = FLAGS.init_checkpoint
    options = {"hidden_dropout_prob": FLAGS.hidden_dropout, **tfkor.zoo.known_options(name)}
    if FLAGS.lowercase is not None:
        options["lowercase"] = FLAGS.lowercase
    found = tfkor.zoo.load_with_heads(name, dtype=FLAGS.precision, **options)
    if tokenizer is None and found.tokenizer is None:
        raise FileNotFoundError(f"--init_checkpoint={FLAGS.init_checkpoint} has no tokenizer: name --tokenizer_dir")
    return found.encoder, tokenizer or found.tokenizer


def with_random_weights(tokenizer, texts, changes):
    from tfkor.text import Tokenizer, train_wordpiece

    if tokenizer is None:
        lowercase = bool(FLAGS.lowercase)
        vocab = train_wordpiece(texts, vocab_size=FLAGS.vocab_size, lowercase=lowercase)
        tokenizer = Tokenizer.from_vocab(vocab, lowercase=lowercase)
    encoder_class, config_class = get_architecture(FLAGS.model)
    config = config_class.of(
        FLAGS.size,
        vocab_size=tokenizer.vocab_size,
        max_position_embeddings=FLAGS.max_length + config_class.position_offset,
        hidden_dropout_prob=FLAGS.hidden_dropout,
        **changes,
    )
    return encoder_class(config, dtype=FLAGS.precision), tokenizer


def fit_options():
    """Keyword arguments of `Task.fit` but on_best."""
    names = ("epochs", "batch_size", "learning_rate", "warmup", "weight_decay", "ema", "layer_decay")
    names += ("unfreeze_epochs", "patience", "seed")
    return {name: FLAGS[name].value for name in names} | {"log_dir": FLAGS.tensorboard_dir}


def splits(read):
    """The data of --train_file, --dev_file and --test_file, or None for each; `read(path)` reads one."""
    if not FLAGS.train_file:
        raise app.UsageError("--mode=train needs --train_file")
    train = read(FLAGS.train_file)
    dev, test = (read(path) if path else None for path in (FLAGS.dev_file, FLAGS.test_file))
    train, test = with_test_rows(train, test)
    return fewer(train), dev, test


def fewer(train):
    """--max_train_rows of the training data, if that is given."""
    import numpy as np

    if not FLAGS.max_train_rows:
        return train
    order = np.random.default_rng(FLAGS.seed).permutation(len(train))
    return train.select(np.sort(order[max(0, len(train) - FLAGS.max_train_rows) :]))


def with_test_rows(train, test):
    """(train, test) data, of which the latter are --test_rows of the former, if that is given."""
    from tfkor.data.folds import cut_rows

    if not FLAGS.test_rows:
        return train, test
    if test is not None:
        raise app.UsageError("found test data and --test_rows; expected one of the two")
    if not 0 < FLAGS.test_rows < len(train):
        raise app.UsageError(f"--test_rows={FLAGS.test_rows}; the training data have {len(train)} rows")
    return tuple(train.select(rows) for rows in cut_rows(train, FLAGS.test_rows))


def run_modes(task_class, read, make, predictions, options=dict):
    """Does what --mode says; returns the figures.

    Args:
      task_class: a Task.
      read: path -> its data.
      make: training data -> a new task.
      predictions: (task, path of --input_file) -> a list of dicts.
      options: () -> keyword arguments of its `fit`, beside those of `fit_options`.
    """
    if FLAGS.mode == "train":
        return train(lambda: splits(read), make, options)
    task = task_class.load(FLAGS.model_dir, dtype=FLAGS.precision)
    if FLAGS.mode == "evaluate":
        if not FLAGS.test_file:
            raise app.UsageError("--mode=evaluate needs --test_file")
        return task.evaluate(read(FLAGS.test_file))
    for name in ("input_file", "output_file"):
        if not FLAGS[name].value:
            raise app.UsageError(f"--mode=predict needs --{name}")
    start = time.monotonic()
    rows = predictions(task, FLAGS.input_file)
    seconds = time.monotonic() - start
    with new_file(FLAGS.output_file) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return {"examples": len(rows), "seconds": round(seconds, 3), "output_file": FLAGS.output_file}


def train(load, make, options=dict, finish=None, cut_dev=None):
    """Trains once, or several times by --seeds and --folds; returns the figures.

    Args:
      load: () -> (train, dev, test), data or None.
      make: training data -> a new task.
      options: () -> keyword arguments of its `fit`, beside those of `fit_options`.
      finish: (task, dev) -> figures, called after the training.
      cut_dev: training data -> (the rest, dev), for data without dev.
    """
    folder = Path(FLAGS.model_dir)
    one = functools.partial(train_one, make=make, options=options, finish=finish, cut_dev=cut_dev)
    if FLAGS.seeds or FLAGS.folds:
        return runs.train_runs(folder, load, one)
    if folder.exists() and not FLAGS.overwrite:
        raise app.UsageError(f"--model_dir={folder} is there already; name a new folder, or say --overwrite")
    return one(folder, *load())


def train_one(folder, train, dev, test, held_out=None, *, make, options, finish, cut_dev):
    if dev is None and cut_dev:
        train, dev = cut_dev(train)
    task = make(train)
    parameters, tokens = task.encoder.count_params(), task.tokenizer.vocab_size
    say(f"{len(train):,} rows to train on, {tokens:,} tokens, {parameters:,} parameters in the encoder")
    start = time.monotonic()
    history = task.fit(train, validation=dev, on_best=lambda: task.save(folder), **{**fit_options(), **options()})
    seconds = round(time.monotonic() - start, 1)
    results = {"model_dir": str(folder), "seconds": seconds, "epochs": len(history), "train_examples": len(train)}
    results |= {"parameters": parameters, **(finish(task, dev) if finish else {})}
    task.save(folder)
    for name, data in zip(runs.PARTS, (dev, test, held_out), strict=True):
        if data is not None:
            results[name] = task.evaluate(data)
    more = {"monitor": task.monitor, "history": history, "flags": runs.settings()}
    write_json(folder / runs.RESULTS, results | more)
    return results


def lines_of(path):
    """The lines of a file of texts, one a line."""
    from tfkor.data.tables import read_text

    return [line for line in read_text(path).splitlines() if line.strip()]
