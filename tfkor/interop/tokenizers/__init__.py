"""Tokenizers of published checkpoints, in and out."""

from tfkor.interop.tokenizers.fast import fast_tokenizer
from tfkor.interop.tokenizers.folder import read_tokenizer, write_tokenizer

__all__ = ["fast_tokenizer", "read_tokenizer", "write_tokenizer"]
