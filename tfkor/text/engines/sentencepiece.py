"""BPE and Unigram: models of the library sentencepiece, and the engine for those that tfkor trained."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from tfkor.text.engines.engine import Engine, find_symbols
from tfkor.text.engines.subword_dropout import ALPHA, Drawer
from tfkor.text.morphemes import BOUNDARY
from tfkor.text.normalization import CUT, SPACE, Normalizer, to_text, with_boundaries
from tfkor.text.ragged import spans

MARK = "\u2581"  # ▁ begins an eojeol
KINDS = {1: "unigram", 2: "bpe"}  # sentencepiece's TrainerSpec.ModelType


class SentencePieceModel:
    """A serialized sentencepiece model: its pieces, and the package's processor for it.

    Attributes:
      kind: "bpe" or "unigram".
      pieces: list of str, in the order of their ids; begins: bool [V], those that begin an eojeol.
      control: bool [V], those that no text can hold; user_symbols: pieces that match wherever they occur in a text.
      unk_id: the piece for what the model doesn't know.
      normalizes: the name of the rules by which the model normalises texts itself, "" if it doesn't.

    Raises:
      ValueError: not a sentencepiece model, or one that is neither BPE nor Unigram; `source` names it.
    """

    def __init__(self, proto: bytes, source: object = "model"):
        from google.protobuf.message import DecodeError
        from sentencepiece import sentencepiece_model_pb2

        model = sentencepiece_model_pb2.ModelProto()
        try:
            model.ParseFromString(proto)
        except DecodeError as error:
            raise ValueError(f"{source}: not a sentencepiece model ({error})") from error
        if model.trainer_spec.model_type not in KINDS:
            kind = model.trainer_spec.model_type
            raise ValueError(f"{source}: a sentencepiece model of type {kind}; expected BPE or Unigram")
        self.proto, self.kind = proto, KINDS[model.trainer_spec.model_type]
        self.pieces = [piece.piece for piece in model.pieces]
        self.begins = np.array([piece.startswith(MARK) for piece in self.pieces])
        self.control = np.array([piece.type == piece.CONTROL for piece in model.pieces])
        self.user_symbols = tuple(piece.piece for piece in model.pieces if piece.type == piece.USER_DEFINED)
        self.unk_id = next((i for i, piece in enumerate(model.pieces) if piece.type == piece.UNKNOWN), -1)
        steps = model.normalizer_spec
        own = steps.precompiled_charsmap or not steps.add_dummy_prefix or not steps.escape_whitespaces
        self.normalizes = (steps.name or "its trainer") if own else ""

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name not in ("processor", "drawer")}

    @cached_property
    def processor(self):
        from sentencepiece import SentencePieceProcessor

        processor = SentencePieceProcessor(num_threads=1)
        processor.LoadFromSerializedProto(self.proto)
        return processor

    @cached_property
    def drawer(self) -> Drawer:
        return Drawer(self.processor, self.kind)

    def encode(
        self, texts: list[str], dropout: float = 0.0, random: np.random.Generator | None = None
    ) -> list[list[int]]:
        """Texts -> lists of ids, sampled with `random` if there is `dropout`, see `Tokenizer.ids`."""
        if dropout and self.kind == "bpe":
            return [self.drawer.draw(text, dropout, random) for text in texts]
        rows = self.processor.Encode(texts)
        if dropout:
            for i in np.flatnonzero(random.random(len(texts)) < dropout):
                rows[i] = self.drawer.draw(texts[i], ALPHA, random)
        return rows


def plain_model(proto: bytes, source: object = "model") -> SentencePieceModel:
    """The model, if it leaves normalisation to tfkor; else ValueError."""
    model = SentencePieceModel(proto, source)
    if model.normalizes:
        raise ValueError(
            f"{source}: it normalises by the rules of {model.normalizes}; expected one that was trained "
            "with normalization_rule_name=identity, as train_sentencepiece does, since tfkor normalises before it"
        )
    return model


def joined(pieces: list[str]) -> str:
    """The text of pieces, a blank for each ▁ but the first."""
    return "".join(pieces).replace(MARK, " ").removeprefix(" ")


def flat(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Lists of ids -> ids int32 [P], and the length of each list int64 [B]."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return np.fromiter((i for row in rows for i in row), np.int32, int(lengths.sum())), lengths


class SentencePiece(Engine):
    """A model without normalisation of its own, as `train_sentencepiece` makes it, for text that tfkor has normalised.

    To the model, a morpheme boundary inside an eojeol is a piece of its own, BOUNDARY, so that no other piece can reach
    across it; that piece is removed from the ids.

    Args:
      model: of `plain_model`.
      normalizer: the Normalizer that the texts come from.
      special_ids: {role: id} of the special tokens; "unk" is what the model gives for what it doesn't know.
      source: names the model in errors.

    Raises:
      ValueError: a model that gives another piece for what it doesn't know, or has no piece for morpheme boundaries
        where there are some.
    """

    file_name = "sentencepiece.model"

    def __init__(
        self, model: SentencePieceModel, normalizer: Normalizer, special_ids: dict[str, int], source: object = "model"
    ):
        if special_ids.get("unk") != model.unk_id:
            raise ValueError(
                f"{source}: special_tokens does not name {model.pieces[model.unk_id]!r} as unk; expected it, since the "
                "model gives it for what it does not know"
            )
        self.model = model
        self.type, self.vocab, self.user_symbols = model.kind, model.pieces, model.user_symbols
        self.symbol_ids = {symbol: self.vocab.index(symbol) for symbol in self.user_symbols}
        split = normalizer.morphemes is not None
        if split and BOUNDARY not in self.vocab:
            raise ValueError(f"{source}: no piece U+200B; expected it with morphemes: train it with them too")
        self.boundary_id = self.vocab.index(BOUNDARY) if split else -1

    @property
    def file(self) -> bytes:
        return self.model.proto

    @property
    def continuations(self) -> np.ndarray:
        return ~self.model.begins & ~self.model.control

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
        texts, _ = self.texts(codes, kinds, starts)
        ids, lengths = flat(self.model.encode(texts, dropout, random))
        if self.boundary_id >= 0:
            kept = ids != self.boundary_id
            ends = np.append(0, np.cumsum(kept))[np.append(0, np.cumsum(lengths))]
            ids, lengths = ids[kept], np.diff(ends)
        return ids, lengths, self.model.begins[ids]

    def offsets(self, codes: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Engine`. A ▁ alone spans the blank before it; at the start of the text, the first character."""
        (text,), positions = self.texts(codes, kinds, np.array([0, len(codes)]))
        origin = np.full(len(text), -1)
        origin[positions[:-1]] = np.arange(len(codes) - 1)
        seen = []  # (position, character) of what the model sees: "▁" before each eojeol, and no blank
        for position, char in enumerate(text):
            if char != " ":
                if not seen or text[position - 1] == " ":
                    seen.append((position - 1 if seen else position, MARK))
                seen.append((position, char))
        processor, ids, begin, stop, end = self.model.processor, [], [], [], 0
        for i, piece in zip(processor.Encode(text), processor.Encode(text, out_type=str), strict=True):
            start, end = end, end + len(piece)
            if i != self.boundary_id:
                inside = [position for position, char in seen[start:end] if char != MARK] or [seen[start][0]]
                ids.append(i)
                begin.append(origin[inside[0]])
                stop.append(origin[inside[-1]] + 1)
        return np.array(ids, np.int32), np.array(begin, np.int64), np.array(stop, np.int64)

    def texts(
        self, codes: np.ndarray, kinds: np.ndarray, starts: Sequence[int]
    ) -> tuple[list[str], np.ndarray]:
        """list of str, what the model gets for each text; int64 [N]: where each character is in all of them joined."""
        codes = np.where((kinds == SPACE) | (codes == ord(MARK)), ord(" "), codes).astype(np.uint32)
        codes[starts[1:] - 1] = ord("\n")
        if self.boundary_id >= 0:
            if self.symbol_ids:
                begin, end, _ = find_symbols(codes, self.symbol_ids)
                kinds = kinds.copy()
                kinds[spans(begin + 1, end - begin - 1)] &= ~np.uint8(CUT)
            codes, positions = with_boundaries(codes, kinds)
        else:
            positions = np.arange(len(codes))
        return to_text(codes)[:-1].split("\n"), positions
