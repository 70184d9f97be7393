"""tfkor: Korean language models in TensorFlow and Keras 3."""

import importlib

__version__ = "0.1.0"

# name -> module that defines it; imported at first use, so that `import tfkor` is instant
_PUBLIC = {
    "Albert": "tfkor.models",
    "AlbertConfig": "tfkor.models",
    "Bert": "tfkor.models",
    "BertConfig": "tfkor.models",
    "Deberta": "tfkor.models",
    "DebertaConfig": "tfkor.models",
    "Electra": "tfkor.models",
    "ElectraConfig": "tfkor.models",
    "Roberta": "tfkor.models",
    "RobertaConfig": "tfkor.models",
    "TextClassifier": "tfkor.tasks",
    "Tokenizer": "tfkor.text",
}
_ROOMS = ("data", "export", "hub", "interop", "layers", "models", "pretraining", "tasks", "text", "training", "zoo")

__all__ = [*_PUBLIC, *_ROOMS]


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"tfkor.{name}")
    raise AttributeError(f"module 'tfkor' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
