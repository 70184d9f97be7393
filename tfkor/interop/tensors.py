"""The tensors of a Hugging Face folder: model.safetensors, pytorch_model.bin, and either in several files."""

import json
import os
from pathlib import Path

import numpy as np

from tfkor.interop.torch_files import read_torch_file
from tfkor.tensor_files import read_safetensors

FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def read_tensors(folder: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns {name: array} of the first of FILES that a folder has; bfloat16 becomes float32.

    Raises:
      FileNotFoundError: none of them is there, or one that an index names.
      ValueError: a file is damaged, or holds something else; the message names it.
    """
    folder = Path(folder)
    for name in FILES:
        path = folder / name
        if path.is_file():
            return read_index(path) if name.endswith(".json") else read_file(path)
    raise FileNotFoundError(f"{folder}: no weights; expected one of {', '.join(FILES)}")


def read_file(path: Path) -> dict[str, np.ndarray]:
    return read_safetensors(path) if path.suffix == ".safetensors" else read_torch_file(path)


def read_index(path: Path) -> dict[str, np.ndarray]:
    """The tensors of the files that an index names, which must be in the folder of the index."""
    try:
        file_of = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        files = sorted(set(file_of.values()))
        wrong = [name for name in files if Path(name).name != name or Path(name).suffix not in (".safetensors", ".bin")]
        wrong += [name for name in files if len(name) > 255]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: {error!r}; expected JSON with a weight_map, tensor to file") from error
    if not files:
        raise ValueError(f"{path}: its weight_map is empty; expected tensor to file")
    if wrong:
        raise ValueError(f"{path}: it names the file {wrong[0]!r}; expected plain names of .safetensors or .bin files")
    tensors = {}
    for name in files:
        if not (path.parent / name).is_file():
            raise FileNotFoundError(f"{path.parent / name}: no such file; {path.name} names it")
        tensors |= read_file(path.parent / name)
    if missing := sorted(set(file_of) - set(tensors)):
        raise ValueError(f"{path}: {missing[0]} is not in {file_of[missing[0]]}; expected it there")
    return tensors
