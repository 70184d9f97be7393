"""Tasks: a head, its data and its metric, over any encoder."""

from tfkor.tasks.answerer import QuestionAnswerer
from tfkor.tasks.classifier import TextClassifier
from tfkor.tasks.parser import DependencyParser
from tfkor.tasks.relations import RelationExtractor
from tfkor.tasks.tagger import TokenTagger
from tfkor.tasks.tracker import DialogueTracker

__all__ = [
    "DependencyParser",
    "DialogueTracker",
    "QuestionAnswerer",
    "RelationExtractor",
    "TextClassifier",
    "TokenTagger",
]
