"""train_sentencepiece: a BPE or Unigram model from text, the same one each time."""

import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from tfkor.text.engines.sentencepiece import MARK
from tfkor.text.morphemes import BOUNDARY
from tfkor.text.normalization import SPACE, Normalizer, to_text, with_boundaries
from tfkor.text.ragged import spans
from tfkor.text.training.corpus import ASCII, Corpus, checked_symbols, training_tokens
from tfkor.text.vocabulary import reserved

SENTENCE = 1_000  # characters that the trainer gets as one
STEPS = 256  # of Unigram's scores between two whole numbers
THREADS = 16  # of Unigram; another number would give slightly other scores


def train_sentencepiece(
    texts: Iterable[str],
    vocab_size: int,
    kind: str = "unigram",
    *,
    max_word_chars: int = 100,
    alphabet_limit: int | None = None,
    required_characters: str = ASCII,
    special_tokens: Mapping[str, str] | None = None,
    unused_slots: int = 0,
    user_symbols: Sequence[str] = (),
    max_characters: int = 50_000_000,
    show_progress: bool = False,
    **normalization,
) -> bytes:
    """Learns a BPE (Sennrich et al. 2016) or Unigram (Kudo 2018) model with the trainer of sentencepiece.

    `texts` is read twice, as a stream, but that trainer holds in memory what it learns from: of longer texts a part of
    about `max_characters`, portions of 1,000 characters sampled evenly with a fixed seed (as `input_sentence_size`
    does in sentencepiece, where rare characters may get lost). The same texts give the same model. Pieces never reach
    across white space. Scores of Unigram are rounded to multiples of 1/256, see `_finished`.

    Args:
      texts: list of str, or `Lines(files)`; anything that can be iterated over twice.
      vocab_size: the number of pieces; fewer, if the texts don't give so many.
      kind: "bpe" or "unigram".
      max_word_chars: longer eojeols are left out.
      alphabet_limit: how many different characters, the most frequent ones; None: a quarter of `vocab_size`. Eojeols
        with others are left out; those characters will be [UNK].
      required_characters: are in the alphabet in any case; for all Hangul syllables add
        `"".join(map(chr, range(0xAC00, 0xD7A4)))`, which takes 11,172 pieces.
      special_tokens: come first, in this order: a dict of roles and tokens, as for the Tokenizer that will use it;
        None: [PAD] [UNK] [CLS] [SEP] [MASK].
      unused_slots: how many pieces [unused0], [unused1] ... follow.
      user_symbols: come next; each is one piece wherever it occurs in a text.
      max_characters: the most that the trainer learns from; four million took 50 bytes of memory for each.
      normalization: lowercase, nfc ..., see `Normalizer`; the same as for the Tokenizer that will use it.

    Returns:
      bytes, a serialized model for `Tokenizer(model, **normalization)`.

    Raises:
      ValueError: no words in the texts, a vocab_size too small for the alphabet, or no unk among the special tokens.
    """
    if kind not in ("bpe", "unigram"):
        raise ValueError(f"kind is {kind!r}; expected bpe or unigram")
    normalizer = Normalizer(**normalization)
    symbols = checked_symbols(user_symbols, normalizer)
    special = training_tokens(special_tokens, normalizer)
    if "unk" not in special:
        raise ValueError("special_tokens has no unk; expected one, since sentencepiece has no model without")
    tokens = list(dict.fromkeys(special.values()))
    first = reserved(tokens, unused_slots, [*symbols, *[BOUNDARY] * (normalizer.morphemes is not None)])
    corpus = Corpus(texts, normalizer, symbols)
    limit = vocab_size // 4 if alphabet_limit is None else alphabet_limit
    alphabet = sorted({*corpus.alphabet(limit, required_characters), MARK})
    if (needed := len(first) + len(alphabet)) >= vocab_size:
        raise ValueError(
            f"vocab_size is {vocab_size}, but special tokens ({len(first)}) and characters ({len(alphabet)}) need "
            f"{needed}; expected more, or a smaller alphabet_limit"
        )
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=_sentences(corpus, alphabet, max_word_chars, max_characters),
        model_writer=model,
        model_type=kind,
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        normalization_rule_name="identity",
        character_coverage=1.0,
        required_chars="".join(alphabet),
        max_sentencepiece_length=16 if normalizer.alphabet == "syllable" else 40,
        max_sentence_length=100 * SENTENCE,
        num_threads=THREADS,
        **_special_pieces(special, first[: len(tokens) + unused_slots]),
        user_defined_symbols=first[len(tokens) + unused_slots :],
        minloglevel=0 if show_progress else 2,
    )
    return _finished(model.getvalue(), kind)


def _special_pieces(special, control):
    """The trainer's options for special tokens, whose ids are their positions in `control`; unused slots follow.

    The trainer knows four roles, and fills the ids between theirs with other control symbols in the order given.
    """
    options, taken = {}, {}
    for name, role in (("unk", "unk"), ("pad", "pad"), ("bos", "cls"), ("eos", "sep")):
        token = special.get(role)
        free = token is not None and token not in taken  # one token may have two roles, but one piece
        options[f"{name}_id"] = control.index(token) if free else -1
        if free:
            options[f"{name}_piece"] = taken[token] = token
    return {**options, "control_symbols": [token for token in control if token not in taken]}


def _finished(proto, kind):
    """The model with scores that add up exactly in float32, and with BOUNDARY as a piece like others.

    Segmentations such as ".." "." and "." ".." have the same score. Rounding decided between them: ids depended on the
    words before, on the release of sentencepiece and on who adds up, the package or tensorflow_text.
    """
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(proto)
    for piece in model.pieces:
        if piece.piece == BOUNDARY and piece.type == piece.USER_DEFINED:  # whose score would not be rounded
            piece.type, piece.score = piece.NORMAL, 0.0
        elif kind == "unigram":
            piece.score = round(piece.score * STEPS) / STEPS
    return model.SerializeToString(deterministic=True)


def _sentences(corpus, alphabet, max_word_chars, max_characters):
    """Yields eojeols with a blank between, SENTENCE characters or a few more at a time; first each character once."""
    rate, random = max_characters / max(1, corpus.characters), np.random.default_rng(0)
    for start in range(0, len(alphabet), SENTENCE):
        yield " ".join(alphabet[start : start + SENTENCE])
    portion, size = [], 0  # these don't depend on where a text ends, and neither does what is learned
    known = np.zeros(0x110000, bool)
    known[[ord(char) for char in (*alphabet, BOUNDARY)]] = True
    for codes, kinds in corpus:
        codes = np.where((kinds == SPACE) | (codes == ord(MARK)), ord(" "), codes).astype(np.uint32)
        codes, _ = with_boundaries(codes, kinds)
        inside = np.append(False, codes != ord(" "))
        edges = np.flatnonzero(np.diff(inside))  # a block ends with white space
        begin, end = edges[::2], edges[1::2]
        strange = np.append(0, np.cumsum(~known[codes]))
        good = (strange[end] == strange[begin]) & (end - begin <= max_word_chars)
        begin, lengths = begin[good], (end - begin)[good]
        stops = np.cumsum(lengths + 1)
        out = np.full(stops[-1] if len(stops) else 0, ord(" "), np.uint32)
        out[spans(stops - lengths - 1, lengths)] = codes[spans(begin, lengths)]
        for eojeol in filter(None, to_text(out).split(" ")):
            portion.append(eojeol)
            size += len(eojeol)
            if size >= SENTENCE:
                if random.random() < rate:
                    yield " ".join(portion)
                portion, size = [], 0
    if portion:
        yield " ".join(portion)
