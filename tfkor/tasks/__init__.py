"""Tasks: a head, its data and its metric, over any encoder."""

from tfkor.tasks.classifier import TextClassifier

__all__ = ["TextClassifier"]
