"""Published sentencepiece models that normalise by themselves, with ids of their own table: XLM-R, KoBERT, ALBERT."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np

from tfkor.text.engines.engine import Engine
from tfkor.text.engines.sentencepiece import MARK, SentencePieceModel, flat, joined
from tfkor.text.normalization import to_text


class PublishedSentencePiece(Engine):
    """The sentencepiece model of a published checkpoint, with the normalisation that the model file holds.

    Args:
      model: the model.
      special_ids: {role: id} of the special tokens in `vocab`; pieces that are not in `vocab` get the id of "unk".
      vocab: list of str, the piece of each id; None: those of the model. The id of a piece is its index.
      splits_commas: whether a comma behind a digit is a piece of its own, as XLNetTokenizer of Hugging Face has it.
      source: names the model in errors.
    """

    type = "published"
    file_name = "sentencepiece.model"

    def __init__(
        self,
        model: SentencePieceModel,
        special_ids: dict[str, int],
        vocab: Sequence[str] | None = None,
        splits_commas: bool = False,
        source: object = "model",
    ):
        self.model = model
        self.own_vocab = vocab is not None
        self.vocab = list(vocab) if self.own_vocab else self.model.pieces
        self.special_ids, self.splits_commas = special_ids, splits_commas
        if "unk" not in special_ids:
            raise ValueError(f"{source}: special_tokens has no unk; expected one, since any text may need it")
        ids = {piece: i for i, piece in enumerate(self.vocab)}
        self.id_of = np.array([ids.get(piece, special_ids["unk"]) for piece in self.model.pieces], np.int32)

    @property
    def file(self) -> bytes:
        return self.model.proto

    @property
    def config(self) -> dict:
        return {"vocab": self.vocab} if self.own_vocab else {}

    @cached_property
    def continuations(self) -> np.ndarray:
        begins = np.array([piece.startswith(MARK) for piece in self.vocab])
        begins[list(self.special_ids.values())] = True
        return ~begins

    def join(self, pieces: list[str]) -> str:
        return joined(pieces)

    def rows(
        self,
        codes: np.ndarray,
        kinds: np.ndarray,
        starts: np.ndarray,
        dropout: float = 0.0,
        random: np.random.Generator | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Engine`."""
        text = to_text(codes)
        rows = self.model.encode([text[start : end - 1] for start, end in pairwise(starts)], dropout, random)
        ids, lengths = flat([self.after_commas(row) for row in rows] if self.splits_commas else rows)
        return self.id_of[ids], lengths, self.model.begins[ids]

    def after_commas(self, row: list[int]) -> list[int]:
        """The pieces of a row, with a comma behind a digit split off, as XLNetTokenizer does."""
        processor, out = self.model.processor, []
        for i in row:
            piece = processor.IdToPiece(i)
            if not (len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()):
                out.append(i)
                continue
            parts = processor.Encode(piece[:-1].replace(MARK, ""), out_type=str)
            if not piece.startswith(MARK) and parts[0].startswith(MARK):
                parts = parts[1:] if len(parts[0]) == 1 else [parts[0][1:], *parts[1:]]
            out += [processor.PieceToId(part) for part in [*parts, ","]]
        return out

    def offsets(self, codes: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Engine`. Blanks before a piece are not part of it; a ▁ alone spans the blank before it."""
        text, ids, begins, ends = to_text(codes)[:-1], [], [], []
        for i, begin, end in self.pieces_in(text):
            while begin < end - 1 and text[begin].isspace():
                begin += 1
            if end == begin:  # a ▁ alone
                begin = max(begin - 1, 0)
                end = begin + 1
            ids.append(self.id_of[i])
            begins.append(begin)
            ends.append(end)
        return np.array(ids, np.int32), np.array(begins, np.int64), np.array(ends, np.int64)

    def pieces_in(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Yields (the model's id, begin, end) of each piece, in characters of a text."""
        from sentencepiece import sentencepiece_pb2

        found = sentencepiece_pb2.SentencePieceText()
        found.ParseFromString(serialized(self.model.processor, text))
        lengths = np.array([len(char.encode("utf-8")) for char in text] or [0])
        character = {int(end): i for i, end in enumerate(np.append(0, np.cumsum(lengths)))}  # of a byte offset
        for piece in found.pieces:
            begin, end = character[piece.begin], character[piece.end]
            parts = self.after_commas([piece.id]) if self.splits_commas else [piece.id]
            for part in parts[:-1]:
                stop = begin + len(self.model.processor.IdToPiece(part).replace(MARK, ""))
                yield part, begin, stop
                begin = stop
            yield parts[-1], begin, end


def serialized(processor, text: str) -> bytes:
    """A SentencePieceText; sentencepiece 0.2.3 renamed the argument of 0.2.0."""
    try:
        return processor.Encode(text, return_type="serialized_proto")
    except TypeError:
        return processor.Encode(text, out_type="serialized_proto")
