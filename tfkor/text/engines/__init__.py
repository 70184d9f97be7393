"""Engines: normalised text to the pieces of a vocabulary; each has the interface of `Engine`."""

from tfkor.text.engines.engine import Engine
from tfkor.text.engines.published import PublishedSentencePiece
from tfkor.text.engines.sentencepiece import SentencePiece
from tfkor.text.engines.wordpiece import WordPiece

__all__ = ["Engine", "PublishedSentencePiece", "SentencePiece", "WordPiece"]
