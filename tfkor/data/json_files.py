"""JSON files with a fixed format: reading them, with errors that say where a value is missing or wrong."""

import json
import os
from collections.abc import Iterator
from typing import Any

from tfkor.data.tables import read_text
from tfkor.data.text_data import DataError, shorten


def read_json(path: str | os.PathLike, kind: type, expected: str) -> Any:
    """The contents of a JSON file, also gzipped: a `kind` (list or dict) that isn't empty.

    Raises:
      DataError: as read_text; not JSON, another kind, or empty; the message ends with `expected`.
    """
    text = read_text(path)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); expected {expected}") from error
    if not isinstance(found, kind) or not found:
        raise DataError(f"{path}: found {shorten(found)}; expected {expected}")
    return found


def value_of(row: Any, key: str, kinds: type | tuple[type, ...], where: str) -> Any:
    """The value of a key of a JSON object; `kinds` are the types that it may have. A bool does not count as an int.

    Raises:
      DataError: no object, no such key, or a value of another type; the message begins with `where`.
    """
    if not isinstance(row, dict):
        raise DataError(f"{where} is {shorten(row)}; expected an object")
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if key not in row or type(row[key]) not in kinds:
        has = shorten(row[key]) if key in row else "nothing"
        raise DataError(f"{where} has {has} as {key}; expected {' or '.join(kind.__name__ for kind in kinds)}")
    return row[key]


def objects(row: Any, key: str, where: str, name: str) -> Iterator[tuple[str, dict]]:
    """Yields (where it is, the object) for each object in the list under a key; errors call it a `name`.

    Raises:
      DataError: as value_of.
    """
    for number, found in enumerate(value_of(row, key, list, where), 1):
        here = f"{where}, {name} {number}"
        if not isinstance(found, dict):
            raise DataError(f"{here} is {shorten(found)}; expected an object")
        yield here, found
