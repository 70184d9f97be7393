"""Trained models as files that run without tfkor: SavedModels from ids and from strings, TFLite."""

from tfkor.export.saved_model import export_classifier, export_encoder, export_string_classifier
from tfkor.export.tflite import TFLiteClassifier, export_tflite

__all__ = ["TFLiteClassifier", "export_classifier", "export_encoder", "export_string_classifier", "export_tflite"]
