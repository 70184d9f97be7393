"""Weights of layers by name, in safetensors files.

The name of a weight is its path, `block_0.attention.query.kernel`: names of layers, then its own. Two heads of the
same shapes can't be confused, and the names show what a file lacks.
"""

import os
from pathlib import Path

import keras
import numpy as np
from keras import ops

from tfkor.tensor_files import read_safetensors, sha256, write_safetensors


def named_weights(layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    """{name: variable} of all weights of a built layer, in a fixed order, without the states of random seeds.

    Raises:
      ValueError: two weights have the same name.
    """
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    found = [(variable.name, variable) for variable in own]
    for part in layer._flatten_layers(include_self=False, recursive=False):
        found += [(f"{part.name}.{name}", variable) for name, variable in named_weights(part).items()]
    named = dict(found)
    if len(named) < len(found):
        names = [name for name, _ in found]
        raise ValueError(f"two weights of {layer.name} have the name {next(n for n in names if names.count(n) > 1)}")
    return named


def save_weights(path: str | os.PathLike, weights: dict[str, keras.Variable], half: bool = False) -> str:
    """Writes {name: variable} as float32, or with `half` as float16; returns the SHA-256 of the file.

    Raises:
      ValueError: a weight that float16 can't hold.
    """
    arrays = {name: ops.convert_to_numpy(variable) for name, variable in weights.items()}
    if half:
        with np.errstate(over="ignore"):  # checked below
            arrays = {name: array.astype("float16") for name, array in arrays.items()}
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(f"{path}: {name} is too large for float16; expected half=False")
    write_safetensors(path, arrays)
    return sha256(path)


def load_weights(
    path: str | os.PathLike, weights: dict[str, keras.Variable], checksum: str | None = None, source: str = "the model"
) -> None:
    """Assigns to the variables the arrays under their names in a file; all of them, or none.

    Args:
      checksum: the SHA-256 that the file should have; None doesn't compare it.
      source: whose weights these are, for messages.

    Raises:
      FileNotFoundError: no such file.
      ValueError: another checksum, weights that are missing, not expected, or of other shapes.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected the weights of {source}")
    if checksum is not None and (found := sha256(path)) != checksum:
        raise ValueError(f"{path}: SHA-256 is {found}; expected {checksum}, the file is damaged or another one")
    arrays = read_safetensors(path)
    problems = [f"missing: {name} {tuple(v.shape)}" for name, v in weights.items() if name not in arrays]
    problems += [f"not expected: {name} {array.shape}" for name, array in arrays.items() if name not in weights]
    problems += [
        f"wrong shape: {name} is {arrays[name].shape}, expected {tuple(v.shape)}"
        for name, v in weights.items()
        if name in arrays and arrays[name].shape != tuple(v.shape)
    ]
    problems += [
        f"no weights: {name} is of the type {array.dtype}, expected floating point"
        for name, array in arrays.items()
        if array.dtype.kind != "f"
    ]
    if problems:
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ValueError(
            f"{path}: these weights are not those of {source}; {len(problems)} differ\n  "
            + "\n  ".join(problems[:10])
            + more
        )
    for name, variable in weights.items():
        variable.assign(arrays[name].astype("float32"))
