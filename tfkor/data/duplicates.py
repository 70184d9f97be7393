"""Exact and near duplicates among the lines of a corpus, found on disk in bounded memory.

Exact: the same characters, apart from white space around them.
Near: the same key, or similar keys. The key of a line is its letters and digits (Unicode's), in NFC and folded case,
  with runs of one character cut to two: "정말 재밌다!! ㅋㅋㅋㅋ" becomes 정말재밌다ㅋㅋ. Keys are similar if the
  Jaccard similarity of their sets of character trigrams is at least 0.8, which is computed exactly. Pairs to compare
  are found by MinHash (Broder 1997; 8 bands of 4 values): with probability 0.985 at a similarity of 0.8, 0.9999 at 0.9.

Of similar lines the first one in the corpus stays; a line similar to a dropped one may be dropped as well. In a band,
lines are compared with the first eight that differ from each other. Lines are compared by 64-bit hashes: among a
billion different lines, the probability that any is dropped because of a hash collision is 3%.

Each block of the corpus has a folder with its sorted hashes, and these are merged one range of hashes at a time.
"""

import hashlib
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np

from tfkor.files import new_file, new_folder

METHODS = ("none", "exact", "near")
SIMILARITY = 0.8
GRAM, BANDS, ROWS = 3, 8, 4
COMPARED = 8  # the most lines of a band that others are compared with
BYTES_PER_RECORD = 80  # while a range is merged: hash, index, order and copies
BYTES_PER_KEY = 500  # while keys are compared
CHUNK = 100_000  # characters that go through MinHash together

_random = np.random.default_rng(20240229)
_MULTIPLIERS = _random.integers(0, 2**63, BANDS * ROWS, np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _random.integers(0, 2**63, BANDS * ROWS, np.uint64)


def line_hashes(lines: Sequence[str]) -> np.ndarray:
    """uint64 [L]: a hash of each line."""
    digests = b"".join(hashlib.blake2b(line.encode(), digest_size=8).digest() for line in lines)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def line_keys(lines: Sequence[str]) -> list[str]:
    """The key of each line, as defined above. A line without letters and digits is its own key."""
    if not lines:
        return []
    text = unicodedata.normalize("NFC", "\n".join(lines)).casefold()
    text = re.sub(r"(.)\1{2,}", r"\1\1", re.sub(r"[^\w\n]+|_+", "", text))
    return [key or line for key, line in zip(text.split("\n"), lines, strict=True)]


def band_hashes(keys: Sequence[str]) -> np.ndarray:
    """uint64 [L, BANDS]: the MinHash of each key; keys with an equal value in a column are worth comparing."""
    found = [np.zeros((0, BANDS), np.uint64)]
    start = 0
    while start < len(keys):
        stop, size = start, 0
        while stop < len(keys) and (size < CHUNK or stop == start):
            size += len(keys[stop])
            stop += 1
        found.append(_band_hashes(keys[start:stop]))
        start = stop
    return np.concatenate(found)


def _band_hashes(keys):
    keys = [key.ljust(GRAM, "\0") for key in keys]
    codes = np.frombuffer("".join(keys).encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    grams = codes[:-2] | codes[1:-1] << np.uint64(21) | codes[2:] << np.uint64(42)
    lengths = np.array([len(key) for key in keys])
    ends = np.cumsum(lengths)
    inside = np.ones(len(codes), bool)
    inside[ends - 1] = inside[ends - 2] = False
    grams = grams[inside[:-2]]
    grams ^= grams >> np.uint64(31)
    starts = np.cumsum(lengths - GRAM + 1) - (lengths - GRAM + 1)
    bands = np.zeros((len(keys), BANDS), np.uint64)
    for i, (multiplier, offset) in enumerate(zip(_MULTIPLIERS, _OFFSETS)):
        smallest = np.minimum.reduceat((grams * multiplier + offset) >> np.uint64(32), starts)
        band = bands[:, i // ROWS]
        bands[:, i // ROWS] = (band ^ smallest) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(i)
        bands[:, i // ROWS] ^= bands[:, i // ROWS] >> np.uint64(29)
    return bands


def alike(first: AbstractSet[str], second: AbstractSet[str]) -> bool:
    """Whether the Jaccard similarity of two sets of `grams` is at least 0.8."""
    smaller, larger = sorted((len(first), len(second)))
    if smaller < SIMILARITY * larger:
        return False
    both = len(first & second)
    return both >= SIMILARITY * (smaller + larger - both)


def grams(key: str) -> frozenset[str]:
    """The set of character trigrams of a key."""
    return frozenset(key[i : i + GRAM] for i in range(max(1, len(key) - GRAM + 1)))


def near_lines(members: Iterable[tuple[int, AbstractSet[str]]]) -> list[int]:
    """Which lines of one band are similar to an earlier one.

    Args:
      members: (index, grams of its key) of each line, by increasing index.

    Returns:
      list of the indices to drop.
    """
    kept, dropped = [], []
    for index, found in members:
        if any(alike(found, other) for other in kept):
            dropped.append(index)
        elif len(kept) < COMPARED:
            kept.append(found)
    return dropped


class DuplicateFinder:
    """Finds the lines to drop, in three steps: `sketch` each block, `merge` each range, then `dropped` of each block.

    Every step writes complete files only and skips those that exist, so that a killed run can be resumed.

    Args:
      folder: where the hashes go: 16 bytes a line for "exact", about 16 + 128 + the length of its key for "near".
      method: "exact" or "near".
      memory: bytes of memory that merging may use in one process.
    """

    def __init__(self, folder: str | Path, method: str, memory: int):
        self.folder, self.method, self.memory = Path(folder), method, memory

    def sketch(self, number: int, lines: Sequence[str], sha256: str) -> None:
        """Writes the hashes of block `number`, whose lines are `lines` and whose text has the hash `sha256`."""
        base = np.uint64(number << 32)
        keys = lines if self.method == "exact" else line_keys(lines)
        hashes, first = np.unique(line_hashes(keys), return_index=True)
        arrays = {"lines": (hashes, base + first.astype(np.uint64))}
        if self.method == "near":
            first.sort()
            bands = band_hashes([keys[i] for i in first]).ravel()
            order = np.argsort(bands, kind="stable")
            arrays["bands"] = bands[order], np.repeat(base + first.astype(np.uint64), BANDS)[order]
        with new_folder(self._block(number), overwrite=True) as folder:
            for name, (hashes, indices) in arrays.items():
                np.save(folder / f"{name}.hashes.npy", hashes)
                np.save(folder / f"{name}.indices.npy", indices)
            np.save(folder / "again.npy", np.setdiff1d(np.arange(len(lines)), first))
            if self.method == "near":
                encoded = [key.encode("utf-8", "surrogatepass") for key in keys]
                np.save(folder / "keys.npy", np.frombuffer(b"".join(encoded), np.uint8))
                np.save(folder / "splits.npy", np.cumsum([0, *map(len, encoded)]))
            (folder / "sha256").write_text(sha256)

    def sketched(self, number: int) -> str | None:
        """The SHA-256 of the text of a block that was sketched, or None."""
        path = self._block(number) / "sha256"
        return path.read_text() if path.exists() else None

    def ranges(self, name: str, blocks: int) -> int:
        """The number of ranges of hashes to merge, chosen so that one range fits into the memory."""
        total = sum(len(self._open(number, f"{name}.hashes")) for number in range(blocks))
        return max(1, -(-total * BYTES_PER_RECORD // self.memory))

    def merge(self, name: str, number: int, ranges: int, blocks: int) -> None:
        """Finds the lines to drop in range `number` of `ranges`; `name` is "lines", or, after all of these, "bands"."""
        path = self.folder / f"{name}-{ranges:06d}-{number:06d}.npy"
        if path.exists():
            return
        first, last = (np.uint64(min(2**64 - 1, i * 2**64 // ranges)) for i in (number, number + 1))
        hashes, indices = [], []
        dropped = list(self._drops("lines")) if name == "bands" else ()
        for block in range(blocks):
            sorted_hashes = self._open(block, f"{name}.hashes")
            start, stop = np.searchsorted(sorted_hashes, [first, last])
            if number + 1 == ranges:
                stop = len(sorted_hashes)
            found = np.array(self._open(block, f"{name}.indices")[start:stop])
            kept = slice(None)
            if name == "bands":
                kept = ~np.isin((found & np.uint64(2**32 - 1)).astype(np.int64), self.dropped(block, dropped))
            hashes.append(np.array(sorted_hashes[start:stop])[kept])
            indices.append(found[kept])
        hashes, indices = np.concatenate(hashes), np.concatenate(indices)
        order = np.argsort(hashes, kind="stable")  # the first line of the corpus stays first
        hashes, indices = hashes[order], indices[order]
        again = np.flatnonzero(hashes[1:] == hashes[:-1]) + 1
        drops = indices[again] if name == "lines" else self._near(indices, again)
        with new_file(path) as temporary, open(temporary, "wb") as file:
            np.save(file, np.unique(drops))

    def _near(self, indices, again):
        """The indices to drop of groups of equal band hashes; `again`: positions of hashes equal to the one before."""
        if not len(again):
            return again.astype(np.uint64)
        runs = np.split(again, np.flatnonzero(np.diff(again) != 1) + 1)
        groups = [np.unique(indices[run[0] - 1 : run[-1] + 1]) for run in runs]
        limit = self.memory // BYTES_PER_KEY + 1  # keys in memory
        batch_of = np.cumsum(list(map(len, groups))) // limit
        drops = []
        for _, batch in itertools.groupby(zip(batch_of, groups), lambda item: item[0]):
            batch = [group for _, group in batch]
            keys = self._keys(np.unique(np.concatenate(batch))) if len(batch) > 1 else None
            for group in batch:
                drops += near_lines(self._members(group, limit, keys))
        return np.array(drops, np.uint64)

    def _members(self, group, limit, keys=None):
        """Yields (index, grams) of the lines of a group; keys that are not given are read `limit` at a time."""
        for start in range(0, len(group), limit):
            part = group[start : start + limit]
            found = keys or self._keys(part)
            for index in part.tolist():
                yield index, grams(found[index])

    def _keys(self, indices):
        """The keys of lines: dict; `indices` are sorted, so that each block is opened once."""
        keys = {}
        for block, group in itertools.groupby(indices.tolist(), lambda index: index >> 32):
            splits, text = self._open(block, "splits"), self._open(block, "keys")
            for index in group:
                line = index & (2**32 - 1)
                keys[index] = text[splits[line] : splits[line + 1]].tobytes().decode("utf-8", "surrogatepass")
        return keys

    def dropped(self, number: int, drops: Iterable[np.ndarray] | None = None) -> np.ndarray:
        """The lines of block `number` to drop, sorted int64 numbers from 0; `drops`: of ranges, None for all."""
        first, last = np.uint64(number << 32), np.uint64((number + 1) << 32)
        found = [np.load(self._block(number) / "again.npy").astype(np.uint64) + first]
        for indices in self._drops("lines", "bands") if drops is None else drops:
            found.append(np.array(slice_of(indices, first, last)))
        return (np.unique(np.concatenate(found)) - first).astype(np.int64)

    def _drops(self, *names: str) -> Iterator[np.ndarray]:
        for path in itertools.chain.from_iterable(self.folder.glob(f"{name}-*.npy") for name in names):
            yield np.load(path, mmap_mode="r")

    def _open(self, number, name):
        return np.load(self._block(number) / f"{name}.npy", mmap_mode="r")

    def _block(self, number):
        return self.folder / f"block-{number:05d}"


def slice_of(array: np.ndarray, first: np.uint64, last: np.uint64) -> np.ndarray:
    """The values from `first`, inclusive, to `last`, exclusive, of a sorted array."""
    return array[slice(*np.searchsorted(array, [first, last]))]
