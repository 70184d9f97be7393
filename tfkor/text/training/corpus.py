"""Common to the training of all tokenizers: texts read in batches, their alphabet, user symbols."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tfkor.text.engines.engine import find_symbols
from tfkor.text.engines.sentencepiece import MARK
from tfkor.text.normalization import ALONE, SPACE, SYLLABLE, SYLLABLES, Normalizer
from tfkor.text.ragged import spans
from tfkor.text.tokenizer import blocks
from tfkor.text.vocabulary import checked_special_tokens

ASCII = "".join(map(chr, range(0x21, 0x7F)))
MODERN_JAMO = "".join(map(chr, (*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A8, 0x11C3))))
ROWS = 10_000  # texts that are read together


class Corpus:
    """Texts as arrays of code points, normalised and without user symbols.

    Args:
      texts: list of str, or `Lines(files)`; anything that can be iterated over twice.
      normalizer: a Normalizer.
      user_symbols: strings that will be one piece each, so that nothing is learned from them.

    Attributes:
      characters: how many there are, apart from white space; known after `alphabet`.

    Raises:
      TypeError: texts is one str, or an iterator.
    """

    def __init__(self, texts: Iterable[str], normalizer: Normalizer, user_symbols: Sequence[str] = ()):
        if isinstance(texts, (str, Iterator)):
            kind = "one str" if isinstance(texts, str) else "an iterator, which can be read once only"
            raise TypeError(f"texts is {kind}; expected a list of str or Lines(files)")
        self.texts, self.normalizer = texts, normalizer
        self.user_symbols = dict.fromkeys(user_symbols, 0)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields codes [N] and kinds [N] as of `Normalizer.characters`, a block of texts at a time."""
        for rows in _batches(self.texts):
            for block in blocks(rows):
                codes, kinds, _ = self.normalizer.characters(block)
                if self.user_symbols:
                    begin, end, _ = find_symbols(codes, self.user_symbols)
                    kinds[spans(begin, end - begin)] = SPACE
                    kinds[end[kinds[end] != SPACE]] &= ALONE
                yield codes, kinds

    def alphabet(self, limit: int, required: str) -> list[str]:
        """The required characters and the most frequent ones, `limit` of them, sorted by code point.

        The alphabet of jamo has all 67 modern ones, so that no syllable is unknown.

        Raises:
          ValueError: the texts hold no words.
        """
        counts = np.zeros(0x110000, np.int64)
        for codes, kinds in self:
            counts += np.bincount(codes[kinds != SPACE], minlength=len(counts))
        self.characters = int(counts.sum())
        counts[: ord(" ")] = 0  # a vocab.txt can't hold control characters
        if not counts.any():
            raise ValueError("the texts hold no words; expected some to learn from")
        order = np.lexsort((np.arange(len(counts)), -counts))[: max(limit, 0)]
        required = replace(self.normalizer, morphemes=None).characters([required])
        required = map(chr, required[0][required[1] != SPACE])
        jamo = MODERN_JAMO if self.normalizer.alphabet == "jamo" else ""
        return sorted({*map(chr, order[counts[order] > 0]), *required, *jamo})


def training_tokens(special_tokens: Mapping[str, str] | None, normalizer: Normalizer) -> dict[str, str]:
    """{role: token} of the special tokens of a training.

    Raises:
      ValueError: see `checked_special_tokens`; or a token that texts can have as a word, so that it could be learned.
    """
    found = checked_special_tokens(special_tokens)
    for token in found.values():
        if len(token) == 1 or not any(normalizer.kinds[ord(char)] & ALONE for char in token):
            raise ValueError(f"special token {token!r} is a word that a text can have; expected marks in it, as <sep>")
    return found


def checked_symbols(user_symbols: Sequence[str], normalizer: Normalizer) -> list[str]:
    """The user symbols in the form that they have in normalised text.

    Raises:
      ValueError: one is empty, has white space, or is changed by the normalisation, so that no text can hold it.
    """
    plain = replace(normalizer, alphabet="syllable", morphemes=None)
    for symbol in user_symbols:
        if not symbol or any(normalizer.kinds[ord(char)] & SPACE or char == MARK for char in symbol):
            raise ValueError(f"user symbol {symbol!r}; expected characters without white space and {MARK}")
        if plain(symbol) != symbol:
            raise ValueError(f"user symbol {symbol!r} becomes {plain(symbol)!r} by normalisation; expected this form")
        if normalizer.alphabet == "jamo" and 0 <= ord(symbol[-1]) - SYLLABLE < SYLLABLES:
            raise ValueError(f"user symbol {symbol!r} ends in Hangul; expected another end with the alphabet of jamo")
    if len(set(user_symbols)) < len(user_symbols):
        raise ValueError(f"user symbols {', '.join(user_symbols)}; expected each once")
    return [replace(normalizer, morphemes=None)(symbol) for symbol in user_symbols]


def _batches(texts):
    rows = []
    for text in texts:
        rows.append(text)
        if len(rows) == ROWS:
            yield rows
            rows = []
    if rows:
        yield rows
