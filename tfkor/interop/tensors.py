"""The tensors of a Hugging Face folder: model.safetensors, pytorch_model.bin, and either in several files."""

import json
from pathlib import Path

import numpy as np

from tfkor.files import new_file
from tfkor.interop.torch_files import from_bfloat16, read_torch_file

FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}
HEADER_LIMIT = 100 * 2**20  # bytes, that of the library too


def read_tensors(folder):
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


def read_file(path):
    return read_safetensors(path) if path.suffix == ".safetensors" else read_torch_file(path)


def read_index(path):
    """The tensors of the files that an index names, which must stand beside it."""
    try:
        places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        files = sorted(set(places.values()))
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
    if missing := sorted(set(places) - set(tensors)):
        raise ValueError(f"{path}: {missing[0]} is not in {places[missing[0]]}; expected it there")
    return tensors


def read_safetensors(path):
    """Returns {name: array} of a safetensors file.

    Raises:
      ValueError: the file is truncated or not of that format, or a tensor has a type without a NumPy type.
    """
    import safetensors

    path = Path(path)
    with open(path, "rb") as file:
        header, size = int.from_bytes(file.read(8), "little"), path.stat().st_size
    if header > min(HEADER_LIMIT, size - 8):  # before memory is taken for it
        raise ValueError(f"{path}: a header of {header:,} bytes in a file of {size:,}; expected a safetensors file")
    try:
        found = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: {error}; expected a whole safetensors file") from error
    return {name: as_array(path, name, **spec) for name, spec in found}


def as_array(path, name, dtype, shape, data):
    if dtype not in DTYPES:
        raise ValueError(f"{path}: {name} is of the type {dtype}; expected one of {', '.join(DTYPES)}")
    values = np.frombuffer(data, DTYPES[dtype]).reshape(shape)
    return from_bfloat16(values) if dtype == "BF16" else values


def write_safetensors(path, tensors):
    """Writes {name: array}, whole or not at all, as PyTorch's `transformers` reads it."""
    from safetensors.numpy import save_file

    with new_file(path) as temporary:
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, temporary, {"format": "pt"})
        temporary.chmod(0o644)
