"""Atomic files: files and folders are written under a temporary name in the same folder, then renamed."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def new_folder(path: str | os.PathLike, overwrite: bool = False) -> Iterator[Path]:
    """Yields a new temporary folder that becomes `path` if the block ends without an error, else is removed.

    Raises:
      FileExistsError: there is something at `path` and `overwrite` is False.
      PermissionError: nothing can be written there.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} is there already; expected a new folder: name another one, or set overwrite")
    temporary = Path(_beside(path, lambda parent: tempfile.mkdtemp(prefix=f".{path.name}.tmp-", dir=parent)))
    temporary.chmod(0o755)
    try:
        yield temporary
        old = temporary.with_name(temporary.name + "-old")
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        _remove(old)
    finally:
        _remove(temporary)


@contextlib.contextmanager
def new_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path that replaces `path` if the block ends without an error.

    Raises:
      PermissionError: nothing can be written there.
    """
    path = Path(path)

    def make(parent):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.tmp-", suffix=path.suffix, dir=parent)
        os.close(handle)
        return name

    temporary = Path(_beside(path, make))
    temporary.chmod(0o644)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        _remove(temporary)


def read_json(path: str | os.PathLike) -> dict[str, Any]:
    """Returns the dict in a JSON file.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it is not a JSON object.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a JSON object")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON in UTF-8 ({error})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}: found a {type(values).__name__}; expected a JSON object")
    return values


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as indented UTF-8 JSON, atomically."""
    with new_file(path) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _beside(path, make):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return make(path.parent)
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise PermissionError(
            f"can't write {path}: {error.strerror} ({path.parent}); name a folder that you may write to"
        ) from error


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
