"""Engine: what a Tokenizer asks of its engine, whatever the algorithm is."""

import re

import numpy as np

from tfkor.text.normalization import to_text


class Engine:
    """Segments normalised text into the pieces of a vocabulary. A new algorithm is a new subclass.

    Texts come as a normalizer's `characters` gives them: codes, uint32 [N], the code points of all texts, with a
    newline after each; kinds, uint8 [N], what each is (SPACE, ALONE, CUT or 0); starts, int64 [B + 1], the offset at
    which each text starts. P is the number of pieces, V that of the entries.

    Attributes:
      type: the name of the algorithm, in tokenizer_config.json too.
      file_name: the file of a tokenizer's folder that holds the vocabulary.
      vocab: list of str, the id of an entry is its index in the list.
      user_symbols: entries that are one piece wherever they occur in a text.
      max_word_chars: a longer word is unknown; None: of any length.
      joins_texts: whether `offsets` takes the characters of many texts at once.
    """

    type: str
    file_name: str
    vocab: list[str]
    user_symbols: tuple[str, ...] = ()
    max_word_chars: int | None = None
    joins_texts = False

    @property
    def file(self) -> bytes:
        """What the file `file_name` holds."""
        raise NotImplementedError

    @property
    def config(self) -> dict:
        """Its part of tokenizer_config.json."""
        return {}

    @property
    def continuations(self) -> np.ndarray:
        """bool [V]: True for entries that continue a word."""
        raise NotImplementedError

    def rows(
        self,
        codes: np.ndarray,
        kinds: np.ndarray,
        starts: np.ndarray,
        dropout: float = 0.0,
        random: np.random.Generator | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pieces of texts; with `dropout` they are sampled with `random`, see `Tokenizer.ids`.

        Returns:
          ids int32 [P], the number of pieces of each text int64 [B], and bool [P]: whether a piece begins an eojeol.
        """
        raise NotImplementedError

    def offsets(self, codes: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ids int32 [P] of one text, and the offsets where each piece begins and ends (exclusive), int64 [P] each."""
        raise NotImplementedError

    def join(self, pieces: list[str]) -> str:
        """The text of pieces."""
        raise NotImplementedError


def find_symbols(codes: np.ndarray, symbols: dict[str, int]) -> np.ndarray:
    """The occurrences of `symbols` (str -> id) in a text, the longest where several match: begin, end, ids [F] each."""
    pattern = re.compile("|".join(map(re.escape, sorted(symbols, key=len, reverse=True))))
    found = [(*match.span(), symbols[match[0]]) for match in pattern.finditer(to_text(codes))]
    return np.array(found, np.int64).reshape(-1, 3).T
