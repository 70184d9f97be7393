"""Tensors of pytorch_model.bin, without PyTorch and without running what is in the file.

A checkpoint of PyTorch is a pickle, a program for a small virtual machine that can call anything. This reader has a
virtual machine of its own that knows only the operations and names that a dict of tensors needs
(torch/serialization.py, torch/_utils.py, and Python's pickletools for the meaning of the operations); at any other it
raises an error.
"""

import io
import math
import os
import pickletools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tfkor.tensor_files import from_bfloat16

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # of files before PyTorch 1.6
STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
NAMES = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    *(("torch", name) for name in STORAGES),
}
VALUES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
CONSTANTS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
MARK = object()


class UnsafeFile(ValueError):
    """A file that is not a dict of plain tensors."""


@dataclass(frozen=True)
class Name:
    """A module's member that a pickle names; never imported."""

    module: str
    name: str


@dataclass(frozen=True)
class Storage:
    """A flat array of the file: its type, its key there and how many values it has."""

    kind: str
    key: str
    size: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple


def read_torch_file(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns {name: array} of a file that torch.save wrote of a state_dict, in either of PyTorch's formats.

    bfloat16 becomes float32; the other types stay.

    Raises:
      ValueError: the file is truncated, or holds anything but a dict of plain tensors; the message names the file.
    """
    path = Path(path)
    try:
        if zipfile.is_zipfile(path):
            return read_zip(path)
        return read_legacy(path)
    except UnsafeFile as error:
        raise ValueError(f"{path}: {error}; expected a state_dict of plain tensors, saved by torch.save") from None
    except (zipfile.BadZipFile, EOFError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{path}: damaged or truncated ({type(error).__name__}: {error})") from error


def read_zip(path: Path) -> dict[str, np.ndarray]:
    """Since PyTorch 1.6: a zip with NAME/data.pkl and NAME/data/KEY for each storage."""
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        programs = [name for name in sizes if name.endswith("/data.pkl")]
        if len(programs) != 1:
            raise UnsafeFile(f"found a zip with {len(programs)} files data.pkl")
        folder = programs[0].removesuffix("data.pkl")
        if folder + "byteorder" in sizes and archive.read(folder + "byteorder") != b"little":
            raise UnsafeFile("found bytes in big-endian order")
        tensors = tensors_of(run(io.BytesIO(archive.read(programs[0]))))

        def values(storage):
            name, expected = f"{folder}data/{storage.key}", storage.size * itemsize(storage.kind)
            if sizes.get(name) != expected:
                raise UnsafeFile(f"found {sizes.get(name, 'no')} bytes of {name}, not {expected}")
            return archive.read(name)

        return arrays(tensors, values)


def read_legacy(path: Path) -> dict[str, np.ndarray]:
    """Before PyTorch 1.6: five pickles, one after the other, then the storages."""
    with open(path, "rb") as file:
        start = file.read(2)
        if start == b"PK":
            raise EOFError("a zip without its end")
        if start != b"\x80\x02":
            raise UnsafeFile("found no zip and no pickle")
        file.seek(0)
        if run(file) != LEGACY_MAGIC:
            raise UnsafeFile("found a pickle that torch.save did not write")
        run(file)  # the version of the format
        system = run(file)
        if system.get("little_endian") is not True:
            raise UnsafeFile("found bytes in big-endian order")
        tensors = tensors_of(run(file))
        storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
        found = {}
        for key in run(file):
            size = int.from_bytes(file.read(8), "little")
            if key not in storages or size != storages[key].size:
                raise UnsafeFile(f"found {size} values of storage {key}, which no tensor has")
            expected = size * itemsize(storages[key].kind)
            if expected > path.stat().st_size - file.tell():
                raise EOFError("a storage ends early")
            found[key] = file.read(expected)
        return arrays(tensors, lambda storage: found[storage.key])


def tensors_of(value: Any) -> dict[str, Tensor]:
    """The result of a pickle, if it is a dict of tensors; else UnsafeFile."""
    if not isinstance(value, dict):
        raise UnsafeFile(f"found a {type(value).__name__}")
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise UnsafeFile(f"found {name!r}, a {type(tensor).__name__}")
    return value


def arrays(tensors: dict[str, Tensor], values: Callable[[Storage], bytes]) -> dict[str, np.ndarray]:
    """{name: Tensor} and a function Storage -> bytes -> {name: array}."""
    storages, out = {}, {}
    for name, tensor in tensors.items():
        key = tensor.storage.key
        if key not in storages:
            storages[key] = to_array(values(tensor.storage), tensor.storage.kind)
        flat = storages[key]
        last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides))
        if 0 not in tensor.shape and (last >= len(flat) or math.prod(tensor.shape) > len(flat)):
            raise UnsafeFile(f"found {name} beyond the end of its storage")
        strides = [stride * flat.itemsize for stride in tensor.strides]
        view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides, writeable=False)
        out[name] = np.ascontiguousarray(view).reshape(tensor.shape)
    return out


def itemsize(kind: str) -> int:
    return 2 if STORAGES[kind] == "bfloat16" else np.dtype(STORAGES[kind]).itemsize


def to_array(data: bytes, kind: str) -> np.ndarray:
    if STORAGES[kind] == "bfloat16":
        return from_bfloat16(np.frombuffer(data, "<u2"))
    return np.frombuffer(data, STORAGES[kind])


# === The virtual machine ===


def run(file: BinaryIO) -> Any:
    """Runs one pickle; returns its result, made of numbers, strings, tuples, lists, dicts, Storages and Tensors."""
    stack, memo = [], {}
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "STOP":
                return stack.pop()
            step(opcode.name, argument, stack, memo)
    except ValueError as error:  # of pickletools, for bytes that are not a pickle
        raise error if isinstance(error, UnsafeFile) else EOFError(str(error)) from error
    raise EOFError("the pickle has no end")


def step(name: str, argument: Any, stack: list, memo: dict[int, Any]) -> None:
    if name in CONSTANTS:
        stack.append(argument)
    elif name in VALUES:
        stack.append(VALUES[name])
    elif name in ("BINPUT", "LONG_BINPUT"):
        memo[argument] = stack[-1]
    elif name in ("BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
    elif name in OPERATIONS:
        OPERATIONS[name](argument, stack)
    elif name != "PROTO":
        raise UnsafeFile(f"found the pickle operation {name}")


def from_mark(stack: list) -> list:
    """Pops the values above the last mark, and the mark."""
    start = max(i for i, value in enumerate(stack) if value is MARK)
    values = stack[start + 1 :]
    del stack[start:]
    return values


def take(stack: list, count: int) -> list:
    if len(stack) < count:
        raise IndexError("the stack is empty")
    values = stack[len(stack) - count :]
    del stack[len(stack) - count :]
    return values


def set_items(pairs: list, stack: list) -> None:
    if not isinstance(stack[-1], dict) or len(pairs) % 2:
        raise UnsafeFile("found items of something that is not a dict")
    stack[-1].update(zip(pairs[::2], pairs[1::2]))


def append(values: list, stack: list) -> None:
    if not isinstance(stack[-1], list):
        raise UnsafeFile("found values of something that is not a list")
    stack[-1].extend(values)


def find_name(argument: str, stack: list) -> None:
    module, _, name = argument.partition(" ")
    if (module, name) not in NAMES:
        raise UnsafeFile(f"found the name {module}.{name}")
    stack.append(Name(module, name))


def persistent(_: Any, stack: list) -> None:
    (found,) = take(stack, 1)
    if not (isinstance(found, tuple) and len(found) in (5, 6) and found[0] == "storage" and found[5:] in ((), (None,))):
        raise UnsafeFile(f"found the reference {found!r:.80}")
    _, kind, key, _, size = found[:5]
    if not (isinstance(kind, Name) and kind.name in STORAGES and isinstance(key, str) and is_count(size)):
        raise UnsafeFile(f"found the storage {found!r:.80}")
    stack.append(Storage(kind.name, key, size))


def reduce(_: Any, stack: list) -> None:
    function, arguments = take(stack, 2)
    if function == Name("collections", "OrderedDict") and arguments == ():
        stack.append({})
    elif function == Name("torch._utils", "_rebuild_tensor_v2") and is_tensor(arguments):
        stack.append(Tensor(*arguments[:4]))
    elif function == Name("torch._utils", "_rebuild_parameter") and is_parameter(arguments):
        stack.append(arguments[0])
    else:
        raise UnsafeFile(f"found a call of {function!r:.80}")


def is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def is_tensor(arguments: Any) -> bool:
    """(storage, offset, shape, strides, requires_grad, hooks[, metadata])"""
    if not isinstance(arguments, tuple) or len(arguments) not in (6, 7) or not isinstance(arguments[0], Storage):
        return False
    offset, shape, strides = arguments[1:4]
    sizes = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides)
    return is_count(offset) and sizes and all(map(is_count, shape + strides))


def is_parameter(arguments: Any) -> bool:
    return isinstance(arguments, tuple) and len(arguments) == 3 and isinstance(arguments[0], Tensor)


def build(_: Any, stack: list) -> None:
    """Ignores the attributes of an OrderedDict: a state_dict has `_metadata`, which isn't about its tensors."""
    take(stack, 1)
    if not isinstance(stack[-1], dict):
        raise UnsafeFile(f"found attributes of a {type(stack[-1]).__name__}")


OPERATIONS = {
    "MARK": lambda _, stack: stack.append(MARK),
    "EMPTY_DICT": lambda _, stack: stack.append({}),
    "EMPTY_LIST": lambda _, stack: stack.append([]),
    "EMPTY_TUPLE": lambda _, stack: stack.append(()),
    "TUPLE": lambda _, stack: stack.append(tuple(from_mark(stack))),
    "TUPLE1": lambda _, stack: stack.append(tuple(take(stack, 1))),
    "TUPLE2": lambda _, stack: stack.append(tuple(take(stack, 2))),
    "TUPLE3": lambda _, stack: stack.append(tuple(take(stack, 3))),
    "SETITEM": lambda _, stack: set_items(take(stack, 2), stack),
    "SETITEMS": lambda _, stack: set_items(from_mark(stack), stack),
    "APPEND": lambda _, stack: append(take(stack, 1), stack),
    "APPENDS": lambda _, stack: append(from_mark(stack), stack),
    "GLOBAL": find_name,
    "BINPERSID": persistent,
    "REDUCE": reduce,
    "BUILD": build,
}
