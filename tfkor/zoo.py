"""The front door: `save` writes an encoder with its tokenizer into a folder, `load` reads a folder, of a task or of an
encoder, or a published checkpoint by its name, and `known_checkpoints` lists the published ones that know Korean."""

import os
from pathlib import Path
from typing import Any

from tfkor.known import known_checkpoints
from tfkor.models.backbone import Backbone
from tfkor.models.folder import Pretrained, load_encoder, own_folder
from tfkor.models.folder import save_encoder as save
from tfkor.models.registry import NAMES, get_architecture
from tfkor.models.resize import with_symbols
from tfkor.tasks.folder import is_task_folder, load_task
from tfkor.tasks.task import Task
from tfkor.text import Tokenizer

__all__ = [
    "NAMES",
    "get_architecture",
    "is_own",
    "known_checkpoints",
    "known_options",
    "load",
    "load_with_heads",
    "save",
    "with_symbols",
]

PUBLISHED = ("lowercase", "nfc", "revision", "generator")  # options of published checkpoints


def load(
    source: str | os.PathLike, dtype: str | None = None, **changes: Any
) -> Task | tuple[Backbone, Tokenizer | None]:
    """Returns the Task where a folder holds one, else the pair (encoder, tokenizer or None), on either backend.

        classifier = tfkor.load("runs/intents")              # what TextClassifier.save wrote
        tagger = tfkor.load("folder-of-a-fine-tuned-model")  # BertForTokenClassification of transformers, for example
        encoder, tokenizer = tfkor.load("klue/bert-base")

    Args:
      source: a folder that the save of a task, `save` or run_pretraining wrote, one of Hugging Face transformers or
        google-research, or a name on the Hugging Face hub (`known_checkpoints` lists those of Korean).
      dtype: float32, mixed_bfloat16 or mixed_float16.
      changes: of an encoder fields of the config that do not change the weights' shapes, hidden_dropout_prob for
        example; of a published checkpoint the options of `load_pretrained` or `load_task`.

    Raises:
      FileNotFoundError: a part of it is missing.
      ValueError: a file that names no task or architecture of tfkor, weights that are damaged or of other sizes.
    """
    if is_task_folder(source):
        if changes:
            raise ValueError(f"{source}: it holds a task, whose settings are fixed; found {', '.join(changes)}")
        return load_task(source, dtype)
    if own_folder(source) is None:
        from tfkor.interop import tasks

        source, changes = fetched(source, changes)
        if tasks.holds_task(source):
            return tasks.load_task(source, dtype=dtype, **changes)
    found = load_with_heads(source, dtype, **changes)
    return found.encoder, found.tokenizer


def fetched(source: str | os.PathLike, changes: dict[str, Any]) -> tuple[str | os.PathLike, dict[str, Any]]:
    """(folder, changes without the revision) of a name on the Hugging Face hub; a folder is returned as it is."""
    from tfkor.interop.folders import fetch

    if Path(source).exists():
        return source, changes
    changes = dict(changes)
    return fetch(str(source), changes.pop("revision", None)), changes


def load_with_heads(source: str | os.PathLike, dtype: str | None = None, **changes: Any) -> Pretrained:
    """Returns the encoder in a folder, also that of a task, as a Pretrained: with its tokenizer, and the heads of a
    pretraining, {class: layer}. Arguments and errors are those of `load`."""
    from tfkor.interop import load_pretrained

    if own_folder(source) is None:
        return load_pretrained(source, dtype=dtype, **changes)
    if wrong := [name for name in PUBLISHED if changes.get(name) is not None]:
        raise ValueError(f"{source}: {wrong[0]} is {changes[wrong[0]]!r}; expected it with published checkpoints alone")
    return load_encoder(source, dtype, **changes)


def known_options(source: str | os.PathLike) -> dict[str, Any]:
    """The options of `load` that a published checkpoint needs to be exact; else {}."""
    known = {} if Path(source).exists() else known_checkpoints()
    return known[str(source)].options if str(source) in known else {}


def is_own(folder: str | os.PathLike) -> bool:
    """Whether `save` or run_pretraining wrote a folder."""
    return own_folder(folder) is not None
