"""The engines as TensorFlow operations: normalised strings to ids."""

import itertools
import re

import tensorflow as tf
import tensorflow_text as tf_text

from tfkor.text import characters
from tfkor.text.engines import PublishedSentencePiece, SentencePiece, WordPiece
from tfkor.text.engines.sentencepiece import MARK
from tfkor.text.engines.wordpiece import spellable
from tfkor.text.graph.normalization import any_of
from tfkor.text.morphemes import BOUNDARY
from tfkor.text.tokenizer import Tokenizer

UNIT = "UTF8_CHAR"  # unit of a word's length; in bytes, a word of 34 syllables would be too long


def engine_twin(tokenizer: Tokenizer) -> tf.Module:
    """The tokenizer's engine as a module with `ids`: normalised string [B] -> int32 ragged [B, None].

    Raises:
      ValueError: an engine that TensorFlow has no operations for.
    """
    twin = TWINS.get(type(tokenizer.engine))
    if twin is None:
        raise ValueError(f"the tokenizer is {tokenizer.type}; expected one that TensorFlow has operations for")
    return twin(tokenizer)


class WordPieceTwin(tf.Module):
    """Normalised strings -> ids. Morphemes that continue a word reach FastWordpieceTokenizer as "##" and letters."""

    def __init__(self, tokenizer: Tokenizer):
        super().__init__()
        unk_id = tokenizer.template.required("unk", "WordPiece in a graph")
        self.max_word_chars = tokenizer.max_word_chars
        entries = hide_special(tokenizer)
        self.unk_token = entries[unk_id]
        self.split = tokenizer.normalizer.morphemes is not None
        self.private = private_characters(tokenizer.vocab, 3 + len(tokenizer.user_symbols))
        self.symbols = dict(zip(tokenizer.user_symbols, self.private[3:]))
        try:
            self.wordpiece = tf_text.FastWordpieceTokenizer(
                [self.symbols.get(entry, entry) for entry in entries],
                token_out_type=tf.int32,
                unknown_token=self.unk_token,
                no_pretokenization=True,
                max_bytes_per_word=4 * max(self.max_word_chars, len(self.unk_token)) + 2,
            )
        except RuntimeError as error:  # 2.20.0 fails on most vocabularies (tensorflow/text issue 1462)
            raise ValueError(f"tensorflow_text {tf_text.__version__} can't build this vocabulary: {error}") from error

    def ids(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """string [B] -> int32 ragged [B, None]"""
        if self.symbols:
            replacements = {symbol: f" {char} " for symbol, char in self.symbols.items()}
            texts = replace_symbols(texts, replacements, self.private, self.split)
        texts = tf.strings.regex_replace(texts, any_of(characters.ALONE), r" \0 ")
        if self.split:
            for beside_a_symbol in (f"(^| ){BOUNDARY}", f"{BOUNDARY}( )"):
                texts = tf.strings.regex_replace(texts, beside_a_symbol, r"\1")
            texts = tf.strings.regex_replace(texts, BOUNDARY, " ##")
        words = tf.strings.split(texts)
        lengths = tf.strings.length(words.values, UNIT)
        if self.split:
            lengths -= 2 * tf.cast(tf.strings.substr(words.values, 0, 2) == "##", tf.int32)
        words = words.with_values(tf.where(lengths > self.max_word_chars, self.unk_token, words.values))
        return self.wordpiece.tokenize(words).merge_dims(1, 2)


class SentencePieceTwin(tf.Module):
    """Normalised strings -> ids. BOUNDARY is a piece of the model, and is removed from the ids."""

    def __init__(self, tokenizer: Tokenizer):
        super().__init__()
        self.split = tokenizer.normalizer.morphemes is not None
        self.boundary_id = tokenizer.vocab.index(BOUNDARY) if self.split else None
        self.symbols = {symbol: symbol for symbol in tokenizer.user_symbols}
        self.private = private_characters(tokenizer.vocab, 3)
        if tokenizer.type == "unigram":
            self.model = tf_text.FastSentencepieceTokenizer(tokenizer.vocab_file)
        else:
            self.model = tf_text.SentencepieceTokenizer(tokenizer.vocab_file)

    def ids(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """string [B] -> int32 ragged [B, None]"""
        texts = tf.strings.strip(tf.strings.regex_replace(texts, f"[ {MARK}]+", " "))
        if self.split and self.symbols:
            texts = replace_symbols(texts, self.symbols, self.private, True)
        ids = tf.cast(self.model.tokenize(texts), tf.int32).with_row_splits_dtype(tf.int64)
        return tf.ragged.boolean_mask(ids, ids != self.boundary_id) if self.split else ids


class PublishedTwin(tf.Module):
    """Strings -> ids, by a sentencepiece model that normalises by itself."""

    def __init__(self, tokenizer: Tokenizer):
        super().__init__()
        if cleaning := tokenizer.normalizer.cleaning:
            raise ValueError(
                f"cleaning is {cleaning!r}; expected None: TensorFlow has no operations for this cleaning. "
                "Export the model that takes ids"
            )
        self.id_of = tokenizer.engine.id_of
        self.model = tf_text.SentencepieceTokenizer(tokenizer.vocab_file)

    def ids(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """string [B] -> int32 ragged [B, None]"""
        ids = self.model.tokenize(texts).with_row_splits_dtype(tf.int64)
        return ids.with_values(tf.gather(tf.constant(self.id_of, tf.int32), ids.values))


TWINS = {WordPiece: WordPieceTwin, SentencePiece: SentencePieceTwin, PublishedSentencePiece: PublishedTwin}


def hide_special(tokenizer: Tokenizer) -> list[str]:
    """The entries of a vocabulary, with brackets around the special tokens that a text could have as a word."""
    entries, known = list(tokenizer.vocab), set(tokenizer.vocab)
    for i in tokenizer.template.ids.values():
        while next(spellable([entries[i]], tokenizer.normalizer.kinds)) or (
            entries[i] != tokenizer.vocab[i] and entries[i] in known
        ):
            entries[i] = f"[{entries[i]}]"
    return entries


def private_characters(vocab: list[str], count: int) -> str:
    """Characters for private use that no entry of the vocabulary has."""
    used = set("".join(vocab))
    return "".join(itertools.islice((chr(code) for code in range(0x100000, 0x10FFFE) if chr(code) not in used), count))


def replace_symbols(texts: tf.Tensor, replacements: dict[str, str], private: str, split: bool) -> tf.Tensor:
    """Replaces user symbols, the longest where several begin at one position; with `split`, BOUNDARY inside is skipped.

    Where a text itself has one of the characters `private`, the third of them replaces it, which is as unknown.
    """
    start, end, unknown = private[:3]
    texts = tf.strings.regex_replace(texts, f"[{start}{end}{private[3:]}]", unknown)
    between = f"{BOUNDARY}?" if split else ""
    patterns = {symbol: between.join(map(re.escape, symbol)) for symbol in sorted(replacements, key=len, reverse=True)}
    texts = tf.strings.regex_replace(texts, "|".join(patterns.values()), f"{start}\\0{end}")
    for symbol, pattern in patterns.items():
        text = replacements[symbol].replace("\\", r"\\")
        texts = tf.strings.regex_replace(texts, f"{start}{pattern}{end}", text)
    return texts
