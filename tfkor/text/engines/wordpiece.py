"""WordPiece: the longest entry of the vocabulary first, for all words of many texts at once."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np

from tfkor.text.engines.engine import Engine, find_symbols
from tfkor.text.engines.trie import HEAD, TAIL, DoubleArrayTrie
from tfkor.text.normalization import ALONE, CUT, REWRITTEN, SPACE, Normalizer, to_text
from tfkor.text.ragged import spans

MAX_WORD_CHARS = 100


class WordPiece(Engine):
    """A vocabulary as a trie that all words walk through side by side, in NumPy.

    Args:
      vocab: list of str, the id of an entry is its index in the list.
      normalizer: the Normalizer that the texts come from, which knows what a word is.
      special_ids: {role: id} of the special tokens, which no text can hold; a word that the vocabulary can't spell
        gets the id of "unk".
      max_word_chars: longer words become unknown too.
      user_symbols: entries that are one piece wherever they occur in a text.
      source: names the vocabulary in errors.
    """

    type = "wordpiece"
    file_name = "vocab.txt"
    joins_texts = True

    def __init__(
        self,
        vocab: list[str],
        normalizer: Normalizer,
        special_ids: dict[str, int],
        max_word_chars: int | None = None,
        user_symbols: Sequence[str] = (),
        source: object = "vocab",
    ):
        if missing := [symbol for symbol in user_symbols if symbol not in vocab]:
            raise ValueError(f"{source}: user symbol {missing[0]!r} is not in the vocabulary; expected it there")
        max_word_chars = MAX_WORD_CHARS if max_word_chars is None else max_word_chars
        if type(max_word_chars) is not int or max_word_chars < 1:
            raise ValueError(f"max_word_chars is {max_word_chars!r}; expected a whole number of at least 1")
        self.vocab, self.normalizer, self.special_ids = vocab, normalizer, special_ids
        self.max_word_chars, self.user_symbols = max_word_chars, tuple(user_symbols)
        self.unk_id = special_ids.get("unk")
        self.split = normalizer.morphemes is not None
        self.bounded = self.split or bool(user_symbols)
        self.symbol_ids = {symbol: vocab.index(symbol) for symbol in user_symbols}

    @property
    def file(self) -> bytes:
        return "".join(f"{entry}\n" for entry in self.vocab).encode("utf-8")

    @property
    def config(self) -> dict:
        config = {"max_word_chars": self.max_word_chars}
        return {**config, "user_symbols": list(self.user_symbols)} if self.user_symbols else config

    @cached_property
    def continuations(self) -> np.ndarray:
        return np.array([entry.startswith("##") and len(entry) > 2 for entry in self.vocab])

    @cached_property
    def trie(self) -> DoubleArrayTrie:
        """The entries that a text can hold."""
        special = set(self.special_ids.values())
        entries = enumerate(spellable(self.vocab, self.normalizer.kinds))
        return DoubleArrayTrie((entry, i) for i, entry in entries if entry and i not in special)

    def join(self, pieces: list[str]) -> str:
        return " ".join(pieces).replace(" ##", "")

    def rows(
        self,
        codes: np.ndarray,
        kinds: np.ndarray,
        starts: np.ndarray,
        dropout: float = 0.0,
        random: np.random.Generator | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Engine`. With `dropout`, each match of two or more characters is skipped with that probability; a word
        that can't be spelled with the remaining entries is segmented without dropout.
        """
        pieces = self.pieces(codes, kinds, dropout, random)
        positions = np.flatnonzero(pieces >= 0)
        first = kinds[positions - 1] == SPACE  # a block's last character is white space, so -1 is right too
        return pieces[positions], np.diff(np.searchsorted(positions, starts)), first

    def offsets(self, codes: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Engine`."""
        pieces = self.pieces(codes, kinds)
        positions = np.flatnonzero(pieces >= 0)
        kinds, begin_symbols, end_symbols, _ = self._find_symbols(codes, kinds)
        begin, end = words(kinds)
        stops = np.minimum(end[np.searchsorted(begin, positions, "right") - 1], np.append(positions[1:], len(codes)))
        stops[np.searchsorted(positions, begin_symbols)] = end_symbols
        return pieces[positions], positions, stops

    def pieces(
        self,
        codes: np.ndarray,
        kinds: np.ndarray,
        dropout: float = 0.0,
        random: np.random.Generator | None = None,
    ) -> np.ndarray:
        """int32 [N]: the id of the piece that starts at each character; -1 inside pieces and between words."""
        kinds, begin_symbols, end_symbols, symbol_ids = self._find_symbols(codes, kinds)
        begin, end = words(kinds)
        heads = np.where(kinds[begin] == CUT, TAIL, HEAD) if self.split else None
        symbols = self.trie.symbols[codes]
        out = np.full(len(codes), -1, np.int32)
        too_long = end - begin > self.max_word_chars
        live, unknown = np.flatnonzero(~too_long), np.zeros(0, np.int64)
        if dropout:
            live = unknown = self._walk(out, symbols, begin, end, heads, live, dropout, random)
            _fill(out, begin[unknown], end[unknown], -1)
        unknown = np.concatenate([self._walk(out, symbols, begin, end, heads, live), np.flatnonzero(too_long)])
        if len(unknown):
            if self.unk_id is None:
                word = to_text(codes[begin[unknown[0]] : end[unknown[0]]])
                raise ValueError(f"the vocabulary can't spell {word!r}, and special_tokens has no unk; expected one")
            _fill(out, begin[unknown], end[unknown], self.unk_id)
        _fill(out, begin_symbols, end_symbols, symbol_ids)
        return out

    def _find_symbols(self, codes, kinds):
        """kinds with words split around the user symbols of a text; where these begin and end, and their ids."""
        if not self.symbol_ids:
            return kinds, *np.zeros((3, 0), np.int64)
        begin, end, ids = find_symbols(codes, self.symbol_ids)
        kinds = kinds.copy()
        kinds[spans(begin, end - begin)] = ALONE
        kinds[end[kinds[end] == CUT]] = 0  # what follows a symbol begins a word
        return kinds, begin, end, ids

    def _walk(self, out, symbols, begin, end, heads, live, dropout=0.0, random=None):
        """Writes the pieces of the words `live` into `out`; returns those words that it could not spell."""
        at, stop, unknown = begin[live], end[live], [np.zeros(0, np.int64)]
        root = HEAD if heads is None else heads[live]
        while len(at):
            ids, lengths = self._longest(symbols, at, root, stop if self.bounded else None, dropout, random)
            out[at] = ids
            at = at + lengths
            missing = ids < 0
            if missing.any():
                unknown.append(live[missing])
            live, at, stop = (x[~missing & (at < stop)] for x in (live, at, stop))
            root = TAIL
        return np.concatenate(unknown)

    def _longest(self, symbols, at, root, stop, dropout, random):
        """The id and length of the longest entry that starts at each position; -1 and 1 where there is none.

        No entry continues across white space and punctuation; `stop` is given where a word may end before a letter.
        """
        trie = self.trie
        states = trie.first[root][symbols[at]] if isinstance(root, int) else trie.first[root, symbols[at]]
        ids, lengths = trie.ids[states], np.ones(len(at), np.int64)
        rows = np.flatnonzero(states >= 0)
        states, at, length = states[rows], at[rows] + 1, 2
        while len(rows):
            steps = trie.base[states] + symbols[at]
            goes_on = trie.check[steps] == states
            alive = np.flatnonzero(goes_on if stop is None else goes_on & (at < stop[rows]))
            states, rows, at = steps[alive], rows[alive], at[alive] + 1
            found = trie.ids[states]
            taken = found >= 0
            if dropout:
                taken &= (random.random(len(found)) >= dropout) | (ids[rows] < 0)
            ends = np.flatnonzero(taken)
            ids[rows[ends]] = found[ends]
            lengths[rows[ends]] = length
            length += 1
        return ids, lengths


def _fill(out, begin, end, first):
    """Empties the words from `begin` to `end`, and writes `first` at the start of each."""
    out[spans(begin, end - begin)] = -1
    out[begin] = first


def words(kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where words begin and end: int64 [W], int64 [W]. The last character must be SPACE."""
    starts = kinds != 0
    edge = kinds & (SPACE | ALONE) != 0
    starts[0] = True
    starts[1:] |= edge[:-1]
    space = kinds == SPACE
    starts &= ~space
    stops = np.flatnonzero(starts | space)
    return np.flatnonzero(starts), stops[np.flatnonzero(starts[stops]) + 1]


def spellable(vocab: Iterable[str], kinds: np.ndarray) -> Iterator[tuple[int, str] | None]:
    """(root, characters) of each entry, or None where no text can hold it: [MASK], since each bracket is a word."""
    kind = {char: int(kinds[ord(char)]) & ~REWRITTEN for char in set("".join(vocab))}
    for entry in vocab:
        root, chars = (TAIL, entry[2:]) if entry.startswith("##") and len(entry) > 2 else (HEAD, entry)
        inside = not any(kind[char] for char in chars)
        yield (root, chars) if inside or (root == HEAD and len(chars) == 1 and kind[chars] == ALONE) else None
