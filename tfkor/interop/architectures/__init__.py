"""How each architecture is published: one record for each, found by encoder, by name or by config.json."""

import importlib
from functools import cache
from typing import Any

from tfkor.interop.architectures.record import Architecture
from tfkor.models.backbone import Backbone
from tfkor.models.registry import NAMES, architecture_of


@cache
def get_record(name: str) -> Architecture:
    """The record of an architecture, "bert" for example."""
    return importlib.import_module(f"tfkor.interop.architectures.{name}").RECORD


def record_of(encoder: Backbone) -> Architecture:
    """The record of an encoder's architecture."""
    return get_record(architecture_of(encoder))


def model_types() -> dict[str, Architecture]:
    """{model_type of config.json: its record} of all architectures."""
    return {kind: record for record in map(get_record, NAMES) for kind in record.model_types}


def record_for(values: dict[str, Any], source: str = "config.json") -> tuple[str, Architecture]:
    """(model_type, record) of what a config.json holds.

    Raises:
      ValueError: an architecture that tfkor does not have; `source` is named.
    """
    known, kind = model_types(), kind_of(values)
    if not isinstance(kind, str) or kind not in known:
        raise ValueError(f"{source}: model_type is {kind!r}; expected one of {', '.join(known)}")
    return kind, known[kind]


def kind_of(values: dict[str, Any]) -> Any:
    """The model_type of a config.json; files of 2019 have only architectures, ["BertForMaskedLM"] for "bert"."""
    if values.get("model_type"):
        return values["model_type"]
    names = {name.replace("-", ""): name for name in model_types()}
    for class_name in class_names_of(values):
        for name, kind in sorted(names.items(), key=lambda item: -len(item[0])):
            if str(class_name).lower().startswith(name):
                return kind
    return None


def class_names_of(values: dict[str, Any]) -> list:
    """The classes of transformers that a config.json names, list of str."""
    found = values.get("architectures") or []
    return found if isinstance(found, list) else [found]


__all__ = ["Architecture", "class_names_of", "get_record", "kind_of", "model_types", "record_for", "record_of"]
