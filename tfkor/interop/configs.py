"""config.json of Hugging Face `transformers` to the configs of tfkor, and back."""

import dataclasses
from typing import Any

from tfkor.interop.architectures import record_for, record_of
from tfkor.models.backbone import Backbone, Config
from tfkor.models.registry import get_architecture


def config_from_huggingface(
    values: dict[str, Any], source: str = "config.json", **changes: Any
) -> tuple[type[Backbone], Config]:
    """Returns (encoder class, config) of a dict that config.json holds; `changes` are fields of the config.

    Raises:
      ValueError: an architecture or an option that tfkor does not have, or a value of the wrong type; `source` and the
        key are named.
    """
    kind, record = record_for(values, source)
    for name, allowed in record.fixed.items():
        if name in values and values[name] not in allowed:
            raise ValueError(f"{source}: {name} is {values[name]!r}; tfkor's models have {allowed[0]!r}")
    encoder_class, config_class = get_architecture(record.name)
    defaults = record.defaults.get(kind, {})
    found = {
        field.name: values.get(field.name, defaults.get(field.name, field.default))
        for field in dataclasses.fields(config_class)
    }
    found = record.config_in(found, values, source)
    try:
        return encoder_class, config_class(**{**found, **changes})
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def labels_of(values: dict[str, Any], source: str = "config.json") -> list[str]:
    """The classes of a fine-tuned model, list of str in the order of their numbers; LABEL_0 and LABEL_1 by default.

    Raises:
      ValueError: an id2label whose keys are not 0 to n - 1, or whose names are not all different.
    """
    found = values.get("id2label") or {str(i): f"LABEL_{i}" for i in range(2)}
    if not isinstance(found, dict) or set(found) != {str(i) for i in range(len(found))}:
        keys = sorted(found)[:5] if isinstance(found, dict) else type(found).__name__
        raise ValueError(f'{source}: id2label has {keys}; expected an object with the keys "0", "1" and so on')
    labels = [found[str(i)] for i in range(len(found))]
    if not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
        raise ValueError(f"{source}: the labels of id2label are {labels[:5]}; expected strings, each once")
    return labels


def config_to_huggingface(
    encoder: Backbone, class_name: str | None = None, tokenizer: Any = None, **values: Any
) -> dict[str, Any]:
    """Returns the dict for config.json of an encoder, so that transformers builds the same model.

    Args:
      class_name: the class of transformers to name, "BertForMaskedLM" for example; None names the encoder alone.
      tokenizer: the config gets its pad_id.
      values: further entries, id2label for example.
    """
    record = record_of(encoder)
    fields = encoder.config.to_dict()
    if tokenizer is not None:
        fields["pad_token_id"] = tokenizer.pad_id
    return {
        "architectures": [class_name or f"{record.class_name}Model"],
        "model_type": record.model_types[0],
        **record.config_out(fields, tokenizer),
        **values,
    }
