"""JSON files: reading one, and saying where it holds something else than its format has."""

import json

from tfkor.data.tables import read_text
from tfkor.data.text_data import DataError, shorten


def read_json(path, kind, expected):
    """What a JSON file, also gzipped, holds: a `kind` (list or dict) that isn't empty.

    Raises:
      DataError: as read_text; not JSON, another kind, or empty; the message says what was `expected`.
    """
    text = read_text(path)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); expected {expected}") from error
    if not isinstance(found, kind) or not found:
        raise DataError(f"{path}: found {shorten(found)}; expected {expected}")
    return found


def value_of(row, key, kinds, place):
    """The value of a key of a JSON object, of one of `kinds`, a type or several; bool is no int.

    Raises:
      DataError: no object, no such key, or a value of another type; the message begins with `place`.
    """
    if not isinstance(row, dict):
        raise DataError(f"{place} is {shorten(row)}; expected an object")
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if key not in row or type(row[key]) not in kinds:
        has = shorten(row[key]) if key in row else "nothing"
        raise DataError(f"{place} has {has} as {key}; expected {' or '.join(kind.__name__ for kind in kinds)}")
    return row[key]


def objects(row, key, place, name):
    """Yields (its place, an object) of each of the objects that stand in a list under a key; `name` is what they are.

    Raises:
      DataError: as value_of.
    """
    for number, found in enumerate(value_of(row, key, list, place), 1):
        here = f"{place}, {name} {number}"
        if not isinstance(found, dict):
            raise DataError(f"{here} is {shorten(found)}; expected an object")
        yield here, found
