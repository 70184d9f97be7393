"""Strings to ids and back: Korean normalisation, WordPiece, BPE and Unigram, their training, their twin in a graph."""

from tfkor.lazy import at_first_use
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
__getattr__, __dir__ = at_first_use(__name__, _LATER)
