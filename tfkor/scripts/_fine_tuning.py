"""What all fine-tuning programs use: flags, the encoder to start from, the modes train, evaluate and predict."""

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
FRACTION = {"lower_bound": 0, "upper_bound": 1}


def define_flags(*, max_length, epochs=3, batch_size=32, learning_rate=5e-5, dropout=0.1, patience=None):
    """Defines the flags that all of these programs have; the arguments are the default values.

    After that a program calls `flags.adopt_module_key_flags` with this module, so that its --help shows them.
    """
    flags.DEFINE_enum("mode", "train", MODES, "Train a model, evaluate one, or write its predictions.")
    flags.DEFINE_string(
        "model_dir", None, "Folder of the model: written by train, read by evaluate and predict.", required=True
    )
    flags.DEFINE_string("train_file", None, "File of training data.")
    flags.DEFINE_string("dev_file", None, "File of validation data; the epoch with the best metric on it is kept.")
    flags.DEFINE_string("test_file", None, "File of test data: evaluated after the training, or by --mode=evaluate.")
    flags.DEFINE_string("input_file", None, "File of the texts to predict, in a format that this program reads.")
    flags.DEFINE_string("output_file", None, "File to write the predictions to, one JSON object per line.")
    about = "Train on at most this many rows, a random sample drawn with --seed."
    flags.DEFINE_integer("max_train_rows", None, about, lower_bound=1)
    # Model
    about = "Encoder to start from: a folder of run_pretraining, a published checkpoint, or its name (klue/bert-base)."
    flags.DEFINE_string("init_checkpoint", None, about)
    about = "Folder of a tokenizer; by default that of the checkpoint, or a new one, trained on the training data."
    flags.DEFINE_string("tokenizer_dir", None, about)
    about = "Lowercase text: for a new tokenizer, or for a published checkpoint whose files don't specify it."
    flags.DEFINE_bool("lowercase", None, about)
    flags.DEFINE_integer("vocab_size", 8000, "Vocabulary size of a new tokenizer.", lower_bound=6)
    flags.DEFINE_enum("model", "bert", NAMES, "Architecture of an encoder with random weights.")
    flags.DEFINE_string("size", "mini", "Size of an encoder with random weights: tiny, mini, small, base ...")
    flags.DEFINE_float("hidden_dropout", 0.1, "Dropout rate in the encoder.", **FRACTION)
    flags.DEFINE_float("dropout", dropout, "Dropout rate before the head.", **FRACTION)
    flags.DEFINE_integer("max_length", max_length, "Longest input in tokens, special tokens included.", lower_bound=3)
    flags.DEFINE_enum("precision", "float32", PRECISIONS, "Keras dtype policy of the encoder.")
    # Training
    flags.DEFINE_integer("epochs", epochs, "Largest number of epochs.", lower_bound=1)
    flags.DEFINE_integer("batch_size", batch_size, "Rows of a training batch.", lower_bound=1)
    about = "Peak learning rate; an encoder with random weights needs about ten times as much as a pretrained one."
    flags.DEFINE_float("learning_rate", learning_rate, about, lower_bound=0)
    flags.DEFINE_float("warmup", 0.1, "Fraction of the steps in which the learning rate rises to its peak.", **FRACTION)
    about = "Weight decay of AdamW; biases and layer norms have none."
    flags.DEFINE_float("weight_decay", 0.01, about, lower_bound=0)
    about = "Layer-wise decay: a layer's learning rate is this times that of the layer above; try 0.9."
    flags.DEFINE_float("layer_decay", 1.0, about, **FRACTION)
    flags.register_validator("layer_decay", lambda rate: rate > 0, "expected more than 0, up to 1")
    about = "Gradual unfreezing: epochs until one more layer is trained, from the last one down; 0 trains all at once."
    flags.DEFINE_float("unfreeze_epochs", 0.0, about, lower_bound=0)
    about = "Momentum of a moving average of the weights, which is evaluated and saved; 0 is off, try 0.999."
    flags.DEFINE_float("ema", 0.0, about, **FRACTION)
    about = "Early stopping: epochs without a better validation metric after which the training ends."
    flags.DEFINE_integer("patience", patience, about, lower_bound=1)
    about = "Random seed; the same one gives the same model."
    flags.DEFINE_integer("seed", 0, about, lower_bound=0, upper_bound=runs.MAX_SEED)
    flags.DEFINE_bool("overwrite", False, "Replace a model that is already in --model_dir.")
    flags.DEFINE_string("tensorboard_dir", None, "Folder to write TensorBoard logs to.")
    about = "LoRA: train matrices of this rank beside the frozen encoder; 0 trains the whole encoder."
    flags.DEFINE_integer("lora_rank", 0, about, lower_bound=0)
    about = "LoRA: the product of the matrices is scaled by alpha / rank; by default alpha is the rank."
    flags.DEFINE_float("lora_alpha", None, about, lower_bound=0)
    flags.register_multi_flags_validator(
        ("lora_rank", "lora_alpha"), lambda values: values["lora_rank"] or values["lora_alpha"] is None,
        "--lora_alpha has no effect without --lora_rank",
    )  # fmt: skip
    runs.define_flags()
    flags.adopt_module_key_flags(runs)


def define_test_rows():
    about = "Without test data: rows of the training data to test on and not to train on, the same ones in each run."
    flags.DEFINE_integer("test_rows", None, about, lower_bound=1)


def define_label_smoothing():
    about = "Label smoothing: fraction of a label that is spread over all classes; try 0.1."
    flags.DEFINE_float("label_smoothing", 0.0, about, **FRACTION)


def label_smoothing():
    """The keyword argument of `fit`, for tasks that have label smoothing."""
    return {"label_smoothing": FLAGS.label_smoothing}


def encoder_and_tokenizer(texts, symbols=(), **changes):
    """(encoder, tokenizer) as the flags ask for them; a new tokenizer is trained on `texts`.

    `symbols` are strings that become one piece each; with LoRA their embeddings keep their random initial values.
    `changes` are fields of the config of an encoder with random weights.
    """
    import keras

    from tfkor.models.lora import add_lora
    from tfkor.text import Tokenizer

    keras.utils.set_random_seed(FLAGS.seed)
    if FLAGS.lora_rank and not FLAGS.init_checkpoint:
        raise app.UsageError("--lora_rank freezes the encoder, which has random weights; expected --init_checkpoint")
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
        raise FileNotFoundError(f"--init_checkpoint={FLAGS.init_checkpoint} has no tokenizer; expected --tokenizer_dir")
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
    """Keyword arguments of `Task.fit`, without on_best."""
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
    return sampled(train), dev, test


def sampled(train):
    """The training data, or a random sample of --max_train_rows of them."""
    import numpy as np

    if not FLAGS.max_train_rows:
        return train
    order = np.random.default_rng(FLAGS.seed).permutation(len(train))
    return train.select(np.sort(order[max(0, len(train) - FLAGS.max_train_rows) :]))


def with_test_rows(train, test):
    """(train, test) data; with --test_rows, so many rows are taken from `train` to be `test`."""
    from tfkor.data.folds import cut_rows

    if not FLAGS.test_rows:
        return train, test
    if test is not None:
        raise app.UsageError("found test data and --test_rows; expected one of the two")
    if not 0 < FLAGS.test_rows < len(train):
        raise app.UsageError(f"--test_rows={FLAGS.test_rows}; expected less than the {len(train)} training rows")
    return tuple(train.select(rows) for rows in cut_rows(train, FLAGS.test_rows))


def run_modes(task_class, read, make, predictions, options=dict):
    """Runs --mode; returns its metrics, or for predict where the predictions are.

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
    """Trains once, or once for each of --seeds and --folds; returns the results.

    Args:
      load: () -> (train, dev, test), data or None.
      make: training data -> a new task.
      options: () -> keyword arguments of its `fit`, beside those of `fit_options`.
      finish: (task, dev) -> dict of further results, called after the training.
      cut_dev: training data -> (the rest, dev), called where there are no dev data.
    """
    folder = Path(FLAGS.model_dir)
    one = functools.partial(train_one, make=make, options=options, finish=finish, cut_dev=cut_dev)
    if FLAGS.seeds or FLAGS.folds:
        return runs.train_runs(folder, load, one)
    if folder.exists() and not FLAGS.overwrite:
        raise app.UsageError(f"--model_dir={folder} already exists; expected a new folder, or --overwrite")
    return one(folder, *load())


def train_one(folder, train, dev, test, held_out=None, *, make, options, finish, cut_dev):
    if dev is None and cut_dev:
        train, dev = cut_dev(train)
    task = make(train)
    parameters, tokens = task.encoder.count_params(), task.tokenizer.vocab_size
    say(f"{len(train):,} training rows, vocabulary of {tokens:,} tokens, encoder of {parameters:,} parameters")
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
    """The lines of a text file that are not blank."""
    from tfkor.data.tables import read_text

    return [line for line in read_text(path).splitlines() if line.strip()]
