"""What tasks on the tokens of a text share: training, windows of long texts, saving and loading."""

import json
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

import tfkor
from tfkor.files import new_folder, write_json
from tfkor.layers.inputs import INPUT_NAMES
from tfkor.models.folder import load_encoder, save_encoder
from tfkor.models.lora import LORA, lora_layers, merge_lora, save_lora
from tfkor.training import InferenceStep, compiles_each_shape, fine_tune

SETTINGS, WEIGHTS, ENCODER = "task.json", "head.npz", "encoder"


class Task:
    """Base of the tasks: an encoder, a head on it, a tokenizer.

    A task sets `model`, a keras.Model that holds `encoder`, by `set_model`; it says which attributes `save` keeps
    (`settings`), which figure chooses the best epoch (`monitor`), and defines `prepare(train)`, `loss(batch)`,
    `batches(data, batch_size, max_buckets, seed)` and `evaluate(data)`.
    """

    settings = ()
    monitor = "f1"

    def fit(
        self, train, validation=None, *, epochs=3, batch_size=32, seed=0, max_buckets=None, jit_compile=None, **options
    ):
        """Trains, and keeps the weights of the epoch that is best on `validation`; figures of each epoch, as a list.

        Args:
          train, validation: data of the task; without `validation` all epochs are trained.
          max_buckets: lengths that batches are padded to; None takes 6 where each of them is compiled, else 32.
          options: of `tfkor.training.fine_tune`: learning_rate, warmup, ema, layer_decay, patience, on_best ...

        Ctrl-C ends the training and keeps the best weights so far. The same seed gives the same weights.
        """
        keras.utils.set_random_seed(seed)
        self.prepare(train)
        batches = self.batches(train, batch_size, max_buckets or (6 if compiles_each_shape(jit_compile) else 32), seed)
        evaluate = None if validation is None else lambda: self.evaluate(validation)
        options = dict(epochs=epochs, jit_compile=jit_compile, evaluate=evaluate, monitor=self.monitor) | options
        return fine_tune(self.model, self.encoder, self.loss, batches, idle=self.idle_variables(), **options)

    def idle_variables(self):
        """Those that the loss does not depend on: of the pooler, where the task is about tokens."""
        return self.encoder.pooler.variables

    def head_variables(self):
        """The trained variables beside the encoder's."""
        encoders = {id(variable) for variable in self.encoder.variables}
        return [variable for variable in self.model.trainable_variables if id(variable) not in encoders]

    def set_model(self, model):
        """Takes the model, from the three inputs to what it predicts."""
        check_vocabulary(self.encoder, self.tokenizer)
        self.model = model
        self.set_outputs(lambda batch: model([batch[name] for name in INPUT_NAMES]))

    def set_outputs(self, function):
        """Takes a function of a batch that gives what the task predicts, and compiles it."""
        self.outputs = InferenceStep(self.model, function)

    def save(self, folder, overwrite=True):
        """Writes encoder/ with the tokenizer, head.npz and task.json into `folder`, whole or not at all.

        LoRA weights are merged into the encoder that is written, and stand alone in lora.npz beside it.
        """
        if self.model is None:
            raise ValueError("there is no head yet; expected to save after fit")
        with new_folder(folder, overwrite) as temporary:
            save_encoder(temporary / ENCODER, self.encoder, self.tokenizer)
            weights = [keras.ops.convert_to_numpy(variable) for variable in self.head_variables()]
            np.savez(temporary / WEIGHTS, *weights)
            if lora_layers(self.encoder):
                save_lora(temporary / LORA, self.encoder, self.tokenizer)
            settings = {name: getattr(self, name) for name in self.settings}
            write_json(temporary / SETTINGS, {"task": type(self).__name__, "tfkor": tfkor.__version__, **settings})

    def merged(self):
        """This task, or, if its encoder has LoRA weights, a copy of it without them that computes the same."""
        if not lora_layers(self.encoder):
            return self
        settings = {name: getattr(self, name) for name in self.settings}
        task = type(self)(merge_lora(self.encoder), tokenizer=self.tokenizer, **settings)
        for ours, theirs in zip(task.head_variables(), self.head_variables(), strict=True):
            ours.assign(theirs)
        return task

    @classmethod
    def load(cls, folder, dtype=None):
        """Returns the task that `save` wrote into `folder`, on either backend.

        Raises:
          FileNotFoundError: a part of it is not there.
          ValueError: it holds another task.
        """
        folder = Path(folder)
        for name in (SETTINGS, WEIGHTS, ENCODER):
            if not (folder / name).exists():
                raise FileNotFoundError(f"{folder} has no {name}; expected a folder that {cls.__name__}.save wrote")
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        if settings["task"] != cls.__name__:
            raise ValueError(f"{folder} holds a {settings['task']}; expected a {cls.__name__}")
        found = load_encoder(folder / ENCODER, dtype=dtype)
        encoder, tokenizer = found.encoder, found.tokenizer
        task = cls(encoder, tokenizer=tokenizer, **{name: settings[name] for name in cls.settings})
        with np.load(folder / WEIGHTS) as weights:
            found = [weights[name] for name in weights.files]
        expected = task.head_variables()
        if [value.shape for value in found] != [tuple(variable.shape) for variable in expected]:
            raise ValueError(f"{folder / WEIGHTS}: its {len(found)} arrays are not those of this task's head")
        for variable, value in zip(expected, found):
            variable.assign(value)
        return task


def check_vocabulary(encoder, tokenizer):
    """Raises ValueError where the tokenizer has ids that the encoder has no embedding of."""
    if tokenizer is not None and tokenizer.vocab_size > encoder.config.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the encoder's vocab_size is "
            f"{encoder.config.vocab_size}; expected an encoder with as many or more"
        )


# === Windows ===


class Window(NamedTuple):
    """A part of a text that fits into a row: the pieces `begin` to `end` of text number `row`."""

    row: int
    begin: int
    end: int


def windows_of(lengths, room, stride):
    """Cuts texts of so many pieces into Windows of at most `room` pieces, each beginning `stride` after the one before.

    A text without a piece has one empty window.
    """
    if not 0 < stride <= room:
        raise ValueError(f"stride is {stride}; expected 1 to {room}, the pieces that a row has room for")
    out = []
    for row, length in enumerate(lengths):
        begin = 0
        while True:
            end = min(begin + room, length)
            out.append(Window(row, begin, end))
            if end == length:
                break
            begin += stride
    return out


def context_of(windows):
    """For each Window how much context each of its pieces has: min(left, right) + 0.01 * length, float lists.

    A piece that several windows hold is best seen in the one where this is largest (google-research/bert, run_squad).
    """
    return [
        np.minimum(np.arange(size := w.end - w.begin), np.arange(size)[::-1]) + 0.01 * size if w.end > w.begin else []
        for w in windows
    ]


def best_windows(windows, lengths):
    """For each text the number of the window in which each of its pieces has most context, the first where equal."""
    best = [np.zeros(length, np.int64) for length in lengths]
    most = [np.full(length, -1.0) for length in lengths]
    for number, (window, context) in enumerate(zip(windows, context_of(windows))):
        inside = slice(window.begin, window.end)
        better = np.asarray(context) > most[window.row][inside]
        most[window.row][inside] = np.where(better, context, most[window.row][inside])
        best[window.row][inside] = np.where(better, number, best[window.row][inside])
    return best
