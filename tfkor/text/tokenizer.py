"""Tokenizer: Korean text to ids and back."""

import hashlib
import itertools
import json
import re
from dataclasses import asdict, fields
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfkor.files import new_file, write_json
from tfkor.text.morphemes import BOUNDARY
from tfkor.text.normalization import Normalizer, composed
from tfkor.text.sentencepiece import MARK, SentencePiece, read_model
from tfkor.text.vocabulary import SPECIAL_TOKENS, checked_vocab, read_vocab
from tfkor.text.wordpiece import WordPiece, spans

FILES = {"wordpiece": "vocab.txt", "bpe": "sentencepiece.model", "unigram": "sentencepiece.model"}
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
    """Korean text to ids and back, by WordPiece, BPE or Unigram; `tokenizer(texts)` gives the inputs of a model.

    WordPiece: the ids are those of Hugging Face `tokenizers` with `Sequence([NFC(),
    BertNormalizer(strip_accents=False)])`, `BertPreTokenizer` and `WordPiece(max_input_chars_per_word=100)`; needs
    NumPy only. BPE and Unigram: those of the package sentencepiece, which gets the text that `normalizer` gives. There
    a ▁ in a text counts as white space. For all: NFD input gives the ids of NFC input, a literal [MASK] in a text is
    plain text, and a tokenizer can be handed to other processes.

    >>> tokenizer = Tokenizer.from_vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "한국", "##어"])
    >>> tokenizer.tokenize("한국어 한국")
    ['한국', '##어', '한국']

    Args:
      vocab: of WordPiece: the path of a vocab.txt (UTF-8, one entry a line, the id is the line's number from 0), or a
        list of str. Of BPE and Unigram: the path of a sentencepiece.model, or its bytes, with [PAD] [UNK] [CLS] [SEP]
        [MASK] among its pieces and without normalisation of its own, as `train_sentencepiece` makes it.
      lowercase, nfc, clean_text, full_width, max_jamo_repeats, alphabet, morphemes: see `Normalizer`.
      max_word_chars: of WordPiece: a word of more characters (of the alphabet) is [UNK].
      user_symbols: of WordPiece: entries that are one piece wherever they stand, as `<url>`. Those of BPE and Unigram
        are in the model.

    Raises:
      ValueError: no entry, an entry twice, a special token missing, not UTF-8; the message names the file and line.
    """

    pair_separators = 1  # how many [SEP] stand between the texts of a pair

    def __init__(self, vocab, *, max_word_chars=None, user_symbols=(), **normalization):
        self.normalizer = Normalizer(**normalization)
        source = vocab if isinstance(vocab, (str, Path)) else "vocab"
        if isinstance(vocab, (str, Path)) and Path(vocab).suffix == ".model":
            vocab = Path(vocab).read_bytes()
        self._proto, self.user_symbols = None, tuple(user_symbols)
        if isinstance(vocab, bytes):
            if max_word_chars is not None or user_symbols:
                raise ValueError(f"{source}: found max_word_chars or user_symbols; expected none with BPE and Unigram")
            self._proto = vocab
            self.vocab, self.type, self.user_symbols = read_model(vocab, source)
            if self.normalizer.morphemes and BOUNDARY not in self.vocab:
                raise ValueError(f"{source}: no piece U+200B; expected it with morphemes: train it with them too")
        else:
            self.type = "wordpiece"
            self.vocab = read_vocab(vocab) if source is vocab else checked_vocab(list(vocab), source)
            if missing := [symbol for symbol in user_symbols if symbol not in self.vocab]:
                raise ValueError(f"{source}: user symbol {missing[0]!r} is not in the vocabulary; expected it there")
            max_word_chars = 100 if max_word_chars is None else max_word_chars
            if type(max_word_chars) is not int or max_word_chars < 1:
                raise ValueError(f"max_word_chars is {max_word_chars!r}; expected a whole number of at least 1")
        self.max_word_chars = max_word_chars
        self.vocab_size = len(self.vocab)
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = map(self.vocab.index, SPECIAL_TOKENS)

    @classmethod
    def from_vocab(cls, vocab, **options):
        """The same as `Tokenizer(vocab, **options)`."""
        return cls(vocab, **options)

    @classmethod
    def load(cls, folder):
        """Reads what `save` wrote: vocab.txt or sentencepiece.model, and tokenizer_config.json, of any tokenizer.

        Raises:
          FileNotFoundError: one of them is missing.
          ValueError: the configuration is not JSON, or has an unknown key or a wrong value.
        """
        path = Path(folder) / "tokenizer_config.json"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; expected a folder written by Tokenizer.save")
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: not JSON in UTF-8 ({error})") from error
        if isinstance(config, dict) and config.get("type") == "published":
            from tfkor.text.published import PublishedTokenizer

            return PublishedTokenizer.load_with(path, config)
        known = ("type", "max_word_chars", *(field.name for field in fields(Normalizer)), "user_symbols")
        if not isinstance(config, dict) or (unknown := sorted(set(config) - set(known))):
            found = f"unknown key {', '.join(unknown)}" if isinstance(config, dict) else f"a {type(config).__name__}"
            raise ValueError(f"{path}: found {found}; expected an object with the keys {', '.join(known)}")
        if (kind := config.pop("type", None)) not in FILES:
            raise ValueError(f'{path}: type is {kind!r}; expected "wordpiece", "bpe" or "unigram"')
        vocab = path.with_name(FILES[kind])
        if not vocab.is_file():
            raise FileNotFoundError(f"{vocab}: no such file; expected a folder written by Tokenizer.save")
        vocab = read_vocab(vocab) if kind == "wordpiece" else vocab.read_bytes()
        try:
            tokenizer = cls(vocab, **config)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        if tokenizer.type != kind:
            raise ValueError(f"{path}: type is {kind!r}, but {FILES[kind]} holds {tokenizer.type!r}; expected the same")
        return tokenizer

    def save(self, folder):
        """Writes tokenizer_config.json and vocab.txt (WordPiece) or sentencepiece.model into `folder`."""
        folder = Path(folder)
        with new_file(folder / FILES[self.type]) as path:
            path.write_bytes(self.vocab_file)
        write_json(folder / "tokenizer_config.json", self.config)

    @property
    def vocab_file(self):
        """bytes: what vocab.txt or sentencepiece.model holds."""
        return self._proto or "".join(f"{entry}\n" for entry in self.vocab).encode("utf-8")

    @property
    def config(self):
        """dict: what tokenizer_config.json holds."""
        config = {"type": self.type, "max_word_chars": self.max_word_chars, **asdict(self.normalizer)}
        if self.type != "wordpiece":
            del config["max_word_chars"]
        elif self.user_symbols:
            config["user_symbols"] = list(self.user_symbols)
        for name in ("alphabet", "morphemes"):  # the files of plain WordPiece have no such keys
            if config[name] == getattr(Normalizer, name):
                del config[name]
        return config

    @property
    def continuations(self):
        """bool [V]: True for entries that go on a word; a whole word is a piece and those after it.

        Of WordPiece those with ##; of BPE and Unigram those without ▁, apart from [CLS] and its like.
        """
        return self._model.continuations

    @cached_property
    def fingerprint(self):
        """The SHA-256, in hexadecimal, of all that decides ids: the configuration and the vocabulary.

        What splits morphemes decides too, but its release is not part of it.
        """
        config = json.dumps(self.config, sort_keys=True).encode("utf-8")
        return hashlib.sha256(config + b"\n" + self.vocab_file).hexdigest()

    @cached_property
    def _model(self):
        if self._proto:
            split = self.normalizer.morphemes is not None
            return SentencePiece(self._proto, self.vocab, self.type, self.user_symbols, split)
        return WordPiece(self.vocab, self.normalizer.kinds, self.unk_id, self.max_word_chars, self.user_symbols)

    def pre_split(self, texts):
        """The texts with U+200B between the morphemes of an eojeol, for a GraphTokenizer with pre_split=True.

        Raises:
          ValueError: this tokenizer doesn't split morphemes.
        """
        if self.normalizer.morphemes is None:
            raise ValueError("morphemes is None; expected a tokenizer that splits them: give the texts as they are")
        texts = [re.sub("[\ud800-\udfff]", "\ufffd", text) for text in checked_texts(texts)]
        return [self.normalizer.rewrite(text) for text in texts]

    def tokenize(self, text):
        """The vocabulary entries of one text, list of str."""
        return [self.vocab[i] for i in self.ids([text]).values]

    def ids(self, texts, dropout=0.0, seed=0):
        """The ids of each text, without [CLS] and [SEP].

        Args:
          texts: sequence of str.
          dropout: for training: words fall into other pieces. WordPiece: the probability with which an entry of two
            and more characters is passed over where it would be the longest that fits, MaxMatch-Dropout (Hiraoka 2022).
            BPE: with which a merge is passed over, BPE-dropout (Provilkov et al. 2020). Unigram: with which a text is
            drawn from all its segmentations, smoothed by 0.2 (Kudo 2018).
          seed: of the dropout; an int, or a list of them.

        Returns:
          Ragged with a row for each text.
        """
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; expected a probability, from 0 to less than 1")
        return self._rows(texts, dropout, seed)[0]

    def ids_and_eojeols(self, texts):
        """The ids of each text as in `ids`, and where eojeols (what stands between white space) begin.

        Returns:
          Ragged with a row for each text.
          bool [N]: True for the first piece of an eojeol, beside the values of the Ragged.
        """
        return self._rows(texts)

    def _rows(self, texts, dropout=0.0, seed=0):
        random = np.random.default_rng(seed)
        values, lengths, firsts = [np.zeros(0, np.int32)], [np.zeros(1, np.int64)], [np.zeros(0, bool)]
        for block in blocks(checked_texts(texts)):
            codes, kinds, starts = self.normalizer.characters(block)
            for found, rows in zip((values, lengths, firsts), self._model.rows(codes, kinds, starts, dropout, random)):
                found.append(rows)
        return Ragged(np.concatenate(values), np.cumsum(np.concatenate(lengths))), np.concatenate(firsts)

    def offsets(self, text):
        """The ids of one text, and where each piece stands in it.

        Returns:
          ids: list of int, the row of `ids([text])`.
          spans: list of (start, end): text[start:end] is what the piece was made of, in characters of `text` itself,
            whatever normalisation composed, removed or shortened.
        """
        codes, kinds, origin = self.normalizer.characters_with_spans(*checked_texts([text]))
        ids, begin, end = self._model.places(codes, kinds)
        inside = [origin[start:stop] for start, stop in zip(begin, end, strict=True)]  # NFC may have reordered marks
        return ids.tolist(), [(int(span[:, 0].min()), int(span[:, 1].max())) for span in inside]

    def all_offsets(self, texts):
        """[offsets(text), ...] of many texts; of WordPiece it takes a fraction of the time."""
        texts = checked_texts(texts)
        unmoved = self.normalizer.unmoved(texts) if self.type == "wordpiece" and texts else np.zeros(len(texts), bool)
        together = iter(self._unmoved_offsets([text for text, stays in zip(texts, unmoved) if stays]))
        return [next(together) if stays else self.offsets(text) for text, stays in zip(texts, unmoved)]

    def _unmoved_offsets(self, texts):
        for block in blocks(texts):
            codes, kinds, starts = self.normalizer.characters(block)
            ids, begin, end = self._model.places(codes, kinds)
            row = np.searchsorted(starts, begin, "right") - 1
            spans = list(zip((begin - starts[row]).tolist(), (end - starts[row]).tolist(), strict=True))
            ends = np.searchsorted(row, np.arange(len(block)), "right").tolist()
            for first, last in itertools.pairwise([0, *ends]):
                yield ids[first:last].tolist(), spans[first:last]

    def pack(self, first, second=None, max_length=128):
        """[CLS] first [SEP], or [CLS] first [SEP] second [SEP], cut to `max_length`.

        The longer of a pair loses its last id until both fit, the second where they are equal, as in google-research's
        BERT.

        Args:
          first, second: Ragged ids with the same number of rows; second may be None.

        Returns:
          Ragged ids, Ragged segment ids: 0 up to the first [SEP], 1 after it.
        """
        gap = self.pair_separators
        room = max_length - (2 if second is None else 2 + gap)
        if room < 0:
            raise ValueError(f"max_length is {max_length}; expected at least {max_length - room}, for [CLS] and [SEP]")
        kept = np.minimum(first.lengths, room)
        if second is not None:
            if len(first.row_splits) != len(second.row_splits):
                raise ValueError(f"{len(first.lengths)} texts but {len(second.lengths)} pairs; expected as many")
            kept_second = np.minimum(second.lengths, np.maximum(room // 2, room - first.lengths))
            kept = np.minimum(first.lengths, room - kept_second)
        lengths = kept + 2 + (0 if second is None else kept_second + gap)
        splits = np.append(0, np.cumsum(lengths))
        values, segments = np.full(splits[-1], self.sep_id, np.int32), np.zeros(splits[-1], np.int32)
        values[splits[:-1]] = self.cls_id
        values[spans(splits[:-1] + 1, kept)] = first.values[spans(first.row_splits[:-1], kept)]
        if second is not None:
            start = splits[:-1] + kept + 1 + gap
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
        """The text of ids: a blank before each piece without ## or with ▁; [CLS], [SEP] and [PAD] are left out.

        Raises:
          ValueError: an id outside the vocabulary.
        """
        ids = [int(i) for i in ids]
        if outside := [i for i in ids if not 0 <= i < self.vocab_size]:
            raise ValueError(f"id {outside[0]}; expected 0 to {self.vocab_size - 1}, the vocabulary's")
        pieces = [self.vocab[i] for i in ids if i not in (self.pad_id, self.cls_id, self.sep_id)]
        if self.type == "wordpiece":
            text = " ".join(pieces).replace(" ##", "")
        else:
            text = "".join(pieces).replace(MARK, " ").removeprefix(" ")
        return composed(text) if self.normalizer.alphabet == "jamo" else text


def blocks(texts):
    """Cuts texts into blocks of about BLOCK characters."""
    ends = np.cumsum([len(text) + 1 for text in texts])
    start = 0
    while start < len(texts):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + BLOCK, "right")))
        yield texts[start:stop]
        start = stop


def checked_texts(texts):
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"texts is one {type(texts).__name__}; expected a list of str: write [text]")
    texts = list(texts)
    if not set(map(type, texts)) <= {str}:
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"text {i} is {text!r}, a {type(text).__name__}; expected str")
    return texts
