"""train_wordpiece: a WordPiece vocabulary from text, the same one each time."""

from collections.abc import Iterator

import numpy as np
from tokenizers import Tokenizer as Trained
from tokenizers.models import WordPiece as WordPieceModel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.trainers import WordPieceTrainer

from tfkor.text.normalization import ALONE, SPACE, Normalizer
from tfkor.text.tokenizer import SPECIAL_TOKENS, blocks
from tfkor.text.wordpiece import spans, words

ASCII = "".join(map(chr, range(0x21, 0x7F)))
ROWS = 10_000  # texts that are read together


def train_wordpiece(
    texts,
    vocab_size,
    *,
    lowercase=False,
    nfc=True,
    clean_text=True,
    full_width=False,
    max_jamo_repeats=None,
    max_word_chars=100,
    min_frequency=2,
    alphabet_limit=None,
    required_characters=ASCII,
    special_tokens=SPECIAL_TOKENS,
    show_progress=False,
):
    """Learns a WordPiece vocabulary with the trainer of Hugging Face `tokenizers`.

    That trainer numbers the characters in the order of a hash table, so two runs give two vocabularies. Here they are
    counted and numbered first, which makes it repeatable. Words with a character outside the alphabet are left out:
    they will be [UNK]. `texts` is read twice and never held in memory as a whole.

    Args:
      texts: list of str, or `Lines(files)`; anything that can be iterated over twice.
      vocab_size: the number of entries; fewer, if no pair of pieces occurs `min_frequency` times any more.
      lowercase, nfc, clean_text, full_width, max_jamo_repeats, max_word_chars: as for the Tokenizer that will use it.
      min_frequency: a piece must occur this often to become an entry.
      alphabet_limit: how many different characters, the most frequent ones; None: a quarter of `vocab_size`, so that
        characters, each with and without ##, take half of the vocabulary at most.
      required_characters: are in the alphabet in any case; for all Hangul syllables add
        `"".join(map(chr, range(0xAC00, 0xD7A4)))`, which takes 22,344 entries.
      special_tokens: come first, in this order.

    Returns:
      list of str: special tokens, characters, ## characters (each by code point), then pieces, the most frequent first.

    Raises:
      ValueError: no words in the texts, or a vocab_size too small for the alphabet.
    """
    if isinstance(texts, (str, Iterator)):
        kind = "one str" if isinstance(texts, str) else "an iterator, which can be read once only"
        raise TypeError(f"texts is {kind}; expected a list of str or Lines(files)")
    normalizer = Normalizer(lowercase, nfc, clean_text, full_width, max_jamo_repeats)
    limit = vocab_size // 4 if alphabet_limit is None else alphabet_limit
    alphabet = _alphabet(texts, normalizer, limit, normalizer(required_characters))
    inside = [char for char in alphabet if normalizer.kinds[ord(char)] & ALONE == 0]
    entries = list(dict.fromkeys([*special_tokens, *alphabet, *(f"##{char}" for char in inside)]))
    if len(entries) >= vocab_size:
        raise ValueError(
            f"vocab_size is {vocab_size}, but special tokens ({len(special_tokens)}), characters ({len(alphabet)}) and "
            f"## characters ({len(inside)}) need {len(entries)}; expected more, or a smaller alphabet_limit"
        )
    model = Trained(WordPieceModel({"[UNK]": 0}, unk_token="[UNK]"))
    model.pre_tokenizer = WhitespaceSplit()
    trainer = WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=entries,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=show_progress,
    )
    model.train_from_iterator(_known_words(texts, normalizer, alphabet, max_word_chars), trainer)
    numbers = model.get_vocab()
    return sorted(numbers, key=numbers.get)


def _alphabet(texts, normalizer, limit, required):
    """The required characters and the most frequent ones, sorted by code point."""
    counts = np.zeros(0x110000, np.int64)
    for rows in _batches(texts):
        codes, kinds, _ = normalizer.characters(rows)
        counts += np.bincount(codes[kinds != SPACE], minlength=len(counts))
    counts[: ord(" ")] = 0  # a vocab.txt can't hold control characters
    if not counts.any():
        raise ValueError("the texts hold no words; expected some to learn from")
    order = np.lexsort((np.arange(len(counts)), -counts))[: max(limit, 0)]
    return sorted({*map(chr, order[counts[order] > 0]), *required})


def _known_words(texts, normalizer, alphabet, max_word_chars):
    """Yields strings of words with blanks between, without those that will be [UNK]."""
    known = np.zeros(0x110000, bool)
    known[[ord(char) for char in alphabet]] = True
    for rows in _batches(texts):
        for block in blocks(rows):
            codes, kinds, _ = normalizer.characters(block)
            begin, end = words(kinds)
            strange = np.append(0, np.cumsum(~known[codes]))
            good = (strange[end] == strange[begin]) & (end - begin <= max_word_chars)
            begin, lengths = begin[good], (end - begin)[good]
            stops = np.cumsum(lengths + 1)
            out = np.full(stops[-1] if len(stops) else 0, ord(" "), "<u4")
            out[spans(stops - lengths - 1, lengths)] = codes[spans(begin, lengths)]
            yield out.tobytes().decode("utf-32-le")


def _batches(texts):
    rows = []
    for text in texts:
        rows.append(text)
        if len(rows) == ROWS:
            yield rows
            rows = []
    if rows:
        yield rows
