"""Tokenizer: Korean text to ids and back."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from tfkor.files import new_file, write_json
from tfkor.text import tokenizer_config
from tfkor.text.engines import Engine, PublishedSentencePiece, SentencePiece, WordPiece
from tfkor.text.engines.sentencepiece import SentencePieceModel, plain_model
from tfkor.text.normalization import Normalizer, composed
from tfkor.text.published_normalizer import PublishedNormalizer
from tfkor.text.ragged import Ragged
from tfkor.text.template import Template
from tfkor.text.vocabulary import checked_vocab, read_vocab

BLOCK = 300_000  # characters that go through NumPy together


class Tokenizer:
    """Korean text to ids and back, by WordPiece, BPE or Unigram; `tokenizer(texts)` gives the inputs of a model.

    It is a normalizer (what is done to a text first), an engine (normalised text to pieces), and a template (special
    tokens, and how texts become the rows of a model's input).

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
        list of str. Of BPE and Unigram: the path of a sentencepiece.model, or its bytes, with the special tokens among
        its pieces and without normalisation of its own, as `train_sentencepiece` makes it.
      special_tokens: dict of the roles "pad", "unk", "cls", "sep" and "mask" -> entries of the vocabulary, as
        {"pad": "<pad>", "unk": "<unk>", ...}. A role that the vocabulary has no token for is left out: its id is None
        then, and what needs it raises ValueError. None: [PAD] [UNK] [CLS] [SEP] [MASK].
      pair_separators: the number of [SEP] between the texts of a pair: 1, or 2 as in RoBERTa.
      lowercase, nfc, clean_text, full_width, max_jamo_repeats, alphabet, morphemes: see `Normalizer`.
      max_word_chars: of WordPiece: a word of more characters (of the alphabet) is [UNK]; None: 100.
      user_symbols: of WordPiece: entries that are one piece wherever they occur, as `<url>`. Those of BPE and Unigram
        are in the model.

    Raises:
      ValueError: no entry, an entry twice, a special token missing, not UTF-8; the message names the file and line.
    """

    def __init__(
        self,
        vocab: str | Path | bytes | Sequence[str],
        *,
        special_tokens: Mapping[str, str] | None = None,
        pair_separators: int = 1,
        max_word_chars: int | None = None,
        user_symbols: Sequence[str] = (),
        **normalization,
    ):
        normalizer = Normalizer(**normalization)
        source = vocab if isinstance(vocab, (str, Path)) else "vocab"
        if isinstance(vocab, (str, Path)) and Path(vocab).suffix == ".model":
            vocab = Path(vocab).read_bytes()
        if isinstance(vocab, bytes):
            if max_word_chars is not None or user_symbols:
                raise ValueError(f"{source}: found max_word_chars or user_symbols; expected none with BPE and Unigram")
            model = plain_model(vocab, source)
            template = Template(model.pieces, special_tokens, pair_separators, source)
            engine = SentencePiece(model, normalizer, template.ids, source)
        else:
            entries = read_vocab(vocab) if source is vocab else checked_vocab(list(vocab), source)
            template = Template(entries, special_tokens, pair_separators, source)
            engine = WordPiece(entries, normalizer, template.ids, max_word_chars, user_symbols, source)
        self.normalizer, self.engine, self.template = normalizer, engine, template

    @classmethod
    def from_parts(
        cls, normalizer: Normalizer | PublishedNormalizer, engine: Engine, template: Template
    ) -> "Tokenizer":
        """The Tokenizer of a normalizer, an engine and a template that fit together."""
        tokenizer = cls.__new__(cls)
        tokenizer.normalizer, tokenizer.engine, tokenizer.template = normalizer, engine, template
        return tokenizer

    @classmethod
    def from_vocab(cls, vocab: str | Path | bytes | Sequence[str], **options) -> "Tokenizer":
        """The same as `Tokenizer(vocab, **options)`."""
        return cls(vocab, **options)

    @classmethod
    def from_published(
        cls,
        model: bytes,
        vocab: Sequence[str] | None = None,
        special_tokens: Mapping[str, str] | None = None,
        *,
        pair_separators: int = 1,
        **normalization,
    ) -> "Tokenizer":
        """The Tokenizer of a published sentencepiece model, with the normalisation that the model file holds.

        Args:
          model: bytes, a serialized sentencepiece model, Unigram or BPE.
          vocab: list of str, the piece of each id; None: those of the model. The id of a piece is its index.
          special_tokens, pair_separators: see `Tokenizer`.
          normalization: nfc, cleaning, lowercase: see `PublishedNormalizer`.

        Raises:
          ValueError: no sentencepiece model, a special token is not in `vocab`, an unknown option.
        """
        normalizer = PublishedNormalizer(**normalization)
        model = SentencePieceModel(model)
        template = Template(model.pieces if vocab is None else list(vocab), special_tokens, pair_separators)
        commas = normalizer.cleaning == "xlnet"
        return cls.from_parts(normalizer, PublishedSentencePiece(model, template.ids, vocab, commas), template)

    @classmethod
    def load(cls, folder: str | Path) -> "Tokenizer":
        """Reads what `save` wrote: tokenizer_config.json, and vocab.txt or sentencepiece.model.

        Raises:
          FileNotFoundError: one of them is missing.
          ValueError: the configuration is not JSON, or has an unknown key or a wrong value.
        """
        path = Path(folder) / tokenizer_config.NAME
        kind, options = tokenizer_config.read(path)
        vocab = path.with_name(WordPiece.file_name if kind == "wordpiece" else SentencePiece.file_name)
        if not vocab.is_file():
            raise FileNotFoundError(f"{vocab}: no such file; expected a folder written by Tokenizer.save")
        try:
            if kind == "published":
                tokenizer = cls.from_published(vocab.read_bytes(), **options)
            else:
                tokenizer = cls(vocab, **options)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        if tokenizer.type != kind:
            raise ValueError(f"{path}: type is {kind!r}, but {vocab.name} holds {tokenizer.type!r}; expected the same")
        return tokenizer

    def save(self, folder: str | Path) -> None:
        """Writes tokenizer_config.json and vocab.txt (WordPiece) or sentencepiece.model into `folder`."""
        folder = Path(folder)
        with new_file(folder / self.engine.file_name) as path:
            path.write_bytes(self.vocab_file)
        write_json(folder / tokenizer_config.NAME, self.config)

    # === Properties ===

    @property
    def type(self) -> str:
        """ "wordpiece", "bpe", "unigram", or "published": a published sentencepiece model."""
        return self.engine.type

    @property
    def vocab(self) -> list[str]:
        """The entries; the id of an entry is its index."""
        return self.engine.vocab

    @property
    def vocab_size(self) -> int:
        return len(self.engine.vocab)

    @property
    def user_symbols(self) -> tuple[str, ...]:
        """Entries that are one piece wherever they occur in a text."""
        return self.engine.user_symbols

    @property
    def max_word_chars(self) -> int | None:
        """WordPiece: a word of more characters is [UNK]."""
        return self.engine.max_word_chars

    @property
    def special_tokens(self) -> dict[str, str]:
        """{"pad": "[PAD]", ...} of the roles that there are."""
        return dict(self.template.special_tokens)

    @property
    def pair_separators(self) -> int:
        """The number of [SEP] between the texts of a pair."""
        return self.template.pair_separators

    @property
    def pad_id(self) -> int | None:
        return self.template.ids.get("pad")

    @property
    def unk_id(self) -> int | None:
        return self.template.ids.get("unk")

    @property
    def cls_id(self) -> int | None:
        return self.template.ids.get("cls")

    @property
    def sep_id(self) -> int | None:
        return self.template.ids.get("sep")

    @property
    def mask_id(self) -> int | None:
        return self.template.ids.get("mask")

    @property
    def vocab_file(self) -> bytes:
        """What vocab.txt or sentencepiece.model holds."""
        return self.engine.file

    @property
    def config(self) -> dict:
        """What tokenizer_config.json holds."""
        return tokenizer_config.of(self.normalizer, self.engine, self.template)

    @property
    def continuations(self) -> np.ndarray:
        """bool [V]: True for entries that continue a word; a whole word is a piece and the continuations after it.

        WordPiece: those with ##. BPE and Unigram: those without ▁, apart from special tokens.
        """
        return self.engine.continuations

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256, in hexadecimal, of all that decides ids: the configuration and the vocabulary.

        The morpheme analyser decides ids too, but its version is not part of the fingerprint.
        """
        config = json.dumps(self.config, sort_keys=True).encode("utf-8")
        return hashlib.sha256(config + b"\n" + self.vocab_file).hexdigest()

    # === Texts to ids ===

    def pre_split(self, texts: Sequence[str]) -> list[str]:
        """The texts with U+200B between the morphemes of an eojeol, for a GraphTokenizer with pre_split=True.

        Raises:
          ValueError: this tokenizer doesn't split morphemes.
        """
        if self.normalizer.morphemes is None:
            raise ValueError("morphemes is None; expected a tokenizer that splits them: give the texts as they are")
        texts = [re.sub("[\ud800-\udfff]", "\ufffd", text) for text in checked_texts(texts)]
        return [self.normalizer.rewrite(text) for text in texts]

    def tokenize(self, text: str) -> list[str]:
        """The vocabulary entries of one text."""
        return [self.vocab[i] for i in self.ids([text]).values]

    def ids(self, texts: Sequence[str], dropout: float = 0.0, seed: int | Sequence[int] = 0) -> Ragged:
        """The ids of each text, without [CLS] and [SEP].

        Args:
          texts: sequence of str.
          dropout: subword regularization, for training. WordPiece: the probability that an entry of two or more
            characters is skipped where it would be the longest match, MaxMatch-Dropout (Hiraoka 2022). BPE: that a
            merge is skipped, BPE-dropout (Provilkov et al. 2020). Unigram: that the segmentation of a text is sampled,
            smoothed by 0.2 (Kudo 2018).
          seed: of the dropout; an int, or a list of them.

        Returns:
          Ragged with a row for each text.
        """
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; expected a probability, from 0 to less than 1")
        return self._rows(texts, dropout, seed)[0]

    def ids_and_eojeols(self, texts: Sequence[str]) -> tuple[Ragged, np.ndarray]:
        """The ids of each text as in `ids`, and where eojeols (separated by white space) begin.

        Returns:
          Ragged with a row for each text.
          bool [N]: True for the first piece of an eojeol, for each of the Ragged's values.
        """
        return self._rows(texts)

    def _rows(self, texts, dropout=0.0, seed=0):
        random = np.random.default_rng(seed)
        values, lengths, firsts = [np.zeros(0, np.int32)], [np.zeros(1, np.int64)], [np.zeros(0, bool)]
        for block in blocks(checked_texts(texts)):
            codes, kinds, starts = self.normalizer.characters(block)
            for found, rows in zip((values, lengths, firsts), self.engine.rows(codes, kinds, starts, dropout, random)):
                found.append(rows)
        return Ragged(np.concatenate(values), np.cumsum(np.concatenate(lengths))), np.concatenate(firsts)

    def offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The ids of one text, and the offsets of each piece in it.

        Returns:
          ids: list of int, the row of `ids([text])`.
          spans: list of (start, end): text[start:end] is what the piece was made of, in characters of `text` itself,
            whatever normalisation composes, removes or shortens.
        """
        codes, kinds, origin = self.normalizer.characters_with_spans(*checked_texts([text]))
        ids, begin, end = self.engine.offsets(codes, kinds)
        inside = [origin[start:stop] for start, stop in zip(begin, end, strict=True)]  # NFC may have reordered marks
        return ids.tolist(), [(int(span[:, 0].min()), int(span[:, 1].max())) for span in inside]

    def all_offsets(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """[offsets(text), ...] of many texts; with WordPiece in a fraction of the time."""
        texts = checked_texts(texts)
        if not self.engine.joins_texts or not texts:
            return [self.offsets(text) for text in texts]
        unmoved = self.normalizer.unmoved(texts)
        together = iter(self._unmoved_offsets([text for text, stays in zip(texts, unmoved) if stays]))
        return [next(together) if stays else self.offsets(text) for text, stays in zip(texts, unmoved)]

    def _unmoved_offsets(self, texts):
        for block in blocks(texts):
            codes, kinds, starts = self.normalizer.characters(block)
            ids, begin, end = self.engine.offsets(codes, kinds)
            row = np.searchsorted(starts, begin, "right") - 1
            spans = list(zip((begin - starts[row]).tolist(), (end - starts[row]).tolist(), strict=True))
            ends = np.searchsorted(row, np.arange(len(block)), "right").tolist()
            for first, last in itertools.pairwise([0, *ends]):
                yield ids[first:last].tolist(), spans[first:last]

    # === Rows of a model's input, and back ===

    def pack(self, first: Ragged, second: Ragged | None = None, max_length: int = 128) -> tuple[Ragged, Ragged]:
        """[CLS] first [SEP], or [CLS] first [SEP] second [SEP], truncated to `max_length`.

        The longer of a pair loses its last id until both fit, the second where they are equal, as in google-research's
        BERT.

        Args:
          first, second: Ragged ids with the same number of rows; second may be None.

        Returns:
          Ragged ids, Ragged segment ids: 0 up to the first [SEP], 1 after it.
        """
        return self.template.pack(first, second, max_length)

    def __call__(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        max_length: int = 128,
        pad_to: int | None = None,
    ) -> dict[str, np.ndarray]:
        """The inputs of a model.

        Args:
          texts: sequence of str.
          pairs: None, or the second text of each.
          max_length: longer rows are truncated, see `pack`.
          pad_to: the length that rows are padded to; None: that of the longest row.

        Returns:
          dict of int32 [B, S]: input_word_ids, input_mask (1 for an id, 0 for padding), segment_ids.
        """
        ids, segments = self.pack(self.ids(texts), None if pairs is None else self.ids(pairs), max_length)
        return self.template.pad(ids, segments, pad_to)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids: a blank before each piece without ## or with ▁; [CLS], [SEP] and [PAD] are left out.

        Raises:
          ValueError: an id outside the vocabulary.
        """
        ids = [int(i) for i in ids]
        if outside := [i for i in ids if not 0 <= i < self.vocab_size]:
            raise ValueError(f"id {outside[0]}; expected 0 to {self.vocab_size - 1}, the vocabulary's")
        hidden = (self.pad_id, self.cls_id, self.sep_id)
        text = self.engine.join([self.vocab[i] for i in ids if i not in hidden])
        return composed(text) if self.normalizer.alphabet == "jamo" else text


def blocks(texts: list[str]) -> Iterator[list[str]]:
    """Splits texts into blocks of about BLOCK characters."""
    ends = np.cumsum([len(text) + 1 for text in texts])
    start = 0
    while start < len(texts):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + BLOCK, "right")))
        yield texts[start:stop]
        start = stop


def checked_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list; TypeError for a single str, or where an item is not a str."""
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"texts is one {type(texts).__name__}; expected a list of str: write [text]")
    texts = list(texts)
    if not set(map(type, texts)) <= {str}:
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"text {i} is {text!r}, a {type(text).__name__}; expected str")
    return texts
