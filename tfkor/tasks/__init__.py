"""Tasks: a head, its data and its metric, over any encoder."""

from tfkor.tasks.classifier import TextClassifier
from tfkor.tasks.tagger import TokenTagger

__all__ = ["TextClassifier", "TokenTagger"]
