"""Common to all exports: the folder that they are written to, and tracing in float32."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import keras

from tfkor.files import new_folder
from tfkor.tasks.classifier import TextClassifier

SCORE_NAMES = {"softmax": "probabilities", "sigmoid": "probabilities", "linear": "values"}


@contextlib.contextmanager
def new_saved_model(path: str | os.PathLike, overwrite: bool) -> Iterator[Path]:
    """`tfkor.files.new_folder`, which with `overwrite` replaces only a SavedModel or an empty folder."""
    path = Path(os.path.abspath(path))
    if overwrite and path.is_dir() and os.listdir(path) and not (path / "saved_model.pb").exists():
        raise FileExistsError(f"{path} is there already, and no SavedModel; overwrite replaces SavedModels only")
    with new_folder(path, overwrite) as folder:
        yield folder


@contextlib.contextmanager
def float32_compute(model: keras.Model) -> Iterator[None]:
    """Inside, the layers of `model` compute in float32, whatever their dtype policies are.

    Raises:
      RuntimeError: Keras runs on another backend than TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"exports need KERAS_BACKEND=tensorflow; found {keras.backend.backend()}: save the model and export it in "
            "a process with that backend"
        )
    layers = [layer for layer in model._flatten_layers() if layer.compute_dtype in ("float16", "bfloat16")]
    policies = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = "float32"
        yield
    finally:
        for layer, policy in zip(layers, policies):
            layer.dtype_policy = policy


def checked_classifier(classifier: TextClassifier) -> TextClassifier:
    """The classifier, its LoRA weights merged if it has some; ValueError if it has no head yet."""
    if classifier.model is None:
        raise ValueError("the classifier has no head yet: call fit, or give num_classes or labels")
    return classifier.merged()
