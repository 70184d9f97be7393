"""Shards: a corpus as token ids in NumPy files, without special tokens, pairs of sentences or masks.

A folder contains manifest.json, tokenizer/ (written by Tokenizer.save) and shard-00000.npz, shard-00001.npz ... A shard
is an uncompressed .npz with

  tokens           uint16 [N], uint32 for more than 65,536 ids: the sentences one after the other
  eojeol_starts    uint8, np.packbits of bool [N]: True where a token is the first of its eojeol
  sentence_splits  int64 [S + 1]: sentence i is tokens[sentence_splits[i]:sentence_splits[i + 1]]
  document_splits  int64 [D + 1]: document i is the sentences document_splits[i] to document_splits[i + 1]
"""

import hashlib
import io
import itertools
import json
import zipfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tfkor.files import new_file, write_json

if TYPE_CHECKING:
    from tfkor.text import Tokenizer

FORMAT = "tfkor shards 1"
MANIFEST = "manifest.json"
COUNTS = ("documents", "sentences", "tokens")


class Shard(NamedTuple):
    """Tokenized documents: tokens int32 [N], eojeol_starts bool [N], sentence_splits int64 [S + 1] into tokens,
    document_splits int64 [D + 1] into sentences."""

    tokens: np.ndarray
    eojeol_starts: np.ndarray
    sentence_splits: np.ndarray
    document_splits: np.ndarray

    @property
    def counts(self) -> dict[str, int]:
        """dict of the number of documents, sentences and tokens."""
        return dict(zip(COUNTS, (len(self.document_splits) - 1, len(self.sentence_splits) - 1, len(self.tokens))))

    def documents(self) -> Iterator[list[np.ndarray]]:
        """Yields each document: a list of sentences, each an int32 array."""
        for first, last in itertools.pairwise(self.document_splits.tolist()):
            splits = self.sentence_splits[first : last + 1].tolist()
            yield [self.tokens[a:b] for a, b in itertools.pairwise(splits)]


def join_shards(shards: Sequence[Shard]) -> Shard:
    """One Shard with the documents of all shards, in their order."""
    return Shard(
        np.concatenate([np.zeros(0, np.int32), *(shard.tokens for shard in shards)]),
        np.concatenate([np.zeros(0, bool), *(shard.eojeol_starts for shard in shards)]),
        _join_splits([shard.sentence_splits for shard in shards]),
        _join_splits([shard.document_splits for shard in shards]),
    )


def _join_splits(splits):
    return np.cumsum(np.concatenate([np.zeros(1, np.int64), *map(np.diff, splits)]))


def shard_bytes(shard: Shard, vocab_size: int) -> bytes:
    """The contents of a shard's file; the same for the same shard.

    Raises:
      ValueError: arrays that do not fit together, or an id outside the vocabulary.
    """
    _check(shard, vocab_size, "the shard to write")
    file = io.BytesIO()
    np.savez(
        file,
        tokens=shard.tokens.astype(np.uint16 if vocab_size <= 2**16 else np.uint32),
        eojeol_starts=np.packbits(shard.eojeol_starts),
        sentence_splits=shard.sentence_splits.astype(np.int64),
        document_splits=shard.document_splits.astype(np.int64),
    )
    return file.getvalue()


def shard_name(number: int) -> str:
    """shard-00000.npz"""
    return f"shard-{number:05d}.npz"


def write_shard(path: str | Path, shard: Shard, vocab_size: int) -> dict[str, Any]:
    """Writes a Shard, whole or not at all; returns its entry of the manifest: file, sha256, bytes and counts."""
    data = shard_bytes(shard, vocab_size)
    with new_file(path) as temporary:
        temporary.write_bytes(data)
    return shard_entry(Path(path).name, data, shard)


def shard_entry(name: str, data: bytes, shard: Shard) -> dict[str, Any]:
    """The manifest's entry of a shard whose file `name` contains `data`."""
    return {"file": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), **shard.counts}


def make_manifest(tokenizer: "Tokenizer", entries: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """The manifest of shards. `more` is stored in it, the settings that made the shards for example."""
    return {
        "format": FORMAT,
        "tokenizer": tokenizer.fingerprint,
        "vocab_size": tokenizer.vocab_size,
        **{name: sum(entry[name] for entry in entries) for name in COUNTS},
        "shards": list(entries),
        **more,
    }


def write_manifest(
    folder: str | Path, tokenizer: "Tokenizer", entries: Sequence[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """Writes tokenizer/ and, last of all, manifest.json, which makes the folder complete. Returns the manifest."""
    folder = Path(folder)
    tokenizer.save(folder / "tokenizer")
    manifest = make_manifest(tokenizer, entries, **more)
    write_json(folder / MANIFEST, manifest)
    return manifest


class ShardFolder:
    """A folder of shards, for reading.

    >>> shards = ShardFolder("runs/shards")         # doctest: +SKIP
    >>> shards.manifest["tokens"], len(shards)      # doctest: +SKIP
    >>> shards.read(0).tokens                       # doctest: +SKIP

    Attributes:
      folder: Path.
      manifest: dict with format, tokenizer (its fingerprint), vocab_size, documents, sentences, tokens, and shards: a
        list of dicts with file, sha256, bytes, documents, sentences, tokens.

    Raises:
      FileNotFoundError: there is no manifest.json.
      ValueError: it is damaged, or of another format.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.manifest = _read_manifest(self.folder / MANIFEST)
        self._checked = set()

    def __len__(self) -> int:
        return len(self.manifest["shards"])

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """The Tokenizer that made the ids.

        Raises:
          ValueError: its fingerprint is not the one in the manifest.
        """
        from tfkor.text import Tokenizer

        tokenizer = Tokenizer.load(self.folder / "tokenizer")
        if tokenizer.fingerprint != self.manifest["tokenizer"]:
            raise ValueError(
                f"{self.folder / 'tokenizer'}: found a tokenizer with the fingerprint {tokenizer.fingerprint[:16]}..., "
                f"expected {self.manifest['tokenizer'][:16]}..., as in {MANIFEST}: put the right one back"
            )
        return tokenizer

    def read(self, number: int) -> Shard:
        """Shard `number`, from 0. Its SHA-256 is checked at the first read.

        Raises:
          IndexError: there is no such shard.
          ValueError: the file is missing or damaged; the message names it, what was found and expected.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"{self.folder}: shard {number}; expected 0 to {len(self) - 1}")
        entry = self.manifest["shards"][number]
        path = self.folder / entry["file"]
        advice = "copy it again, make the shards again, or leave it out"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path}: can't be read ({error.strerror}); expected a shard: {advice}") from error
        if number not in self._checked:
            found = hashlib.sha256(data).hexdigest()
            if found != entry["sha256"]:
                raise ValueError(
                    f"{path}: damaged: found {len(data):,} bytes with the SHA-256 {found}, expected "
                    f"{entry['bytes']:,} bytes with {entry['sha256']}: {advice}"
                )
        try:
            with np.load(io.BytesIO(data)) as arrays:
                tokens = arrays["tokens"].astype(np.int32)
                starts = np.unpackbits(arrays["eojeol_starts"], count=len(tokens)).astype(bool)
                shard = Shard(tokens, starts, arrays["sentence_splits"], arrays["document_splits"])
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            expected = ", ".join(Shard._fields)
            raise ValueError(f"{path}: not a shard ({error}); expected the arrays {expected}: {advice}") from error
        if number not in self._checked:
            _check(shard, self.manifest["vocab_size"], path)
            self._checked.add(number)
        return shard

    def check(self) -> None:
        """Reads every shard.

        Raises:
          ValueError: with a line for each shard that is missing or damaged.
        """
        problems = []
        self._checked.clear()
        for number in range(len(self)):
            try:
                self.read(number)
            except ValueError as error:
                problems.append(str(error))
        if problems:
            raise ValueError("\n".join(problems))


def _read_manifest(path):
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: no such file; expected a folder of shards, written completely by make_shards"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path}: not JSON in UTF-8 ({error}); make the shards again") from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise ValueError(f"{path}: the format is {found!r}; expected {FORMAT!r}")
    if missing := [key for key in ("tokenizer", "vocab_size", *COUNTS, "shards") if key not in manifest]:
        raise ValueError(f"{path}: no {', '.join(missing)}; expected a complete manifest: make the shards again")
    return manifest


def _check(shard, vocab_size, name):
    tokens, starts, sentences, documents = shard
    if len(starts) != len(tokens):
        raise ValueError(f"{name}: {len(starts)} eojeol_starts; expected one for each of the {len(tokens)} tokens")
    for what, splits, end in (
        ("sentence_splits", sentences, len(tokens)),
        ("document_splits", documents, len(sentences) - 1),
    ):
        if not len(splits) or splits[0] or splits[-1] != end or (np.diff(splits) < 1).any():
            raise ValueError(f"{name}: {what} do not increase from 0 to {end}, by at least 1 each")
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() < vocab_size:
        outside = tokens.max() if tokens.max() >= vocab_size else tokens.min()
        raise ValueError(f"{name}: id {outside}; expected 0 to {vocab_size - 1}, the vocabulary's")
