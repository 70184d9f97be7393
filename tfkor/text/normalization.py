"""Korean text normalisation: of a string, of many as an array of code points, and with offsets into the original."""

import itertools
import re
import unicodedata
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache

import numpy as np

from tfkor.text import characters
from tfkor.text.morphemes import BOUNDARY, SPLITTERS, morpheme_starts

REMOVED, SPACE, ALONE, REWRITTEN, CUT = 1, 2, 4, 8, 16  # kinds of characters, as bits; CUT: a morpheme begins here
ALPHABETS = ("syllable", "jamo")
SYLLABLE, SYLLABLES = 0xAC00, 11_172  # the first Hangul syllable, and how many there are
JAMO = (0x3131, 0x3163)  # compatibility jamo: the ㅋ of ㅋㅋㅋ
REPLACEMENT = 0xFFFD  # of a lone surrogate
DOTTED_I = "\u0130"  # the only character whose lower case is two


def code_ranges(text: str) -> list[tuple[int, int]]:
    """[(first, last), ...] of a table in characters.py."""
    pairs = (word.partition("-") for word in text.split())
    return [(int(first, 16), int(last or first, 16)) for first, _, last in pairs]


def regex_class(text: str) -> str:
    """The inside of a regular expression's [...] for a table in characters.py."""
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in code_ranges(text))


def full_width_table() -> dict[int, int]:
    """Code point -> its ordinary form, for full-width ＡＢＣ１２３！, half-width ｶ and ﾡ, and the ideographic space."""
    table = {}
    for code in (0x3000, *range(0xFF00, 0xFFEF)):
        form = unicodedata.decomposition(chr(code)).split()
        if form and form[0] in ("<wide>", "<narrow>"):
            table[code] = int(form[1], 16)
    return table


@lru_cache(maxsize=1)
def lower_table() -> np.ndarray:
    """uint32 [0x110000], a code point's lower case; a surrogate's is U+FFFD."""
    table = np.arange(0x110000, dtype=np.uint32)
    table[0xD800:0xE000] = REPLACEMENT
    for run in characters.LOWER.split():
        first, last, step, shift = (int(number, 16) for number in run.split(":"))
        table[first : last + 1 : step] += np.uint32(shift % 2**32)
    return table


@dataclass(frozen=True)
class Normalizer:
    """Makes Korean text uniform; calling it on a string returns the normalised string.

    By default this is what `Sequence([NFC(), BertNormalizer(strip_accents=False, handle_chinese_chars=False)])` of
    Hugging Face `tokenizers` does, after lone surrogates have become U+FFFD. Accents are never stripped: that would
    break Hangul syllables into jamo.

    Args:
      lowercase: Latin, Greek ... letters become lower case, each by itself.
      nfc: NFC first, so that decomposed Hangul (file names of macOS) equals composed Hangul.
      clean_text: removes control and format characters, private use and U+FFFD; white space becomes a blank.
      full_width: full-width and half-width forms (ＡＢＣ, ！, ﾡ) become the ordinary ones.
      max_jamo_repeats: keeps this many of a longer run of one jamo; 2 makes ㅋㅋㅋㅋㅋ ㅋㅋ.
      alphabet: "syllable", or "jamo": Hangul syllables become conjoining jamo (U+1100 to U+11C2) as the last step.
        Their NFC gives the syllables back.
      morphemes: None, "kiwi" or "mecab": eojeols are split by an analyser, see `tfkor.text.morphemes`. BOUNDARY is
        put between the morphemes, and any BOUNDARY of the text itself is removed.
    """

    lowercase: bool = False
    nfc: bool = True
    clean_text: bool = True
    full_width: bool = False
    max_jamo_repeats: int | None = None
    alphabet: str = "syllable"
    morphemes: str | None = None

    def __post_init__(self):
        for name in ("lowercase", "nfc", "clean_text", "full_width"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected True or False")
        repeats = self.max_jamo_repeats
        if repeats is not None and (type(repeats) is not int or not 1 <= repeats <= 100):
            raise ValueError(f"max_jamo_repeats is {repeats!r}; expected None or a whole number from 1 to 100")
        if self.alphabet not in ALPHABETS:
            raise ValueError(f"alphabet is {self.alphabet!r}; expected {' or '.join(ALPHABETS)}")
        if self.alphabet == "jamo" and not self.nfc:
            raise ValueError('alphabet is "jamo" and nfc False; expected nfc, since jamo and syllables would be mixed')
        if self.morphemes is not None and self.morphemes not in SPLITTERS:
            raise ValueError(f"morphemes is {self.morphemes!r}; expected None or {' or '.join(SPLITTERS)}")

    @property
    def config(self) -> dict:
        """Its part of tokenizer_config.json; alphabet and morphemes where they are not the default."""
        later = ("alphabet", "morphemes")
        return {k: v for k, v in asdict(self).items() if k not in later or v != getattr(Normalizer, k)}

    def __call__(self, text: str) -> str:
        codes, kinds, _ = self.characters([text])
        codes = np.where(kinds == SPACE, ord(" "), codes) if self.clean_text else codes
        return to_text(*with_boundaries(codes, kinds)[:1])[:-1]

    def characters(self, texts: list[str], rewritten: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Normalises strings as one array of code points, with a newline after each.

        Args:
          texts: list of str.
          rewritten: whether `rewrite` has been applied to them already.

        Returns:
          codes: uint32 [N], without the characters that cleaning removes.
          kinds: uint8 [N]: 0 or SPACE or ALONE (a word by itself) or CUT (begins a morpheme inside a word).
          starts: int64 [B + 1], where each text starts in `codes`; the last is N.
        """
        codes = code_points(texts)
        kinds = self.kinds[codes]
        if not rewritten and len(rows := self._rows_to_rewrite(texts, codes, kinds)):
            texts = list(texts)
            for row in rows:
                texts[row] = self.rewrite(texts[row])
            codes = code_points(texts)
            kinds = self.kinds[codes]
        starts = text_starts(texts)
        kinds = kinds & (REMOVED | SPACE | ALONE | CUT)
        kept = kinds != REMOVED
        if not kept.all():
            starts = np.concatenate([[0], np.cumsum(kept)])[starts]
            codes, kinds = codes[kept], kinds[kept]
        if self.morphemes:
            kinds, kept = _cuts(kinds)
            starts = np.concatenate([[0], np.cumsum(kept)])[starts]
            codes, kinds = codes[kept], kinds[kept]
        if self.lowercase:
            codes = lower_table()[codes]
        elif not self.clean_text:
            codes = np.where((codes >= 0xD800) & (codes < 0xE000), REPLACEMENT, codes).astype(np.uint32)
        if self.alphabet == "jamo":
            codes, kinds, lengths = _to_jamo(codes, kinds)
            starts = np.concatenate([[0], np.cumsum(lengths)])[starts]
        return codes, kinds, starts

    def characters_with_spans(self, text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The codes and kinds of `characters([text])`; int64 [N, 2]: the (start, end) in `text` of each."""
        rewritten, spans = self.rewrite_with_spans(text)
        codes = code_points([rewritten])
        kept = self.kinds[codes] & (REMOVED | CUT) == 0
        spans = np.array([*spans, (len(text), len(text))], np.int64)[kept]
        if self.alphabet == "jamo":
            spans = np.repeat(spans, _to_jamo(codes, self.kinds[codes])[2][kept], axis=0)
        codes, kinds, _ = self.characters([rewritten], rewritten=True)
        return codes, kinds, spans

    def unmoved(self, texts: list[str]) -> np.ndarray:
        """bool [B]: texts whose characters keep their offsets: `characters` removes and rewrites none of them."""
        out = np.full(len(texts), self.alphabet != "jamo")
        codes = code_points(texts)
        kinds = self.kinds[codes]
        out[self._rows_to_rewrite(texts, codes, kinds)] = False
        removed = np.flatnonzero(kinds & (REMOVED | CUT))
        out[np.searchsorted(text_starts(texts), removed, "right") - 1] = False
        return out

    def rewrite(self, text: str) -> str:
        """The steps that look at more than one character: full-width forms, repeated jamo, NFC, and İ in lower case.

        NFC comes after the first two steps. The result would be the same before them: NFC never changes a full-width
        form or a compatibility jamo.
        """
        if self.full_width:
            text = text.translate(full_width_table())
        if self.max_jamo_repeats:
            text = self._repeats.sub(r"\1" * self.max_jamo_repeats, text)
        if self.nfc:
            text = composed(text)
        if self.morphemes:
            text = split_morphemes(text.replace(BOUNDARY, ""), self.morphemes)
        return text.replace(DOTTED_I, "i\u0307") if self.lowercase else text

    def rewrite_with_spans(self, text: str) -> tuple[str, list[tuple[int, int]]]:
        """`rewrite(text)` and, for each of its characters, the (start, end) in `text` that it comes from."""
        spans = [(i, i + 1) for i in range(len(text))]
        if self.full_width:
            text = text.translate(full_width_table())
        if self.max_jamo_repeats:
            text, spans = _substitute(self._repeats, self._shorten, text, spans)
        if self.nfc:
            text, spans = _substitute(_NFC_CLUSTER, _compose, text, spans)
        if self.morphemes:
            kept = [i for i, char in enumerate(text) if char != BOUNDARY]
            text, spans = text.replace(BOUNDARY, ""), [spans[i] for i in kept]
            starts = morpheme_starts(text, self.morphemes)
            text = split_morphemes(text, self.morphemes)
            for i in reversed(starts):
                spans.insert(i, spans[i])
        if self.lowercase:
            text, spans = _substitute(re.compile(DOTTED_I), lambda _: [("i", 0, 1), ("\u0307", 0, 1)], text, spans)
        return text, spans

    @cached_property
    def kinds(self) -> np.ndarray:
        """uint8 [0x110000]: what each code point is, 0 for a letter of a word."""
        kinds = np.zeros(0x110000, np.uint8)
        for table, kind in ((characters.SPACE, SPACE), (characters.ALONE, ALONE)):
            for first, last in code_ranges(table):
                kinds[first : last + 1] = kind
        if self.clean_text:
            for first, last in (*code_ranges(characters.REMOVED), (0xD800, 0xDFFF)):
                kinds[first : last + 1] = REMOVED
        if self.nfc:
            for first, last in code_ranges(characters.NFC_ACTIVE):
                kinds[first : last + 1] |= REWRITTEN
        if self.morphemes:
            kinds[ord(BOUNDARY)] = CUT
        if self.full_width:
            kinds[list(full_width_table())] |= REWRITTEN
        if self.lowercase:
            kinds[ord(DOTTED_I)] |= REWRITTEN
        return kinds

    def _rows_to_rewrite(self, texts, codes, kinds):
        if self.morphemes:
            return np.arange(len(texts))
        wanted = (kinds & REWRITTEN) != 0
        if self.max_jamo_repeats:
            wanted[1:] |= (codes[1:] == codes[:-1]) & (codes[1:] >= JAMO[0]) & (codes[1:] <= JAMO[1])
        positions = np.flatnonzero(wanted)
        return np.unique(np.searchsorted(text_starts(texts), positions, "right") - 1) if len(positions) else positions

    @cached_property
    def _repeats(self):
        return re.compile(f"([{chr(JAMO[0])}-{chr(JAMO[1])}])\\1{{{self.max_jamo_repeats},}}")

    def _shorten(self, run):
        kept = self.max_jamo_repeats
        return [(run[i], i, i + 1 if i < kept - 1 else len(run)) for i in range(kept)]


def code_points(texts: list[str]) -> np.ndarray:
    """uint32 [N]: the code points of strings, with a newline after each."""
    joined = "\n".join(texts) + "\n"
    return np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), "<u4")


def to_text(codes: np.ndarray) -> str:
    """The str of code points."""
    return codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def with_boundaries(codes: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """codes [M] with a BOUNDARY before each CUT, and int64 [N]: the new position of each of the `codes`."""
    cuts = kinds == CUT
    positions = np.arange(len(codes)) + np.cumsum(cuts)
    out = np.full(len(codes) + cuts.sum(), ord(BOUNDARY), np.uint32)
    out[positions] = codes
    return out, positions


def composed(text: str) -> str:
    """NFC as in Hugging Face `tokenizers`, which knows the characters of Unicode 9."""
    return _KNOWN_TO_NFC.sub(lambda run: unicodedata.normalize("NFC", run[0]), text)


def split_morphemes(text: str, splitter: str) -> str:
    """`text` with a BOUNDARY before each morpheme that begins inside an eojeol."""
    edges = [0, *morpheme_starts(text, splitter), len(text)]
    return BOUNDARY.join(text[start:end] for start, end in itertools.pairwise(edges))


def text_starts(texts: list[str]) -> np.ndarray:
    """int64 [B + 1]: where each text starts in `code_points(texts)`."""
    return np.cumsum([0, *(len(text) + 1 for text in texts)], dtype=np.int64)


def _cuts(kinds):
    """kinds with CUT at the first letter of a morpheme inside a word, and what to keep: all but BOUNDARY."""
    kept = kinds != CUT
    letter = kinds == 0
    after = np.zeros(len(kinds), bool)  # the next letter after one or several BOUNDARY
    positions = np.flatnonzero(kept)
    after[positions[1:]] = (np.diff(positions) > 1) & letter[positions[:-1]] & letter[positions[1:]]
    return np.where(after, CUT, kinds).astype(np.uint8), kept


def _to_jamo(codes, kinds):
    """Hangul syllables as two or three conjoining jamo: codes [M], their kinds, int64 [N]: how many each became."""
    index = codes.astype(np.int64) - SYLLABLE
    hangul = (index >= 0) & (index < SYLLABLES)
    final = index % 28
    kept = np.stack([np.ones_like(hangul), hangul, hangul & (final > 0)], axis=1)
    jamo = [np.where(hangul, 0x1100 + index // 588, codes), 0x1161 + index % 588 // 28, 0x11A7 + final]
    of_first = np.stack([kinds, np.zeros_like(kinds), np.zeros_like(kinds)], axis=1)
    return np.stack(jamo, axis=1)[kept].astype(np.uint32), of_first[kept], kept.sum(axis=1)


# Hugging Face's NFC knows the characters of Unicode 9 and skips newer ones, which end a cluster that can be composed.
_NEWER = regex_class(characters.NFC_NEWER)
_ACTIVE = regex_class(characters.NFC_ACTIVE)
_KNOWN_TO_NFC = re.compile(f"[^{_NEWER}]+")
_NFC_CLUSTER = re.compile(f"[^{_NEWER}{_ACTIVE}]?[{_ACTIVE}]+")


def _substitute(pattern, function, text, spans):
    """Replaces each match by function(match's text) = [(character, start, end) in the match]; carries spans along."""
    new_text, new_spans, done = [], [], 0
    for match in pattern.finditer(text):
        new_text.append(text[done : match.start()])
        new_spans += spans[done : match.start()]
        inside = spans[match.start() : match.end()]
        for char, start, end in function(match[0]):
            new_text.append(char)
            new_spans.append((inside[start][0], inside[end - 1][1]))
        done = match.end()
    return "".join(new_text) + text[done:], new_spans + spans[done:]


def _compose(cluster):
    """NFC of a few characters, each with the range of characters it came from (Unicode Standard Annex 15)."""
    parts = [(part, i, i + 1) for i, char in enumerate(cluster) for part in unicodedata.normalize("NFD", char)]
    ordered, marks = [], []
    for part in [*parts, None]:  # marks between two starters are sorted by their class
        if part and unicodedata.combining(part[0]):
            marks.append(part)
        else:
            ordered += [*sorted(marks, key=lambda mark: unicodedata.combining(mark[0])), part]
            marks = []
    composed, starter = [], None
    for char, start, end in ordered[:-1]:
        kind = unicodedata.combining(char)
        last = composed[-1] if composed else None
        if starter is not None and (starter == len(composed) - 1 or unicodedata.combining(last[0]) < kind):
            first, first_start, first_end = composed[starter]
            pair = unicodedata.normalize("NFC", first + char)
            if len(pair) == 1:
                composed[starter] = (pair, min(first_start, start), max(first_end, end))
                continue
        if not kind:
            starter = len(composed)
        composed.append((char, start, end))
    return composed
