"""Trained models as files that run without tfkor: SavedModels from ids and from strings, TFLite."""

from tfkor.export.answering import export_string_answerer
from tfkor.export.saved_model import export_classifier, export_encoder, export_string_classifier
from tfkor.export.tagging import export_string_tagger
from tfkor.export.tflite import TFLiteClassifier, export_tflite

__all__ = [
    "TFLiteClassifier",
    "export_classifier",
    "export_encoder",
    "export_string_answerer",
    "export_string_classifier",
    "export_string_tagger",
    "export_tflite",
]
