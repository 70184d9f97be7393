"""WordPiece: the longest entry of the vocabulary first, for all words of many texts at once."""

import re

import numpy as np

from tfkor.text.normalization import ALONE, CUT, REWRITTEN, SPACE, to_text

HEAD, TAIL = 0, 1  # the roots of the trie: entries that begin a word, entries that go on (those with ##)


class WordPiece:
    """A vocabulary as a double-array trie (Aoe 1989) that all words walk through side by side, in NumPy.

    Args:
      vocab: list of str, an entry's id is its place.
      kinds: uint8 [0x110000], `Normalizer.kinds`.
      unk_id: what a word becomes that the vocabulary can't spell.
      max_word_chars: what is longer becomes unk_id too.
      user_symbols: entries that are one piece wherever they stand in a text.
    """

    def __init__(self, vocab, kinds, unk_id, max_word_chars, user_symbols=()):
        self.unk_id, self.max_word_chars = unk_id, max_word_chars
        self.split = bool((kinds == CUT).any())
        self.bounded = self.split or bool(user_symbols)
        self.user_symbols = {symbol: vocab.index(symbol) for symbol in user_symbols}
        self.continuations = np.array([entry.startswith("##") and len(entry) > 2 for entry in vocab])
        entries = [(entry, i) for i, entry in enumerate(_spellable(vocab, kinds)) if entry]
        alphabet = sorted({char for (_, chars), _ in entries for char in chars})
        self.symbols = np.zeros(0x110000, np.int32)  # code point -> 1, 2, ... or 0 outside the alphabet
        self.symbols[[ord(char) for char in alphabet]] = np.arange(1, len(alphabet) + 1)
        number = {char: i + 1 for i, char in enumerate(alphabet)}
        children, ids = [{}, {}], [-1, -1]
        for (root, chars), i in entries:
            node = root
            for char in chars:
                node = children[node].setdefault(number[char], len(children))
                if node == len(children):
                    children.append({})
                    ids.append(-1)
            ids[node] = i
        self._place(children, ids, len(alphabet) + 1)

    def _place(self, children, ids, width):
        """The child of state s for symbol c is the state base[s] + c, if check[base[s] + c] == s."""
        states, bases = {HEAD: HEAD, TAIL: TAIL}, {}
        used = bytearray(4 * width + 4 * len(children))
        at, singles = width, False
        parents = [node for node, below in enumerate(children) if below]
        for node in sorted(parents, key=lambda node: -len(children[node])):
            symbols = sorted(children[node])
            if len(symbols) == 1 and not singles:  # these fill the holes that the larger ones left
                at, singles = width, True
            while True:
                at = used.find(0, at)
                base = at - symbols[0]
                if not any(used[base + symbol] for symbol in symbols):
                    break
                at += 1
            bases[node] = base
            for symbol in symbols:
                used[base + symbol] = 1
                states[children[node][symbol]] = base + symbol
            if at + 2 * width > len(used):
                used.extend(bytes(len(used)))
        size = max(states.values()) + width + 1
        self.base = np.zeros(size, np.int64)
        self.check = np.full(size, -1, np.int64)
        self.ids = np.full(size, -1, np.int32)  # ids[-1] is -1 too: state -1 is no state
        for node, state in states.items():
            self.ids[state] = ids[node]
            for child in children[node].values():
                self.check[states[child]] = state
        for node, base in bases.items():
            self.base[states[node]] = base
        steps = self.base[[HEAD, TAIL], None] + np.arange(width)  # the first step is looked up in a plain table
        self.first = np.where(self.check[steps] == [[HEAD], [TAIL]], steps, -1)

    def rows(self, codes, kinds, starts, dropout=0.0, random=None):
        """The pieces of the texts that `Normalizer.characters` gave.

        With `dropout`, each entry of two and more characters that would be taken is passed over with that probability,
        drawn from `random`, a NumPy generator; a word that can't be spelled so is spelled without.

        Returns:
          ids int32 [P], how many each text has int64 [B], and bool [P]: whether white space stands before a piece.
        """
        pieces = self.pieces(codes, kinds, dropout, random)
        places = np.flatnonzero(pieces >= 0)
        first = kinds[places - 1] == SPACE  # a block's last character is white space, so -1 is right too
        return pieces[places], np.diff(np.searchsorted(places, starts)), first

    def places(self, codes, kinds):
        """ids [P], and the first character of each piece and the one after its last: int64 [P], int64 [P]."""
        pieces = self.pieces(codes, kinds)
        places = np.flatnonzero(pieces >= 0)
        kinds, begin_symbols, end_symbols, _ = self._find_symbols(codes, kinds)
        begin, end = words(kinds)
        stops = np.minimum(end[np.searchsorted(begin, places, "right") - 1], np.append(places[1:], len(codes)))
        stops[np.searchsorted(places, begin_symbols)] = end_symbols
        return pieces[places], places, stops

    def pieces(self, codes, kinds, dropout=0.0, random=None):
        """int32 [N]: the id of the piece that starts at each character; -1 inside pieces and between words."""
        kinds, begin_symbols, end_symbols, symbol_ids = self._find_symbols(codes, kinds)
        begin, end = words(kinds)
        heads = np.where(kinds[begin] == CUT, TAIL, HEAD) if self.split else None
        symbols = self.symbols[codes]
        out = np.full(len(codes), -1, np.int32)
        too_long = end - begin > self.max_word_chars
        live, unknown = np.flatnonzero(~too_long), np.zeros(0, np.int64)
        if dropout:
            live = unknown = self._walk(out, symbols, begin, end, heads, live, dropout, random)
            _fill(out, begin[unknown], end[unknown], -1)
        unknown = np.concatenate([self._walk(out, symbols, begin, end, heads, live), np.flatnonzero(too_long)])
        _fill(out, begin[unknown], end[unknown], self.unk_id)
        _fill(out, begin_symbols, end_symbols, symbol_ids)
        return out

    def _find_symbols(self, codes, kinds):
        """kinds with words cut around the user symbols of a text; where these begin and end, and their ids."""
        if not self.user_symbols:
            return kinds, *np.zeros((3, 0), np.int64)
        begin, end, ids = find_symbols(codes, self.user_symbols)
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
        """The id and length of the longest entry that starts at each place; -1 and 1 where there is none.

        No entry goes on over white space and punctuation; `stop` is given where a word may end before a letter.
        """
        states = self.first[root][symbols[at]] if isinstance(root, int) else self.first[root, symbols[at]]
        ids, lengths = self.ids[states], np.ones(len(at), np.int64)
        rows = np.flatnonzero(states >= 0)
        states, at, length = states[rows], at[rows] + 1, 2
        while len(rows):
            steps = self.base[states] + symbols[at]
            goes_on = self.check[steps] == states
            alive = np.flatnonzero(goes_on if stop is None else goes_on & (at < stop[rows]))
            states, rows, at = steps[alive], rows[alive], at[alive] + 1
            found = self.ids[states]
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


def words(kinds):
    """Where words begin and end: int64 [W], int64 [W]. The last character must be SPACE."""
    starts = kinds != 0
    edge = kinds & (SPACE | ALONE) != 0
    starts[0] = True
    starts[1:] |= edge[:-1]
    space = kinds == SPACE
    starts &= ~space
    stops = np.flatnonzero(starts | space)
    return np.flatnonzero(starts), stops[np.flatnonzero(starts[stops]) + 1]


def find_symbols(codes, symbols):
    """Where the strings of `symbols` (str -> id) stand in a text, the longest where several do: begin, end, ids [F]."""
    pattern = re.compile("|".join(map(re.escape, sorted(symbols, key=len, reverse=True))))
    found = [(*match.span(), symbols[match[0]]) for match in pattern.finditer(to_text(codes))]
    return np.array(found, np.int64).reshape(-1, 3).T


def spans(starts, lengths):
    """int64 [sum of lengths]: start, start + 1, ... start + length - 1 of each, one after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def _spellable(vocab, kinds):
    """(root, characters) of each entry, or None where no text can hold it: [MASK], since each bracket is a word."""
    kind = {char: int(kinds[ord(char)]) & ~REWRITTEN for char in set("".join(vocab))}
    for entry in vocab:
        root, chars = (TAIL, entry[2:]) if entry.startswith("##") and len(entry) > 2 else (HEAD, entry)
        inside = not any(kind[char] for char in chars)
        yield (root, chars) if inside or (root == HEAD and len(chars) == 1 and kind[chars] == ALONE) else None
