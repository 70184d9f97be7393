"""Checkpoints in folders: those of Hugging Face `transformers` in and out, and google-research's of TF 1 in."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfkor.files import new_folder, read_json, write_json
from tfkor.interop.architectures import record_for, record_of
from tfkor.interop.configs import config_from_huggingface, config_to_huggingface
from tfkor.interop.huggingface import from_huggingface, tied_names, to_huggingface
from tfkor.interop.tensors import read_tensors
from tfkor.interop.tf1 import read_tf1, sizes_of
from tfkor.interop.tokenizers import read_tokenizer, write_tokenizer
from tfkor.known import did_you_mean
from tfkor.layers.heads import DiscriminatorHead, MaskedLmHead, PairHead
from tfkor.models.backbone import Backbone, Config
from tfkor.models.folder import Pretrained
from tfkor.tensor_files import write_safetensors
from tfkor.text import Tokenizer

# Files of TF 1 checkpoints that hold the sizes; ELECTRA's come without
TF1_CONFIGS = {"bert": "bert_config.json", "albert": "albert_config.json"}
BUFFERS = re.compile(r"(^|\.)embeddings\.(position_ids|token_type_ids)$")  # of transformers before 4.31; no weights
OLD_NORMS = ((".LayerNorm.gamma", ".LayerNorm.weight"), (".LayerNorm.beta", ".LayerNorm.bias"))  # before 2019-07
# The class of transformers that has these heads, for config.json
CLASSES = {
    frozenset(): "{}Model",
    frozenset([MaskedLmHead]): "{}ForMaskedLM",
    frozenset([MaskedLmHead, PairHead]): "{}ForPreTraining",
    frozenset([DiscriminatorHead]): "{}ForPreTraining",
}
TASK_HEADS = ("classifier.", "qa_outputs.")  # of a model that was fine-tuned
HUB_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "*.bin")


def load_pretrained(
    source: str | os.PathLike,
    *,
    dtype: str | None = None,
    nfc: bool = False,
    lowercase: bool | None = None,
    revision: str | None = None,
    generator: bool = False,
    **changes: Any,
) -> Pretrained:
    """Returns the Pretrained of a published checkpoint.

        pretrained = load_pretrained("klue/bert-base")                          # needs tfkor[hub] and a network, once
        pretrained = load_pretrained("multi_cased_L-12_H-768_A-12", nfc=True)   # a folder of google-research/bert

    Args:
      source: a folder of transformers or of google-research, or a name on the Hugging Face hub.
      dtype: float32, mixed_bfloat16 or mixed_float16.
      nfc, lowercase: of the tokenizer, see `read_tokenizer`.
      revision: of a name: a commit, tag or branch.
      generator: whether to load the generator of a google-research/electra checkpoint, which holds both networks.
      changes: fields of the config that do not change the weights' shapes, hidden_dropout_prob for example.

    Raises:
      FileNotFoundError: no such folder, or a part of it is missing.
      ConnectionError: a name that could not be fetched.
      ValueError: a damaged file, an unknown architecture, tensors that are missing, unknown or of a wrong shape.
    """
    folder = Path(source)
    if not folder.exists():
        folder = fetch(str(source), revision)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: not a folder; expected one of transformers or google-research")
    if (folder / "config.json").is_file():
        config_file = folder / "config.json"
        values = read_json(config_file)
        tensors = tensors_of(folder, values)
    else:
        values, tensors, config_file = read_google(folder, generator)
    encoder_class, config = config_from_huggingface(values, config_file, **changes)
    check_embeddings(tensors, config, config_file)
    encoder = encoder_class(config, dtype=dtype)
    try:
        heads = assign(encoder, tensors)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    try:
        tokenizer = read_tokenizer(folder, nfc, lowercase)
    except FileNotFoundError:  # published without one
        tokenizer = None
    return Pretrained(encoder, tokenizer, {type(head): head for head in heads})


def fetch(name: str, revision: str | None = None) -> Path:
    """The folder of a model on the Hugging Face hub, downloaded once."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise FileNotFoundError(
            f"{name}: no such folder; expected one, or a name as klue/bert-base{did_you_mean(name)}"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ModuleNotFoundError(f"{name} is not a folder; to download it: pip install 'tfkor[hub]'") from error
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(HUB_FILES)))
    except Exception as error:  # of many libraries below it, all about a network or a name
        raise ConnectionError(
            f"{name} could not be fetched ({type(error).__name__}: {str(error).splitlines()[0]}); expected a network "
            f"and a name of the hub, or a folder{did_you_mean(name)}"
        ) from error


def read_google(folder: Path, generator: bool) -> tuple[dict[str, Any], dict[str, np.ndarray], Path]:
    """(values of a config.json, tensors under Hugging Face's names, file to name in errors) of a TF 1 checkpoint."""
    indices = sorted(folder.glob("*.index"))
    if len(indices) != 1:
        raise FileNotFoundError(
            f"{folder}: no config.json and {len(indices)} files *.index; expected a folder of transformers, or of "
            "google-research with one checkpoint"
        )
    kind, tensors = read_tf1(indices[0], generator)
    if kind == "electra":
        return {"model_type": kind, **sizes_of(kind, tensors)}, tensors, indices[0]
    path = folder / TF1_CONFIGS[kind]
    values = read_json(path)
    act = values.get("hidden_act", "gelu")
    values = {**values, "model_type": kind, "hidden_act": "gelu_new" if act == "gelu" else act}  # gelu is the tanh form
    return values, tensors, path


def tensors_of(folder: Path, values: dict[str, Any]) -> dict[str, np.ndarray]:
    """The tensors of a folder of transformers as tfkor has them; `values` is what its config.json holds."""
    tensors = with_todays_names(read_tensors(folder))
    return record_for(values, folder / "config.json")[1].tensors_in(tensors, values)


def check_embeddings(tensors: dict[str, np.ndarray], config: Config, source: object) -> None:
    """Raises ValueError where the vocabularies differ, before an encoder is built that may be too large for memory."""
    for name, value in tensors.items():
        if name.endswith("embeddings.word_embeddings.weight") and len(value) != config.vocab_size:
            raise ValueError(f"{source}: vocab_size is {config.vocab_size}, but wrong shape: {name} is {value.shape}")


def with_todays_names(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors of a file of any age under today's names, without buffers, which are not weights."""
    out = {}
    for name, value in tensors.items():
        if BUFFERS.search(name):
            continue
        for old, new in OLD_NORMS:
            name = name.removesuffix(old) + new if name.endswith(old) else name
        out[name] = value
    return out


def assign(encoder: Backbone, tensors: dict[str, np.ndarray]) -> list[keras.layers.Layer]:
    """Assigns the tensors to the encoder and to the heads that they belong to; returns these heads.

    The head of a fine-tuned model is left out: `load_task` loads it. A pooler that the tensors don't hold keeps its
    initial weights: models without a head on the pooler are saved without it.
    """
    record = record_of(encoder)
    prefix = record.prefix
    if any(name.startswith(prefix) for name in tensors):
        of_tasks = (*TASK_HEADS, *(f"{name}." for name in record.classifier.values()))
        tensors = {name: value for name, value in tensors.items() if not name.startswith(of_tasks)}
    if not any(name.startswith(prefix) for name in tensors):  # the encoder alone was saved
        from_huggingface(encoder, tensors, pooler=False)
        return []
    kinds = [kind for kind, names in record.heads.items() if any(name in tensors for name in names.values())]
    heads = [kind.of(encoder, **({"name": record.pair_head} if kind is PairHead else {})) for kind in kinds]
    from_huggingface(encoder, tensors, heads, pooler=False, prefix=True)
    return heads


def save_huggingface(
    folder: str | os.PathLike,
    encoder: Backbone,
    tokenizer: Tokenizer | None = None,
    heads: Sequence[keras.layers.Layer] = (),
    overwrite: bool = False,
) -> None:
    """Writes a folder that `transformers` loads, on PyTorch, with equal outputs: config.json, model.safetensors, and
    the tokenizer's files.

    Raises:
      FileExistsError: the folder is there and `overwrite` is False.
      ValueError: heads that no class of transformers has together, or a tokenizer that it has no counterpart of.
    """
    kinds, record = frozenset(type(head) for head in heads), record_of(encoder)
    if kinds not in CLASSES:
        found, *known = (tuple(sorted(kind.__name__ for kind in each)) for each in (kinds, *CLASSES))
        raise ValueError(f"heads are {found}; expected one of {known}")
    with new_folder(folder, overwrite) as temporary:
        name = CLASSES[kinds].format(record.class_name)
        config = config_to_huggingface(encoder, name, tokenizer)
        write_json(temporary / "config.json", config)
        tensors = record.tensors_out(to_huggingface(encoder, heads), config)
        for copy in tied_names(encoder, heads):  # which the files of transformers don't hold either
            del tensors[copy]
        write_safetensors(temporary / "model.safetensors", tensors)
        if tokenizer is not None:
            write_tokenizer(temporary, tokenizer, encoder.max_length, encoder.config.type_vocab_size > 1)
