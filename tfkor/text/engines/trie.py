"""A trie in two arrays, through which NumPy walks with many words side by side."""

from collections.abc import Iterable

import numpy as np

HEAD, TAIL = 0, 1  # the roots: entries that begin a word, entries that continue a word (those with ##)


class DoubleArrayTrie:
    """A double-array trie (Aoe 1989): the child of state s for symbol c is base[s] + c, if check[base[s] + c] == s.

    Args:
      entries: ((root, characters), id) of each entry; root is HEAD or TAIL.

    Attributes:
      symbols: int32 [0x110000], code point -> 1, 2, ... or 0 outside the alphabet.
      base, check: int64 [S]; ids: int32 [S], the entry that ends at a state, or -1.
      first: int64 [2, symbols], the state after the first character, from HEAD and from TAIL; -1 for none.
    """

    def __init__(self, entries: Iterable[tuple[tuple[int, str], int]]):
        entries = list(entries)
        alphabet = sorted({char for (_, chars), _ in entries for char in chars})
        self.symbols = np.zeros(0x110000, np.int32)
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
        self._assign_states(children, ids, len(alphabet) + 1)

    def _assign_states(self, children, ids, width):
        """Finds a state for each node, a different one for each; nodes with most children come first."""
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
        self.ids = np.full(size, -1, np.int32)  # ids[-1] is -1 too: -1 stands for no state
        for node, state in states.items():
            self.ids[state] = ids[node]
            for child in children[node].values():
                self.check[states[child]] = state
        for node, base in bases.items():
            self.base[states[node]] = base
        steps = self.base[[HEAD, TAIL], None] + np.arange(width)  # the first step is looked up in a plain table
        self.first = np.where(self.check[steps] == [[HEAD], [TAIL]], steps, -1)
