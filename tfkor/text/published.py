"""Tokenizers of published checkpoints whose sentencepiece model normalises by itself: KoBERT, XLM-R."""

import hashlib
import json
import unicodedata
from functools import cached_property
from pathlib import Path

import numpy as np

from tfkor.files import new_file, write_json
from tfkor.text.normalization import Normalizer
from tfkor.text.sentencepiece import KINDS, MARK, SentencePiece
from tfkor.text.tokenizer import Ragged, Tokenizer, checked_texts

ROLES = ("pad", "unk", "cls", "sep", "mask")
CLEANINGS = (None, "xlnet")
NFC = Normalizer(clean_text=False)
MODEL, CONFIG = "sentencepiece.model", "tokenizer_config.json"


class PublishedTokenizer(Tokenizer):
    """The sentencepiece model of a published checkpoint, with the normalisation that is inside of it.

    What `Tokenizer` can do this can too, apart from morphemes and jamo.

    Args:
      model: bytes, a serialized sentencepiece model, Unigram or BPE.
      vocab: list of str, the piece of each id; None: those of the model. The id of a piece is its place here.
      special: dict of the strings of "pad", "unk", "cls", "sep" and "mask", which are in `vocab`.
      cleaning: what is done before the model: None, or "xlnet" for what XLNetTokenizer of Hugging Face does, and
        KoBERT's with it: white space and quotes made uniform, NFKD without accents, commas after digits split off.
      nfc: NFC in front of all that; the published tokenizers have none.
      lowercase: of the cleaning "xlnet": folds case after NFKD.
      pair_separators: how many [SEP] stand between the texts of a pair: 1, or 2 as in RoBERTa.

    Raises:
      ValueError: no sentencepiece model, a special token or most pieces are not in `vocab`, an unknown option.
    """

    type = "published"
    user_symbols = ()
    max_word_chars = None

    def __init__(self, model, vocab=None, special=None, cleaning=None, nfc=False, pair_separators=1, lowercase=False):
        if cleaning not in CLEANINGS:
            raise ValueError(f"cleaning is {cleaning!r}; expected None or 'xlnet'")
        if pair_separators not in (1, 2):
            raise ValueError(f"pair_separators is {pair_separators!r}; expected 1 or 2")
        if lowercase and cleaning is None:
            raise ValueError("lowercase is True; expected cleaning='xlnet' with it, or False")
        self.model, self.cleaning, self.pair_separators = model, cleaning, pair_separators
        self.normalizer = Normalizer(nfc=nfc, clean_text=False, lowercase=lowercase)
        pieces, kind = read_pieces(model)
        self.own_vocab = vocab is not None
        self.vocab = list(vocab) if self.own_vocab else pieces
        self.vocab_size = len(self.vocab)
        self.special = special or {role: f"[{role.upper()}]" for role in ROLES}
        if missing := [role for role in ROLES if self.special.get(role) not in self.vocab]:
            raise ValueError(f"vocab: no {missing[0]} token, {self.special.get(missing[0])!r}; expected it there")
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (
            self.vocab.index(self.special[role]) for role in ROLES
        )
        place = {piece: i for i, piece in enumerate(self.vocab)}
        self.id_of = np.array([place.get(piece, self.unk_id) for piece in pieces], np.int32)  # of the model's pieces
        self._model = SentencePiece(model, pieces, kind)

    @classmethod
    def load_with(cls, path, config):
        """Reads what `save` wrote; `config` is what `path`, tokenizer_config.json, holds."""
        known = ("type", "special", "cleaning", "nfc", "lowercase", "pair_separators", "vocab")
        if unknown := sorted(set(config) - set(known)):
            raise ValueError(f"{path}: found unknown key {', '.join(unknown)}; expected {', '.join(known)}")
        model = path.with_name(MODEL)
        if not model.is_file():
            raise FileNotFoundError(f"{model}: no such file; expected a folder written by Tokenizer.save")
        try:
            return cls(model.read_bytes(), **{name: value for name, value in config.items() if name != "type"})
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @property
    def vocab_file(self):
        return self.model

    @cached_property
    def continuations(self):
        begins = np.array([piece.startswith(MARK) for piece in self.vocab])
        begins[[self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id]] = True
        return ~begins

    @property
    def config(self):
        config = {
            "type": self.type,
            "special": self.special,
            "cleaning": self.cleaning,
            "nfc": self.normalizer.nfc,
            "lowercase": self.normalizer.lowercase,
            "pair_separators": self.pair_separators,
        }
        return {**config, "vocab": self.vocab} if self.own_vocab else config

    @cached_property
    def fingerprint(self):
        config = json.dumps(self.config, sort_keys=True).encode("utf-8")
        return hashlib.sha256(config + b"\n" + self.model).hexdigest()

    def save(self, folder):
        """Writes tokenizer_config.json and sentencepiece.model into `folder`."""
        folder = Path(folder)
        with new_file(folder / MODEL) as path:
            path.write_bytes(self.model)
        write_json(folder / CONFIG, self.config)

    def _rows(self, texts, dropout=0.0, seed=0):
        texts = [self.cleaned(text)[0] for text in checked_texts(texts)]
        if dropout:
            rows = self._model.drawn(texts, dropout, np.random.default_rng(seed))
        else:
            rows = self._model.processor.Encode(texts)
        rows = [self.after_commas(row) for row in rows] if self.cleaning else rows
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        ids = np.fromiter((i for row in rows for i in row), np.int64, int(lengths.sum()))
        return Ragged(self.id_of[ids], np.append(0, np.cumsum(lengths))), self._model.begins[ids]

    def cleaned(self, text):
        """The text that the model gets, and for each of its characters the (begin, end) in `text` that it came from."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        if self.normalizer.nfc:
            codes, _, origin = NFC.characters_with_spans(text)
            characters = [(chr(code), tuple(map(int, span))) for code, span in zip(codes[:-1], origin)]
        else:
            characters = [(char, (i, i + 1)) for i, char in enumerate(text)]
        if self.cleaning == "xlnet":
            characters = list(as_xlnet(characters, self.normalizer.lowercase))
        return "".join(char for char, _ in characters), [place for _, place in characters]

    def after_commas(self, row):
        """The pieces of a row, with a comma behind a digit split off, as XLNetTokenizer does."""
        processor, out = self._model.processor, []
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

    def offsets(self, text):
        """See `Tokenizer.offsets`."""
        clean, places = self.cleaned(text)
        rows, spans = [], []
        for i, begin, end in self.pieces_in(clean):
            rows.append(int(self.id_of[i]))
            while begin < end - 1 and clean[begin].isspace():
                begin += 1
            first, last = (begin, end - 1) if end > begin else (max(begin - 1, 0),) * 2  # a ▁ alone: the blank before
            inside = places[first : last + 1]  # NFC may have reordered marks
            spans.append((min(start for start, _ in inside), max(stop for _, stop in inside)))
        return rows, spans

    def pieces_in(self, text):
        """Yields (the model's id, begin, end) of each piece, in characters of a cleaned text."""
        from sentencepiece import sentencepiece_pb2

        found = sentencepiece_pb2.SentencePieceText()
        found.ParseFromString(serialized(self._model.processor, text))
        lengths = np.array([len(char.encode("utf-8")) for char in text] or [0])
        place = {int(end): i for i, end in enumerate(np.append(0, np.cumsum(lengths)))}  # byte -> character
        for piece in found.pieces:
            begin, end = place[piece.begin], place[piece.end]
            parts = self.after_commas([piece.id]) if self.cleaning else [piece.id]
            for part in parts[:-1]:
                stop = begin + len(self._model.processor.IdToPiece(part).replace(MARK, ""))
                yield part, begin, stop
                begin = stop
            yield parts[-1], begin, end

    def decode(self, ids):
        """See `Tokenizer.decode`."""
        ids = [int(i) for i in ids]
        if outside := [i for i in ids if not 0 <= i < self.vocab_size]:
            raise ValueError(f"id {outside[0]}; expected 0 to {self.vocab_size - 1}, the vocabulary's")
        pieces = [self.vocab[i] for i in ids if i not in (self.pad_id, self.cls_id, self.sep_id)]
        return "".join(pieces).replace(MARK, " ").removeprefix(" ")


def serialized(processor, text):
    """bytes, a SentencePieceText; sentencepiece 0.2.3 has another name for what 0.2.0 can."""
    try:
        return processor.Encode(text, return_type="serialized_proto")
    except TypeError:
        return processor.Encode(text, out_type="serialized_proto")


def read_pieces(model):
    """The pieces of a serialized sentencepiece model, list of str, and its kind."""
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    found = sentencepiece_model_pb2.ModelProto()
    try:
        found.ParseFromString(model)
    except DecodeError as error:
        raise ValueError(f"not a sentencepiece model ({error})") from error
    if found.trainer_spec.model_type not in KINDS:
        raise ValueError(f"a sentencepiece model of type {found.trainer_spec.model_type}; expected BPE or Unigram")
    return [piece.piece for piece in found.pieces], KINDS[found.trainer_spec.model_type]


def as_xlnet(characters, lowercase):
    """(character, place) pairs -> those that XLNetTokenizer's preprocess_text leaves."""
    words, blank = [], None
    for char, place in characters:
        if char.isspace():
            blank = place
            continue
        if blank and words:
            words.append((" ", blank))
        blank = None
        words.append((char, place))
    i = 0
    while i < len(words):
        char, place = words[i]
        if char in "`'" and i + 1 < len(words) and words[i + 1][0] == char:
            yield '"', (place[0], words[i + 1][1][1])
            i += 2
            continue
        for part in unicodedata.normalize("NFKD", char):
            if not unicodedata.combining(part):
                yield from ((each, place) for each in (part.lower() if lowercase else part))
        i += 1
