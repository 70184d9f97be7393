"""Strings to ids and back: Korean normalisation, WordPiece, its training, and its twin inside a TensorFlow graph."""

import importlib

from tfkor.text.files import Lines
from tfkor.text.normalization import Normalizer
from tfkor.text.tokenizer import SPECIAL_TOKENS, Ragged, Tokenizer

# these import TensorFlow or Hugging Face `tokenizers`, so at first use only
_LATER = {"GraphTokenizer": "tfkor.text.graph", "train_wordpiece": "tfkor.text.wordpiece_training"}

__all__ = ["SPECIAL_TOKENS", "GraphTokenizer", "Lines", "Normalizer", "Ragged", "Tokenizer", "train_wordpiece"]


def __getattr__(name):
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'tfkor.text' has no attribute {name!r}")
