"""config.json of Hugging Face `transformers` to the configs of tfkor, and back."""

import dataclasses
import json
from pathlib import Path

from tfkor import zoo

MODEL_TYPES = {"albert": "Albert", "bert": "Bert", "electra": "Electra", "roberta": "Roberta", "xlm-roberta": "Roberta"}
# What a config.json does not say, where transformers and tfkor have other defaults
DEFAULTS = {
    "albert": dict(
        vocab_size=30_000, hidden_size=4096, num_attention_heads=64, intermediate_size=16_384, hidden_act="gelu_new"
    ),
    "bert": dict(vocab_size=30_522),
    "electra": dict(
        vocab_size=30_522, embedding_size=128, hidden_size=256, num_attention_heads=4, intermediate_size=1024
    ),
    "roberta": dict(vocab_size=50_265, max_position_embeddings=512, type_vocab_size=2, layer_norm_eps=1e-12),
    "xlm-roberta": dict(vocab_size=30_522, max_position_embeddings=512, type_vocab_size=2, layer_norm_eps=1e-12),
}
# Options that change what a model computes, with the values that tfkor's models have
FIXED = {
    "position_embedding_type": ("absolute", None),
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
    "inner_group_num": (1, None),
    "chunk_size_feed_forward": (0, None),
}


def read_config(path):
    """Returns the dict in a config.json.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it is not a JSON object.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a folder of Hugging Face transformers")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON in UTF-8 ({error})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}: found a {type(values).__name__}; expected a JSON object")
    return values


def config_from_huggingface(values, source="config.json", **changes):
    """Returns (encoder class, config) of a dict that config.json holds; `changes` are fields of the config.

    Raises:
      ValueError: an architecture or an option that tfkor does not have, or a value of the wrong type; `source` and the
        key are named.
    """
    kind = kind_of(values)
    if kind not in MODEL_TYPES:
        raise ValueError(f"{source}: model_type is {kind!r}; expected one of {', '.join(MODEL_TYPES)}")
    for name, allowed in FIXED.items():
        if name in values and values[name] not in allowed:
            raise ValueError(f"{source}: {name} is {values[name]!r}; tfkor's models have {allowed[0]!r}")
    encoder_class, config_class = zoo.architecture(MODEL_TYPES[kind])
    found = {}
    for field in dataclasses.fields(config_class):
        value = values.get(field.name, DEFAULTS[kind].get(field.name, field.default))
        if field.type in (int, "int") and (type(value) is not int or value < 1):
            raise ValueError(f"{source}: {field.name} is {value!r}; expected a whole number of at least 1")
        if field.type in (str, "str") and not isinstance(value, str):
            raise ValueError(f"{source}: {field.name} is {value!r}; expected a string")
        if field.type in (float, "float") and (type(value) not in (int, float) or not 0 <= value < 1):
            raise ValueError(f"{source}: {field.name} is {value!r}; expected a number from 0 to less than 1")
        found[field.name] = value
    if MODEL_TYPES[kind] == "Roberta":
        found["max_position_embeddings"] += 1 - padding_id(values, source)
    return encoder_class, config_class(**{**found, **changes})


def padding_id(values, source="config.json"):
    """The id from which a RoBERTa of transformers counts its positions; tfkor's counts from 1, as the published ones.

    Raises:
      ValueError: a pad_token_id that is no id.
    """
    found = values.get("pad_token_id", 1)
    if type(found) is not int or found < 0:
        raise ValueError(
            f"{source}: pad_token_id is {found!r}; expected an id, since a RoBERTa counts positions from it"
        )
    return found


def kind_of(values):
    """The model_type of a config.json; files of 2019 have only architectures, ["BertForMaskedLM"] for "bert"."""
    if values.get("model_type"):
        return values["model_type"]
    names = {name.replace("-", ""): name for name in MODEL_TYPES}
    for architecture in names_of(values):
        for name, kind in sorted(names.items(), key=lambda item: -len(item[0])):
            if str(architecture).lower().startswith(name):
                return kind
    return None


def names_of(values):
    """The classes of transformers that a config.json names, list of str."""
    found = values.get("architectures") or []
    return found if isinstance(found, list) else [found]


def is_roberta(values):
    return MODEL_TYPES.get(kind_of(values)) == "Roberta"


def labels_of(values, source="config.json"):
    """The classes of a fine-tuned model, list of str in the order of their numbers; LABEL_0 and LABEL_1 by default.

    Raises:
      ValueError: an id2label that does not name 0 to n - 1, each otherwise.
    """
    found = values.get("id2label") or {str(i): f"LABEL_{i}" for i in range(2)}
    if not isinstance(found, dict) or set(found) != {str(i) for i in range(len(found))}:
        told = sorted(found)[:5] if isinstance(found, dict) else type(found).__name__
        raise ValueError(f'{source}: id2label has {told}; expected an object with the keys "0", "1" and so on')
    labels = [found[str(i)] for i in range(len(found))]
    if not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
        raise ValueError(f"{source}: the labels of id2label are {labels[:5]}; expected strings, each once")
    return labels


def config_to_huggingface(encoder, class_name=None, tokenizer=None, **values):
    """Returns the dict for config.json of an encoder, so that transformers builds the same model.

    Args:
      class_name: the class of transformers to name, "BertForMaskedLM" for example; None names the encoder alone.
      tokenizer: whose pad_id it gets.
      values: further entries, id2label for example.
    """
    architecture = type(encoder).__name__
    kind = {name: kind for kind, name in MODEL_TYPES.items() if kind != "xlm-roberta"}[architecture]
    special = {} if tokenizer is None else {"pad_token_id": tokenizer.pad_id}
    if architecture == "Roberta":
        special.setdefault("pad_token_id", 1)
        special["max_position_embeddings"] = encoder.config.max_position_embeddings + special["pad_token_id"] - 1
        if tokenizer is not None:
            special |= {"bos_token_id": tokenizer.cls_id, "eos_token_id": tokenizer.sep_id}
    return {
        "architectures": [class_name or f"{architecture}Model"],
        "model_type": kind,
        **encoder.config.to_dict(),
        **special,
        **values,
    }
