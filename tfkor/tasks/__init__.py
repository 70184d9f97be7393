"""Tasks: a head, its data and its metric, over any encoder."""

from tfkor.tasks.answerer import QuestionAnswerer
from tfkor.tasks.classifier import TextClassifier
from tfkor.tasks.parser import DependencyParser
from tfkor.tasks.registry import NAMES, get_task
from tfkor.tasks.relations import RelationExtractor
from tfkor.tasks.tagger import TokenTagger
from tfkor.tasks.task import Task
from tfkor.tasks.tracker import DialogueTracker

__all__ = [
    "NAMES",
    "DependencyParser",
    "DialogueTracker",
    "QuestionAnswerer",
    "RelationExtractor",
    "Task",
    "TextClassifier",
    "TokenTagger",
    "get_task",
]
