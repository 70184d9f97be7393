"""TFLite models of one length, for phones and small machines, and their use from Python."""

import contextlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfkor.export.common import SCORE_NAMES, checked_classifier, float32_compute
from tfkor.files import new_file
from tfkor.layers.inputs import INPUT_NAMES, Batch, Tensor, three_inputs
from tfkor.tasks.classifier import TextClassifier

QUANTIZATIONS = (None, "float16", "int8")


def export_tflite(
    classifier_or_model: TextClassifier | keras.Model,
    path: str | os.PathLike,
    length: int,
    quantize: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a TFLite model from ids, int32 [B, length], to probabilities float32 [B, C].

    Its signature `serving_default` has the names input_word_ids, input_mask, segment_ids, and "probabilities" (a
    regression: "values"; a Keras model: "outputs"). Any B: the interpreter resizes its inputs.

    Args:
      classifier_or_model: a TextClassifier, or a Keras model with a list of three inputs and one output.
      length: tokens of a row; shorter rows are padded.
      quantize: None for float32; "float16" for weights of half the size; "int8" for weights of a quarter of the size,
        and activations that are quantised at run time (dynamic range).
      overwrite: replace the file at `path`.

    Returns:
      The path.

    Raises:
      ValueError: another `quantize`, or a length that the encoder's position table doesn't hold.
      FileExistsError, PermissionError: `path` is there already, or can't be written.
    """
    path = Path(path)
    if quantize not in QUANTIZATIONS:
        raise ValueError(f"quantize is {quantize!r}; expected one of {list(QUANTIZATIONS)}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} is there already; expected a new file: name another one, or set overwrite")
    with new_file(path) as temporary:
        model, name, compute = parts_of(classifier_or_model, length)

        @tf.function(input_signature=[tf.TensorSpec((None, length), tf.int32, name=name) for name in INPUT_NAMES])
        def serve(input_word_ids, input_mask, segment_ids):
            return {name: compute([input_word_ids, input_mask, segment_ids])}

        root = tf.train.Checkpoint(variables=[v.value for v in model.variables])
        with tempfile.TemporaryDirectory() as folder:
            with float32_compute(model), int8_tables() if quantize == "int8" else contextlib.nullcontext():
                tf.saved_model.save(root, folder, {"serving_default": serve})
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            if quantize:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if quantize == "float16":
                converter.target_spec.supported_types = [tf.float16]
            temporary.write_bytes(converter.convert())
    return path


def parts_of(
    classifier_or_model: TextClassifier | keras.Model, length: int
) -> tuple[keras.Model, str, Callable]:
    """Returns the Keras model, the name of its output, and a function of the three inputs."""
    if not isinstance(classifier_or_model, TextClassifier):
        model = classifier_or_model
        return model, "outputs", lambda inputs: model(inputs, training=False)
    classifier = checked_classifier(classifier_or_model)
    limit = classifier.encoder.max_length
    if not 2 <= length <= limit:
        raise ValueError(f"length is {length}; expected 2 to {limit}, which the encoder's position table holds")

    def compute(inputs):
        return classifier.activate(classifier.logits(dict(zip(INPUT_NAMES, inputs)), training=False))

    return classifier.model, SCORE_NAMES[classifier.activation], compute


@contextlib.contextmanager
def int8_tables() -> Iterator[None]:
    """Inside, `keras.ops.take` looks up the rows of a variable in int8, with a scale for each row.

    The converter would take one scale for the whole table, which costs more accuracy than all its other quantisation.
    """
    take = keras.ops.take

    def take_int8(x, indices, axis=None):
        if not isinstance(x, keras.Variable) or len(x.shape) != 2 or axis != 0:
            return take(x, indices, axis)
        with tf.init_scope():
            table = np.asarray(x.value)
        scale = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-30) / 127
        rows = tf.gather(np.round(table / scale).astype(np.int8), indices)
        return tf.cast(rows, tf.float32) * tf.gather(scale.astype(np.float32), indices)

    keras.ops.take = take_int8
    try:
        yield
    finally:
        keras.ops.take = take


class TFLiteClassifier:
    """Runs a file that `export_tflite` wrote: list or dict of three int [B, S] -> NumPy float32 [B, C].

        classifier = TFLiteClassifier("classifier_int8.tflite")
        probabilities = classifier(tokenizer(texts))

    Shorter rows are padded to `length`, the length that the file was made for.

    Args:
      batch_size: rows that the interpreter takes at once.
      num_threads: threads of the interpreter; None leaves it to TFLite.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not a TFLite model with the three inputs, or (when called) rows longer than `length`.
    """

    def __init__(self, path: str | os.PathLike, batch_size: int = 32, num_threads: int | None = None):
        if not os.path.isfile(path):
            raise FileNotFoundError(f"{path}: no such file; expected a .tflite file that export_tflite wrote")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # tf.lite warns about its successor
                self.interpreter = tf.lite.Interpreter(str(path), num_threads=num_threads)
            self.runner = self.interpreter.get_signature_runner("serving_default")
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{path}: not a TFLite model with the signature serving_default ({error})") from error
        details = self.runner.get_input_details()
        if set(details) != set(INPUT_NAMES):
            raise ValueError(f"{path}: the model has the inputs {sorted(details)}; expected {list(INPUT_NAMES)}")
        (self.output_name,) = self.runner.get_output_details()
        self.length = int(details[INPUT_NAMES[0]]["shape"][1])
        self.batch_size = batch_size

    def __call__(self, inputs: Batch | list[Tensor]) -> np.ndarray:
        inputs = [np.asarray(x, np.int32) for x in three_inputs(inputs)]
        rows, columns = inputs[0].shape
        if columns > self.length:
            raise ValueError(f"the rows have {columns} ids; the TFLite model takes {self.length}: truncate them")
        padding = ((0, int(rows == 0)), (0, self.length - columns))  # the interpreter needs a row
        inputs = [np.pad(x, padding) for x in inputs]
        outputs = []
        for start in range(0, len(inputs[0]), self.batch_size):
            batch = {name: x[start : start + self.batch_size] for name, x in zip(INPUT_NAMES, inputs)}
            outputs.append(self.runner(**batch)[self.output_name])
        return np.concatenate(outputs)[:rows]
