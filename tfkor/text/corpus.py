"""What the trainings of tokenizers share: texts read in batches, their alphabet, user symbols."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tfkor.text.normalization import ALONE, SPACE, SYLLABLE, SYLLABLES
from tfkor.text.sentencepiece import MARK
from tfkor.text.tokenizer import blocks
from tfkor.text.wordpiece import find_symbols, spans

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

    def __init__(self, texts, normalizer, user_symbols=()):
        if isinstance(texts, (str, Iterator)):
            kind = "one str" if isinstance(texts, str) else "an iterator, which can be read once only"
            raise TypeError(f"texts is {kind}; expected a list of str or Lines(files)")
        self.texts, self.normalizer = texts, normalizer
        self.user_symbols = dict.fromkeys(user_symbols, 0)

    def __iter__(self):
        """Yields codes [N] and kinds [N] as of `Normalizer.characters`, a block of texts at a time."""
        for rows in _batches(self.texts):
            for block in blocks(rows):
                codes, kinds, _ = self.normalizer.characters(block)
                if self.user_symbols:
                    begin, end, _ = find_symbols(codes, self.user_symbols)
                    kinds[spans(begin, end - begin)] = SPACE
                    kinds[end[kinds[end] != SPACE]] &= ALONE
                yield codes, kinds

    def alphabet(self, limit, required):
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


def checked_symbols(user_symbols, normalizer):
    """The user symbols in the form in which they stand in normalised text.

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
