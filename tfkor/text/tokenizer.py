"""Tokenizer: Korean text to ids and back."""

import itertools
import json
from dataclasses import asdict, fields
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfkor.files import new_file, write_json
from tfkor.text.files import utf8_lines
from tfkor.text.normalization import REMOVED, Normalizer, code_points
from tfkor.text.wordpiece import WordPiece, spans, words

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BLOCK = 300_000  # characters that go through NumPy together


class Ragged(NamedTuple):
    """Rows of different lengths in one array: row i is values[row_splits[i]:row_splits[i + 1]].

    values: int32 [N]; row_splits: int64 [B + 1].
    """

    values: np.ndarray
    row_splits: np.ndarray

    @property
    def lengths(self):
        """int64 [B]"""
        return np.diff(self.row_splits)

    def to_lists(self):
        """[[id, ...], ...]"""
        return [self.values[a:b].tolist() for a, b in itertools.pairwise(self.row_splits)]


class Tokenizer:
    """WordPiece for Korean: `Tokenizer.from_vocab("vocab.txt")`, then `tokenizer(texts)` gives the inputs of a model.

    The ids are those of Hugging Face `tokenizers` with `Sequence([NFC(), BertNormalizer(strip_accents=False)])`,
    `BertPreTokenizer` and `WordPiece(max_input_chars_per_word=100)`. NFD input gives the ids of NFC input. A literal
    [MASK] in a text is plain text. It needs NumPy only, and can be handed to other processes.

    >>> tokenizer = Tokenizer.from_vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "한국", "##어"])
    >>> tokenizer.tokenize("한국어 한국")
    ['한국', '##어', '한국']

    Args:
      vocab: the path of a vocab.txt (UTF-8, one entry a line, the id is the line's number from 0), or a list of str.
      lowercase, nfc, clean_text, full_width, max_jamo_repeats: see `Normalizer`.
      max_word_chars: a word of more characters is [UNK].

    Raises:
      ValueError: no entry, an entry twice, a special token missing, not UTF-8; the message names the file and line.
    """

    def __init__(
        self,
        vocab,
        *,
        lowercase=False,
        nfc=True,
        clean_text=True,
        full_width=False,
        max_jamo_repeats=None,
        max_word_chars=100,
    ):
        if type(max_word_chars) is not int or max_word_chars < 1:
            raise ValueError(f"max_word_chars is {max_word_chars!r}; expected a whole number of at least 1")
        self.vocab = _read_vocab(vocab) if isinstance(vocab, (str, Path)) else _checked_vocab(list(vocab), "vocab")
        self.vocab_size = len(self.vocab)
        self.max_word_chars = max_word_chars
        self.normalizer = Normalizer(lowercase, nfc, clean_text, full_width, max_jamo_repeats)
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = map(self.vocab.index, SPECIAL_TOKENS)

    @classmethod
    def from_vocab(cls, vocab, **options):
        """The same as `Tokenizer(vocab, **options)`."""
        return cls(vocab, **options)

    @classmethod
    def load(cls, folder):
        """Reads what `save` wrote: vocab.txt and tokenizer_config.json.

        Raises:
          FileNotFoundError: one of them is missing.
          ValueError: the configuration is not JSON, or has an unknown key or a wrong value.
        """
        path = Path(folder) / "tokenizer_config.json"
        for file in (path, path.with_name("vocab.txt")):
            if not file.is_file():
                raise FileNotFoundError(f"{file}: no such file; expected a folder written by Tokenizer.save")
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: not JSON in UTF-8 ({error})") from error
        known = ("type", "max_word_chars", *(field.name for field in fields(Normalizer)))
        if not isinstance(config, dict) or (unknown := sorted(set(config) - set(known))):
            found = f"unknown key {', '.join(unknown)}" if isinstance(config, dict) else f"a {type(config).__name__}"
            raise ValueError(f"{path}: found {found}; expected an object with the keys {', '.join(known)}")
        if (kind := config.pop("type", None)) != "wordpiece":
            raise ValueError(f'{path}: type is {kind!r}; expected "wordpiece"')
        vocab = _read_vocab(path.with_name("vocab.txt"))
        try:
            return cls(vocab, **config)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def save(self, folder):
        """Writes vocab.txt and tokenizer_config.json into `folder`, which is made if it isn't there."""
        folder = Path(folder)
        with new_file(folder / "vocab.txt") as path:
            path.write_text("".join(f"{entry}\n" for entry in self.vocab), encoding="utf-8", newline="\n")
        write_json(folder / "tokenizer_config.json", self.config)

    @property
    def config(self):
        """dict: what tokenizer_config.json holds."""
        return {"type": "wordpiece", "max_word_chars": self.max_word_chars, **asdict(self.normalizer)}

    @cached_property
    def _model(self):
        return WordPiece(self.vocab, self.normalizer.kinds, self.unk_id, self.max_word_chars)

    def tokenize(self, text):
        """The vocabulary entries of one text, list of str."""
        return [self.vocab[i] for i in self.ids([text]).values]

    def ids(self, texts, dropout=0.0, seed=0):
        """The ids of each text, without [CLS] and [SEP].

        Args:
          texts: sequence of str.
          dropout: the probability with which an entry of two and more characters is passed over where it would be the
            longest that fits, so that words fall into other, shorter pieces: MaxMatch-Dropout (Hiraoka 2022), for
            training.
          seed: of the dropout; an int, or a list of them.

        Returns:
          Ragged with a row for each text.
        """
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; expected a probability, from 0 to less than 1")
        random = np.random.default_rng(seed)
        values, lengths = [np.zeros(0, np.int32)], [np.zeros(1, np.int64)]
        for block in blocks(_checked_texts(texts)):
            codes, kinds, starts = self.normalizer.characters(block)
            pieces = self._model.pieces(codes, kinds, dropout, random)
            places = np.flatnonzero(pieces >= 0)
            values.append(pieces[places])
            lengths.append(np.diff(np.searchsorted(places, starts)))
        return Ragged(np.concatenate(values), np.cumsum(np.concatenate(lengths)))

    def offsets(self, text):
        """The ids of one text, and where each piece stands in it.

        Returns:
          ids: list of int, the row of `ids([text])`.
          spans: list of (start, end): text[start:end] is what the piece was made of, in characters of `text` itself,
            whatever normalisation composed, removed or shortened.
        """
        rewritten, found = self.normalizer.rewrite_with_spans(*_checked_texts([text]))
        found = np.array([*found, (len(text), len(text))])
        found = found[self.normalizer.kinds[code_points([rewritten])] & REMOVED == 0]
        codes, kinds, _ = self.normalizer.characters([rewritten], rewritten=True)
        pieces = self._model.pieces(codes, kinds)
        places = np.flatnonzero(pieces >= 0)
        begin, end = words(kinds)
        stops = np.minimum(end[np.searchsorted(begin, places, "right") - 1], np.append(places[1:], len(codes)))
        inside = [found[place:stop] for place, stop in zip(places, stops, strict=True)]  # NFC may have reordered marks
        return pieces[places].tolist(), [(int(span[:, 0].min()), int(span[:, 1].max())) for span in inside]

    def pack(self, first, second=None, max_length=128):
        """[CLS] first [SEP], or [CLS] first [SEP] second [SEP], cut to `max_length`.

        The longer of a pair loses its last id until both fit, the second where they are equal, as in google-research's
        BERT.

        Args:
          first, second: Ragged ids with the same number of rows; second may be None.

        Returns:
          Ragged ids, Ragged segment ids: 0 up to the first [SEP], 1 after it.
        """
        room = max_length - (2 if second is None else 3)
        if room < 0:
            raise ValueError(f"max_length is {max_length}; expected at least {max_length - room}, for [CLS] and [SEP]")
        kept = np.minimum(first.lengths, room)
        if second is not None:
            if len(first.row_splits) != len(second.row_splits):
                raise ValueError(f"{len(first.lengths)} texts but {len(second.lengths)} pairs; expected as many")
            kept_second = np.minimum(second.lengths, np.maximum(room // 2, room - first.lengths))
            kept = np.minimum(first.lengths, room - kept_second)
        lengths = kept + 2 + (0 if second is None else kept_second + 1)
        splits = np.append(0, np.cumsum(lengths))
        values, segments = np.full(splits[-1], self.sep_id, np.int32), np.zeros(splits[-1], np.int32)
        values[splits[:-1]] = self.cls_id
        values[spans(splits[:-1] + 1, kept)] = first.values[spans(first.row_splits[:-1], kept)]
        if second is not None:
            start = splits[:-1] + kept + 2
            values[spans(start, kept_second)] = second.values[spans(second.row_splits[:-1], kept_second)]
            segments[spans(start, kept_second + 1)] = 1
        return Ragged(values, splits), Ragged(segments, splits)

    def __call__(self, texts, pairs=None, max_length=128, pad_to=None):
        """The inputs of a model.

        Args:
          texts: sequence of str.
          pairs: None, or the second text of each.
          max_length: longer rows are cut, see `pack`.
          pad_to: the number of columns; None: as many as the longest row has.

        Returns:
          dict of int32 [B, S]: input_word_ids, input_mask (1 for an id, 0 for padding), segment_ids.
        """
        ids, segments = self.pack(self.ids(texts), None if pairs is None else self.ids(pairs), max_length)
        longest = int(ids.lengths.max(initial=0))
        columns = longest if pad_to is None else pad_to
        if columns < longest:
            raise ValueError(f"pad_to is {pad_to}, but a row has {longest} ids; expected pad_to >= max_length")
        mask = np.arange(columns) < ids.lengths[:, None]
        out = {name: np.zeros(mask.shape, np.int32) for name in ("input_word_ids", "input_mask", "segment_ids")}
        out["input_word_ids"][:] = self.pad_id
        out["input_word_ids"][mask] = ids.values
        out["input_mask"][mask] = 1
        out["segment_ids"][mask] = segments.values
        return out

    def decode(self, ids):
        """The text of ids: a blank before each piece without ##; [CLS], [SEP] and [PAD] are left out.

        Raises:
          ValueError: an id outside the vocabulary.
        """
        ids = [int(i) for i in ids]
        if outside := [i for i in ids if not 0 <= i < self.vocab_size]:
            raise ValueError(f"id {outside[0]}; expected 0 to {self.vocab_size - 1}, the vocabulary's")
        text = " ".join(self.vocab[i] for i in ids if i not in (self.pad_id, self.cls_id, self.sep_id))
        return text.replace(" ##", "")


def blocks(texts):
    """Cuts texts into blocks of about BLOCK characters."""
    ends = np.cumsum([len(text) + 1 for text in texts])
    start = 0
    while start < len(texts):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + BLOCK, "right")))
        yield texts[start:stop]
        start = stop


def _checked_texts(texts):
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"texts is one {type(texts).__name__}; expected a list of str: write [text]")
    texts = list(texts)
    if not set(map(type, texts)) <= {str}:
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"text {i} is {text!r}, a {type(text).__name__}; expected str")
    return texts


def _read_vocab(path):
    lines = [line.rstrip(" \t\r") for line in utf8_lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    return _checked_vocab(lines, path)


def _checked_vocab(vocab, source):
    """The vocabulary itself, if it is one; `source` names it in errors."""
    if not vocab:
        raise ValueError(f"{source}: empty; expected an entry a line, {' '.join(SPECIAL_TOKENS)} among them")
    seen = {}
    for line, entry in enumerate(vocab, 1):
        if not isinstance(entry, str) or not entry or entry != entry.rstrip(" ") or min(entry) < " ":
            raise ValueError(f"{source}: line {line} is {entry!r}; expected text, no control character, no last blank")
        if entry in seen:
            raise ValueError(f"{source}: line {line} repeats {entry!r} of line {seen[entry]}; expected each entry once")
        seen[entry] = line
    if missing := [token for token in SPECIAL_TOKENS if token not in seen]:
        raise ValueError(
            f"{source}: no {' '.join(missing)} among its {len(vocab)} entries; expected {' '.join(SPECIAL_TOKENS)}"
        )
    return vocab
