"""What is done to a text before a published sentencepiece model, which normalises by itself."""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from tfkor.text.normalization import Normalizer, code_points, text_starts

CLEANINGS = (None, "xlnet")
NFC = Normalizer(clean_text=False)
CharacterSpan = tuple[str, tuple[int, int]]  # a character, and the (begin, end) that it came from


@dataclass(frozen=True)
class PublishedNormalizer:
    """Prepares a text for a published model as its own tokenizer does; a lone surrogate becomes a question mark.

    It has the interface of `Normalizer`, whose other options a published model can't have.

    Args:
      nfc: NFC in front, so that decomposed Hangul is read as composed Hangul; the published tokenizers have none.
      cleaning: None, or "xlnet" for what XLNetTokenizer of Hugging Face does, and KoBERT's with it: white space and
        quotes made uniform, NFKD without accents.
      lowercase: of the cleaning "xlnet": folds case after NFKD.
    """

    nfc: bool = False
    cleaning: str | None = None
    lowercase: bool = False

    clean_text = full_width = False
    max_jamo_repeats = morphemes = None
    alphabet = "syllable"

    def __post_init__(self):
        if self.cleaning not in CLEANINGS:
            raise ValueError(f"cleaning is {self.cleaning!r}; expected None or 'xlnet'")
        for name in ("nfc", "lowercase"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected True or False")
        if self.lowercase and self.cleaning is None:
            raise ValueError("lowercase is True; expected cleaning='xlnet' with it, or False")

    @property
    def config(self) -> dict:
        """Its part of tokenizer_config.json."""
        return asdict(self)

    def __call__(self, text: str) -> str:
        text = encodable(text)
        text = NFC(text) if self.nfc else text
        if self.cleaning == "xlnet":
            text = "".join(char for char, _ in as_xlnet(((char, (0, 0)) for char in text), self.lowercase))
        return text

    def characters(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """codes uint32 [N], kinds uint8 [N] and starts int64 [B + 1] as of `Normalizer.characters`; kinds are 0."""
        texts = [self(text) for text in texts]
        codes = code_points(texts)
        return codes, np.zeros(len(codes), np.uint8), text_starts(texts)

    def characters_with_spans(self, text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The codes and kinds of `characters([text])`; int64 [N, 2]: the (start, end) in `text` of each."""
        clean = encodable(text)
        if self.nfc:
            codes, _, origin = NFC.characters_with_spans(clean)
            characters = [(chr(code), tuple(map(int, span))) for code, span in zip(codes[:-1], origin)]
        else:
            characters = [(char, (i, i + 1)) for i, char in enumerate(clean)]
        if self.cleaning == "xlnet":
            characters = list(as_xlnet(characters, self.lowercase))
        codes = code_points(["".join(char for char, _ in characters)])
        spans = np.array([*(span for _, span in characters), (len(text), len(text))], np.int64)
        return codes, np.zeros(len(codes), np.uint8), spans


def encodable(text: str) -> str:
    """The text with a question mark for each lone surrogate."""
    return text.encode("utf-8", "replace").decode("utf-8")


def as_xlnet(characters: Iterable[CharacterSpan], lowercase: bool) -> Iterator[CharacterSpan]:
    """(character, span) pairs -> those that XLNetTokenizer's preprocess_text leaves."""
    words, blank = [], None
    for char, span in characters:
        if char.isspace():
            blank = span
            continue
        if blank and words:
            words.append((" ", blank))
        blank = None
        words.append((char, span))
    i = 0
    while i < len(words):
        char, span = words[i]
        if char in "`'" and i + 1 < len(words) and words[i + 1][0] == char:
            yield '"', (span[0], words[i + 1][1][1])
            i += 2
            continue
        for part in unicodedata.normalize("NFKD", char):
            if not unicodedata.combining(part):
                yield from ((each, span) for each in (part.lower() if lowercase else part))
        i += 1
