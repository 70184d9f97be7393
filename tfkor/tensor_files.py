"""Arrays in safetensors files, and the SHA-256 of files."""

import hashlib
import os
from pathlib import Path

import numpy as np

from tfkor.files import new_file

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


def read_safetensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns {name: array} of a safetensors file; bfloat16 becomes float32.

    Raises:
      ValueError: the file is truncated or not of that format, or a tensor has a type without a NumPy type.
    """
    import safetensors

    path = Path(path)
    with open(path, "rb") as file:
        header, size = int.from_bytes(file.read(8), "little"), path.stat().st_size
    if header > min(HEADER_LIMIT, size - 8):  # before memory is allocated for it
        raise ValueError(f"{path}: a header of {header:,} bytes in a file of {size:,}; expected a safetensors file")
    try:
        found = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: {error}; expected a whole safetensors file") from error
    return {name: as_array(path, name, **spec) for name, spec in found}


def as_array(path: Path, name: str, dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    """The array of a tensor in a safetensors file."""
    if dtype not in DTYPES:
        raise ValueError(f"{path}: {name} is of the type {dtype}; expected one of {', '.join(DTYPES)}")
    values = np.frombuffer(data, DTYPES[dtype]).reshape(shape)
    return from_bfloat16(values) if dtype == "BF16" else values


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """The bits of bfloat16 values as uint16 -> float32 of the same values."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def write_safetensors(path: str | os.PathLike, tensors: dict[str, np.ndarray]) -> None:
    """Writes {name: array} atomically, in the form that `transformers` reads on PyTorch."""
    from safetensors.numpy import save_file

    with new_file(path) as temporary:
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, temporary, {"format": "pt"})
        temporary.chmod(0o644)


def sha256(path: str | os.PathLike) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
