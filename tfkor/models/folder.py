"""An encoder in a folder of its own: config.json, encoder.safetensors, the tokenizer, the heads of a pretraining.

config.json holds the architecture, the fields of its config, and the SHA-256 of each file of weights. Weights are saved
by name (`tfkor.models.weights`).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from tfkor.files import new_folder, read_json, write_json
from tfkor.layers.heads import HEADS
from tfkor.models import legacy
from tfkor.models.backbone import Backbone
from tfkor.models.registry import architecture_of, get_architecture
from tfkor.models.weights import load_weights, named_weights, save_weights
from tfkor.text import Tokenizer
from tfkor.version import __version__

CONFIG, WEIGHTS, HEADS_FILE, TOKENIZER = "config.json", "encoder.safetensors", "heads.safetensors", "tokenizer"
RUN = "encoder"  # where a run of run_pretraining has its encoder
ABOUT = ("tfkor", "architecture", "sha256", "heads")  # keys of config.json beside the fields of the config


@dataclass
class Pretrained:
    """The contents of a folder: an encoder, its tokenizer or None, and heads of pretraining, {class: layer}."""

    encoder: Backbone
    tokenizer: Tokenizer | None = None
    heads: dict[type, keras.layers.Layer] = field(default_factory=dict)


def save_encoder(
    folder: str | os.PathLike,
    encoder: Backbone,
    tokenizer: Tokenizer | None = None,
    overwrite: bool = False,
    half: bool = False,
    heads: Sequence[keras.layers.Layer] = (),
) -> None:
    """Writes an encoder into `folder`, whole or not at all. LoRA weights are added to the kernels.

    Args:
      half: writes the weights in float16, half the size; `load_encoder` converts them to float32.
      heads: those of pretraining, to continue it; `load_encoder` returns them too.

    Raises:
      FileExistsError: the folder is there and `overwrite` is False.
      ValueError: a weight is too large for float16.
    """
    from tfkor.models.lora import merge_lora

    encoder = merge_lora(encoder)
    with new_folder(folder, overwrite) as temporary:
        sums = {WEIGHTS: save_weights(temporary / WEIGHTS, named_weights(encoder), half)}
        if heads:
            weights = {f"{head.name}.{name}": v for head in heads for name, v in named_weights(head).items()}
            sums[HEADS_FILE] = save_weights(temporary / HEADS_FILE, weights, half)
        about = {"tfkor": __version__, "architecture": architecture_of(encoder), "sha256": sums}
        if heads:
            kinds = {kind: name for name, kind in HEADS.items()}
            about["heads"] = {head.name: kinds[type(head)] for head in heads}
        write_json(temporary / CONFIG, {**about, **encoder.config.to_dict()})
        if tokenizer is not None:
            tokenizer.save(temporary / TOKENIZER)


def own_folder(folder: str | os.PathLike) -> Path | None:
    """The folder itself, or the encoder's folder in that of a run, if tfkor wrote it; else None."""
    folder = Path(folder)
    if (folder / RUN / CONFIG).is_file():
        return folder / RUN
    config = folder / CONFIG
    return folder if config.is_file() and "architecture" in read_json(config) else None


def load_encoder(folder: str | os.PathLike, dtype: str | None = None, **changes: Any) -> Pretrained:
    """Returns what `save_encoder` wrote, on either backend.

    Args:
      folder: that of an encoder, or of a run of run_pretraining.
      dtype: float32, mixed_bfloat16 or mixed_float16.
      changes: fields of the config that do not change the weights' shapes, hidden_dropout_prob for example.

    Raises:
      FileNotFoundError: a part of it is missing.
      ValueError: config.json names no architecture of tfkor, or the weights are of other sizes, or damaged.
    """
    folder = own_folder(folder) or Path(folder)
    path = folder / CONFIG
    values = read_json(path)
    about = {name: values.pop(name, None) for name in ABOUT}
    encoder_class, config_class = get_architecture(about["architecture"], str(path))
    if not (folder / WEIGHTS).is_file() and not legacy.has_weights(folder):
        raise FileNotFoundError(f"{folder} has no {WEIGHTS}; expected a folder that tfkor.zoo.save wrote")
    try:
        config = config_class(**{**values, **changes})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    encoder = encoder_class(config, dtype=dtype)
    if (folder / WEIGHTS).is_file():
        sums = about["sha256"] or {}
        name = f"{encoder_class.__name__} in {path}"
        load_weights(folder / WEIGHTS, named_weights(encoder), sums.get(WEIGHTS), name)
        heads = load_heads(folder, encoder, about["heads"] or {}, sums.get(HEADS_FILE))
    else:
        legacy.load_encoder_weights(folder, encoder)
        heads = legacy.load_heads(folder, encoder)
    tokenizer = Tokenizer.load(folder / TOKENIZER) if (folder / TOKENIZER).is_dir() else None
    return Pretrained(encoder, tokenizer, heads)


def load_heads(
    folder: Path, encoder: Backbone, kinds: dict[str, str], checksum: str | None
) -> dict[type, keras.layers.Layer]:
    """{class: head} of heads.safetensors; `kinds` is {name: class name} of the heads in it."""
    heads = {}
    for name, kind in kinds.items():
        if kind not in HEADS:
            raise ValueError(
                f"{folder / CONFIG}: the head {name} is of the kind {kind!r}; expected one of {', '.join(HEADS)}"
            )
        heads[HEADS[kind]] = HEADS[kind].of(encoder, name=name)
    if heads:
        weights = {f"{head.name}.{name}": v for head in heads.values() for name, v in named_weights(head).items()}
        load_weights(folder / HEADS_FILE, weights, checksum, f"the heads in {folder / CONFIG}")
    return heads
