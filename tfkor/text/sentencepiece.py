"""BPE and Unigram: models of the library sentencepiece on text that tfkor has normalised."""

from functools import cached_property

import numpy as np

from tfkor.text.morphemes import BOUNDARY
from tfkor.text.normalization import CUT, SPACE, to_text, with_boundaries
from tfkor.text.subword_dropout import ALPHA, Drawer
from tfkor.text.vocabulary import check_special
from tfkor.text.wordpiece import find_symbols, spans

MARK = "\u2581"  # ▁ begins an eojeol
KINDS = {1: "unigram", 2: "bpe"}  # sentencepiece's TrainerSpec.ModelType


def read_model(proto, source="model"):
    """The pieces of a serialized sentencepiece model (list of str), its kind, and its user symbols (tuple).

    Raises:
      ValueError: not a sentencepiece model, or one that is neither BPE nor Unigram, or one that normalises by itself.
    """
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    try:
        model.ParseFromString(proto)
    except DecodeError as error:
        raise ValueError(f"{source}: not a sentencepiece model ({error})") from error
    kind, steps = model.trainer_spec.model_type, model.normalizer_spec
    if kind not in KINDS:
        raise ValueError(f"{source}: a sentencepiece model of type {kind}; expected BPE or Unigram")
    if steps.precompiled_charsmap or not steps.add_dummy_prefix or not steps.escape_whitespaces:
        raise ValueError(
            f"{source}: it normalises by the rules of {steps.name or 'its trainer'}; expected one that was trained "
            "with normalization_rule_name=identity, as train_sentencepiece does, since tfkor normalises before it"
        )
    check_special([piece.piece for piece in model.pieces], source)
    symbols = tuple(piece.piece for piece in model.pieces if piece.type == piece.USER_DEFINED)
    return [piece.piece for piece in model.pieces], KINDS[kind], symbols


class SentencePiece:
    """The pieces of texts, by the sentencepiece package.

    A morpheme boundary inside an eojeol is a piece of its own to the model, BOUNDARY, so that no other piece can reach
    across it; it is taken out of the ids.

    Args:
      proto: bytes, a serialized sentencepiece model.
      vocab: list of str, its pieces.
      kind: "bpe" or "unigram".
      user_symbols: pieces that stand for themselves wherever they are in a text.
      split: whether the texts have morpheme boundaries.
    """

    def __init__(self, proto, vocab, kind, user_symbols=(), split=False):
        self.proto, self.kind = proto, kind
        self.user_symbols = {symbol: vocab.index(symbol) for symbol in user_symbols}
        self.begins = np.array([piece.startswith(MARK) for piece in vocab])  # an eojeol
        self.boundary_id = vocab.index(BOUNDARY) if split else -1
        control = [self.processor.IsControl(i) for i in range(len(vocab))]
        self.continuations = ~self.begins & ~np.array(control)

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name not in ("processor", "drawer")}

    @cached_property
    def processor(self):
        from sentencepiece import SentencePieceProcessor

        processor = SentencePieceProcessor(num_threads=1)
        processor.LoadFromSerializedProto(self.proto)
        return processor

    @cached_property
    def drawer(self):
        return Drawer(self.processor, self.kind)

    def rows(self, codes, kinds, starts, dropout=0.0, random=None):
        """The pieces of the texts that `Normalizer.characters` gave.

        Returns:
          ids int32 [P], how many each text has int64 [B], and bool [P]: whether a piece begins an eojeol.
        """
        texts, _ = self.texts(codes, kinds, starts)
        rows = self.drawn(texts, dropout, random) if dropout else self.processor.Encode(texts)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        ids = np.fromiter((i for row in rows for i in row), np.int32, int(lengths.sum()))
        if self.boundary_id >= 0:
            kept = ids != self.boundary_id
            ends = np.append(0, np.cumsum(kept))[np.append(0, np.cumsum(lengths))]
            ids, lengths = ids[kept], np.diff(ends)
        return ids, lengths, self.begins[ids]

    def drawn(self, texts, dropout, random):
        """Texts -> lists of ids, drawn with dropout; `random` is a NumPy generator."""
        if self.kind == "bpe":
            return [self.drawer.draw(text, dropout, random) for text in texts]
        rows = self.processor.Encode(texts)
        for i in np.flatnonzero(random.random(len(texts)) < dropout):
            rows[i] = self.drawer.draw(texts[i], ALPHA, random)
        return rows

    def places(self, codes, kinds):
        """ids [P] of one text, and the first character of each piece and the one after its last: int64 [P], int64 [P].

        A ▁ alone stands for the blank before it; at the start of the text, for the first character.
        """
        (text,), places = self.texts(codes, kinds, np.array([0, len(codes)]))
        origin = np.full(len(text), -1)
        origin[places[:-1]] = np.arange(len(codes) - 1)
        seen = []  # (place, character) of what the model sees: "▁" before each eojeol, and no blank
        for place, char in enumerate(text):
            if char != " ":
                if not seen or text[place - 1] == " ":
                    seen.append((place - 1 if seen else place, MARK))
                seen.append((place, char))
        ids, begin, stop, end = [], [], [], 0
        for i, piece in zip(self.processor.Encode(text), self.processor.Encode(text, out_type=str), strict=True):
            start, end = end, end + len(piece)
            if i != self.boundary_id:
                inside = [place for place, char in seen[start:end] if char != MARK] or [seen[start][0]]
                ids.append(i)
                begin.append(origin[inside[0]])
                stop.append(origin[inside[-1]] + 1)
        return np.array(ids, np.int32), np.array(begin, np.int64), np.array(stop, np.int64)

    def texts(self, codes, kinds, starts):
        """list of str, what the model gets of each text; int64 [N]: where the characters are, all texts as one."""
        codes = np.where((kinds == SPACE) | (codes == ord(MARK)), ord(" "), codes).astype(np.uint32)
        codes[starts[1:] - 1] = ord("\n")
        if self.boundary_id >= 0:
            if self.user_symbols:
                begin, end, _ = find_symbols(codes, self.user_symbols)
                kinds = kinds.copy()
                kinds[spans(begin + 1, end - begin - 1)] &= ~np.uint8(CUT)
            codes, places = with_boundaries(codes, kinds)
        else:
            places = np.arange(len(codes))
        return to_text(codes)[:-1].split("\n"), places
