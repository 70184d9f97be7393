"""Tasks in folders of the first tfkor 0.1: a head by position in head.npz, a classifier in model.keras.

These folders are read, not written.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfkor.files import read_json
from tfkor.models import legacy
from tfkor.tasks.registry import get_task
from tfkor.text import Tokenizer

HEAD = "head.npz"
CLASSIFIER, CLASSIFIER_MODEL, CLASSIFIER_TASK = "classifier.json", "model.keras", "text_classifier"
SETTINGS = ("dropout", "pooling", "activation", "labels", "max_length", "pair", "none_threshold")  # in classifier.json


def has_head(folder: Path) -> bool:
    return (folder / HEAD).is_file()


def is_classifier(folder: Path) -> bool:
    return (folder / CLASSIFIER).is_file()


def load_head(folder: Path, task: Any) -> None:
    """Gives a task's head the arrays of head.npz, in the order of its trained variables."""
    encoder = {id(variable) for variable in task.encoder.variables}
    variables = [variable for variable in task.model.trainable_variables if id(variable) not in encoder]
    with np.load(folder / HEAD) as weights:
        arrays = [weights[name] for name in weights.files]
    legacy.assign_in_order(folder / HEAD, variables, arrays, f"the head of a {type(task).__name__}")


def load_classifier(folder: Path, dtype: str | None = None) -> Any:
    """The TextClassifier of classifier.json, model.keras and tokenizer/; None: the dtype that it was saved with.

    Raises:
      FileNotFoundError: a part of it is missing.
      ValueError: classifier.json lacks a setting.
    """
    for name in (CLASSIFIER_MODEL, "tokenizer"):
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder} has no {name}; expected a folder that TextClassifier.save wrote")
    settings = read_json(folder / CLASSIFIER)
    if missing := [name for name in (*SETTINGS, "encoder") if name not in settings]:
        raise ValueError(f"{folder / CLASSIFIER}: {missing[0]} is missing; expected the settings of a TextClassifier")
    classifier_class = get_task(CLASSIFIER_TASK)  # its import registers the classes that model.keras names
    model = keras.models.load_model(folder / CLASSIFIER_MODEL, compile=False)
    encoder, head = (model.get_layer(name) for name in (settings["encoder"], "logits"))
    if dtype is not None and encoder.dtype_policy.name != dtype:
        again = type(encoder)(encoder.config, dtype=dtype)
        again.set_weights(encoder.get_weights())
        encoder = again
    classifier = classifier_class(
        encoder,
        head.units,
        tokenizer=Tokenizer.load(folder / "tokenizer"),
        **{name: settings[name] for name in SETTINGS},
    )
    for layer in (classifier.model.head_dense, classifier.model.head):
        if layer is not None:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return classifier
