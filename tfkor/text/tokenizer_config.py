"""tokenizer_config.json: what a tokenizer's folder holds beside its vocabulary."""

import json
from dataclasses import fields
from pathlib import Path

from tfkor.text.engines import Engine
from tfkor.text.normalization import Normalizer
from tfkor.text.published_normalizer import PublishedNormalizer
from tfkor.text.template import Template

NAME = "tokenizer_config.json"
TYPES = ("wordpiece", "bpe", "unigram", "published")
OPTIONS = (
    "max_word_chars",
    *(field.name for field in fields(Normalizer)),
    "user_symbols",
    "special_tokens",
    "pair_separators",
)
OF_PUBLISHED = ("special", "cleaning", "nfc", "lowercase", "pair_separators", "vocab")  # special: the special tokens


def of(normalizer: Normalizer | PublishedNormalizer, engine: Engine, template: Template) -> dict:
    """What the file holds. Fingerprints depend on it, so that new options are left out where they are the default."""
    values = {**engine.config, **normalizer.config}
    if engine.type == "published":
        values |= {"special": template.special_tokens, "pair_separators": template.pair_separators}
    else:
        values |= template.config
    names = OF_PUBLISHED if engine.type == "published" else OPTIONS
    return {"type": engine.type, **{name: values[name] for name in names if name in values}}


def read(path: Path) -> tuple[str, dict]:
    """The type of the tokenizer that the file describes, and the options that make it.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not JSON, an unknown key, an unknown type.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a folder written by Tokenizer.save")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON in UTF-8 ({error})") from error
    published = isinstance(config, dict) and config.get("type") == "published"
    known = ("type", *(OF_PUBLISHED if published else OPTIONS))
    if not isinstance(config, dict) or (unknown := sorted(set(config) - set(known))):
        found = f"unknown key {', '.join(unknown)}" if isinstance(config, dict) else f"a {type(config).__name__}"
        raise ValueError(f"{path}: found {found}; expected an object with the keys {', '.join(known)}")
    if (kind := config.pop("type", None)) not in TYPES:
        raise ValueError(f'{path}: type is {kind!r}; expected "wordpiece", "bpe", "unigram" or "published"')
    if published and "special" in config:
        config["special_tokens"] = config.pop("special")
    return kind, config
