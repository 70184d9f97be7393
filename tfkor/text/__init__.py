"""Strings to ids and back: Korean normalisation, WordPiece, BPE and Unigram, their training, their twin in a graph."""

import importlib
from typing import Any

from tfkor.text.files import Lines
from tfkor.text.normalization import Normalizer
from tfkor.text.ragged import Ragged
from tfkor.text.tokenizer import Tokenizer
from tfkor.text.vocabulary import SPECIAL_TOKENS

# imported at first use, since these import TensorFlow, Hugging Face `tokenizers` or sentencepiece
_LATER = {
    "GraphOffsets": "tfkor.text.graph.offsets",
    "GraphTokenizer": "tfkor.text.graph.tokenizer",
    "tokenizer_report": "tfkor.text.training.report",
    "train_sentencepiece": "tfkor.text.training.sentencepiece",
    "train_tokenizer": "tfkor.text.training.train_tokenizer",
    "train_wordpiece": "tfkor.text.training.wordpiece",
}

__all__ = ["SPECIAL_TOKENS", "Lines", "Normalizer", "Ragged", "Tokenizer", *_LATER]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'tfkor.text' has no attribute {name!r}")
