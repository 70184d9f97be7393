"""tfkor: Korean language models in TensorFlow and Keras 3."""

import importlib

from tfkor.version import __version__

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
    "DependencyParser": "tfkor.tasks",
    "DialogueTracker": "tfkor.tasks",
    "QuestionAnswerer": "tfkor.tasks",
    "RelationExtractor": "tfkor.tasks",
    "TextClassifier": "tfkor.tasks",
    "TokenTagger": "tfkor.tasks",
    "Tokenizer": "tfkor.text",
    "load": "tfkor.zoo",
}
_MODULES = (
    *("data", "export", "hub", "interop", "layers", "metrics", "models", "pretraining", "tasks", "text", "training"),
    "zoo",
)

__all__ = ["__version__", *_PUBLIC, *_MODULES]


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"tfkor.{name}")
    raise AttributeError(f"module 'tfkor' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
