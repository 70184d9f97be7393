"""Weights of the first tfkor 0.1: Keras' .h5, and .npz in the order of the variables. They are read, not written."""

from pathlib import Path
from typing import Any

import numpy as np

from tfkor.layers.heads import HEADS

H5, HALF, HEADS_FILE = "encoder.weights.h5", "encoder.float16.npz", "heads.npz"


def has_weights(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (H5, HALF))


def load_encoder_weights(folder: Path, encoder: Any) -> None:
    """Assigns the weights in encoder.weights.h5 or encoder.float16.npz of a folder to an encoder."""
    if not (folder / HALF).is_file():
        encoder.load_weights(folder / H5)
        return
    with np.load(folder / HALF) as weights:
        found = [weights[name] for name in weights.files]
    assign_in_order(folder / HALF, encoder.trainable_variables, found, f"{type(encoder).__name__} in config.json")


def assign_in_order(path: Path, variables: list, arrays: list[np.ndarray], source: str) -> None:
    """Assigns the arrays to the variables, in their order.

    Raises:
      ValueError: other shapes, or another number of them.
    """
    if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
        raise ValueError(f"{path}: its {len(arrays)} weights are not those of {source}")
    for variable, array in zip(variables, arrays):
        variable.assign(array.astype("float32"))


def load_heads(folder: Path, encoder: Any) -> dict[type, Any]:
    """{class: head} of heads.npz, whose arrays are named class.name.number, with the number of the weight."""
    path = Path(folder) / HEADS_FILE
    if not path.is_file():
        return {}
    with np.load(path) as arrays:
        weights = {name: arrays[name] for name in arrays.files}
    heads = {}
    for kind, name in dict.fromkeys(tuple(key.split(".")[:2]) for key in weights):
        if kind not in HEADS:
            raise ValueError(f"{path}: a head of the kind {kind!r}; expected one of {', '.join(HEADS)}")
        head = heads[HEADS[kind]] = HEADS[kind].of(encoder, name=name)
        for i, variable in enumerate(head.variables):
            found = weights.get(f"{kind}.{name}.{i}")
            if found is None or found.shape != tuple(variable.shape):
                shape = "nothing" if found is None else found.shape
                raise ValueError(f"{path}: weight {i} of {name} is {shape}; expected {tuple(variable.shape)}")
            variable.assign(found)
    return heads
