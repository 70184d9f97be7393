"""The tasks by name. A new task is a line here and a file in this folder."""

import importlib
import sys
from typing import Any

# name in task.json -> (module, class)
TASKS = {
    "text_classifier": ("tfkor.tasks.classifier", "TextClassifier"),
    "token_tagger": ("tfkor.tasks.tagger", "TokenTagger"),
    "question_answerer": ("tfkor.tasks.answerer", "QuestionAnswerer"),
    "dependency_parser": ("tfkor.tasks.parser", "DependencyParser"),
    "relation_extractor": ("tfkor.tasks.relations", "RelationExtractor"),
    "dialogue_tracker": ("tfkor.tasks.tracker", "DialogueTracker"),
}
NAMES = tuple(TASKS)
CLASS_NAMES = {class_name: name for name, (_, class_name) in TASKS.items()}  # as folders of older releases have them


def get_task(name: str, source: str = "name") -> type:
    """ "token_tagger" -> TokenTagger; "TokenTagger", the form in folders of older releases, is accepted too.

    Raises:
      ValueError: tfkor has no such task; `source` is named in the message.
    """
    name = CLASS_NAMES.get(name, name) if isinstance(name, str) else name
    if not isinstance(name, str) or name not in TASKS:
        raise ValueError(f"{source}: the task is {name!r}; expected one of {', '.join(NAMES)}")
    module, class_name = TASKS[name]
    return getattr(importlib.import_module(module), class_name)


def name_of(task: Any) -> str:
    """The name of a task, "token_tagger" for a TokenTagger.

    Raises:
      ValueError: its class is not in TASKS.
    """
    for name, (module, class_name) in TASKS.items():
        if module in sys.modules and type(task) is getattr(sys.modules[module], class_name):
            return name
    raise ValueError(f"{type(task).__name__} is not a task of tfkor; expected one of {', '.join(NAMES)}")
