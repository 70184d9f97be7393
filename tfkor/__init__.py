"""tfkor: Korean language models in TensorFlow and Keras 3."""

from tfkor.lazy import at_first_use
from tfkor.version import __version__

_MODULES = {
    "Albert": "tfkor.models",
    "AlbertConfig": "tfkor.models",
    "Bert": "tfkor.models",
    "BertConfig": "tfkor.models",
    "Deberta": "tfkor.models",
    "DebertaConfig": "tfkor.models",
    "DependencyParser": "tfkor.tasks",
    "DialogueTracker": "tfkor.tasks",
    "Electra": "tfkor.models",
    "ElectraConfig": "tfkor.models",
    "QuestionAnswerer": "tfkor.tasks",
    "RelationExtractor": "tfkor.tasks",
    "Roberta": "tfkor.models",
    "RobertaConfig": "tfkor.models",
    "TextClassifier": "tfkor.tasks",
    "TokenTagger": "tfkor.tasks",
    "Tokenizer": "tfkor.text",
    "load": "tfkor.zoo",
    **{
        name: f"tfkor.{name}"
        for name in (
            *("data", "export", "hub", "interop", "layers", "metrics", "models", "pretraining", "tasks", "text"),
            *("training", "zoo"),
        )
    },
}

__all__ = ["__version__", *_MODULES]
__getattr__, __dir__ = at_first_use(__name__, _MODULES)
