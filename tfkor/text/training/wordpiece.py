"""train_wordpiece: a WordPiece vocabulary from text, the same one each time."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from tokenizers import Tokenizer as Trained
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.trainers import BpeTrainer

from tfkor.text.engines.wordpiece import words
from tfkor.text.normalization import ALONE, CUT, Normalizer, to_text
from tfkor.text.ragged import spans
from tfkor.text.training.corpus import ASCII, Corpus, checked_symbols, training_tokens
from tfkor.text.vocabulary import SPECIAL_TOKENS, reserved

FIRST_CODE = 0xF0000  # the trainer sees characters as code points from here on, two of each


def train_wordpiece(
    texts: Iterable[str],
    vocab_size: int,
    *,
    max_word_chars: int = 100,
    min_frequency: int = 2,
    alphabet_limit: int | None = None,
    required_characters: str = ASCII,
    special_tokens: Mapping[str, str] | Sequence[str] | None = SPECIAL_TOKENS,
    unused_slots: int = 0,
    user_symbols: Sequence[str] = (),
    show_progress: bool = False,
    **normalization,
) -> list[str]:
    """Learns a WordPiece vocabulary with the trainer of Hugging Face `tokenizers`.

    That trainer numbers the characters in the order of a hash table, so two runs give two vocabularies. Here they are
    counted and numbered first, which makes it repeatable. Words with a character outside the alphabet are left out:
    they will be [UNK]. `texts` is read twice and never held in memory as a whole.

    Args:
      texts: list of str, or `Lines(files)`; anything that can be iterated over twice.
      vocab_size: the number of entries; fewer, if no pair of pieces occurs `min_frequency` times any more.
      max_word_chars: as for the Tokenizer that will use it.
      min_frequency: a piece must occur this often to become an entry.
      alphabet_limit: how many different characters, the most frequent ones; None: a quarter of `vocab_size`, so that
        characters, each with and without ##, take half of the vocabulary at most.
      required_characters: are in the alphabet in any case; for all Hangul syllables add
        `"".join(map(chr, range(0xAC00, 0xD7A4)))`, which takes 22,344 entries.
      special_tokens: come first, in this order: a dict of roles and tokens, as for the Tokenizer that will use it, or
        the tokens alone.
      unused_slots: how many entries [unused0], [unused1] ... follow, for your own tokens.
      user_symbols: come next; give them to the Tokenizer too, for which each is one piece wherever it occurs in a text.
      normalization: lowercase, nfc ..., see `Normalizer`; the same as for the Tokenizer that will use it. With
        `morphemes`, no piece reaches across a boundary inside an eojeol, and later morphemes are made of ## pieces.

    Returns:
      list of str: special tokens, characters, ## characters (each by code point), then pieces, the most frequent first.

    Raises:
      ValueError: no words in the texts, or a vocab_size too small for the alphabet.
    """
    normalizer = Normalizer(**normalization)
    if special_tokens is None or isinstance(special_tokens, Mapping):
        special_tokens = dict.fromkeys(training_tokens(special_tokens, normalizer).values())
    first = reserved(special_tokens, unused_slots, checked_symbols(user_symbols, normalizer))
    corpus = Corpus(texts, normalizer, first[len(first) - len(user_symbols) :])
    limit = vocab_size // 4 if alphabet_limit is None else alphabet_limit
    alphabet = corpus.alphabet(limit, required_characters)
    inside = [char for char in alphabet if normalizer.kinds[ord(char)] & ALONE == 0]
    entries = list(dict.fromkeys([*first, *alphabet, *(f"##{char}" for char in inside)]))
    if len(entries) >= vocab_size:
        raise ValueError(
            f"vocab_size is {vocab_size}, but special tokens ({len(first)}), characters ({len(alphabet)}) and "
            f"## characters ({len(inside)}) need {len(entries)}; expected more, or a smaller alphabet_limit"
        )
    codes = {entry: chr(FIRST_CODE + 2 * i + tail) for i, char in enumerate(alphabet) for tail, entry in _both(char)}
    model = Trained(BPE())
    model.pre_tokenizer = WhitespaceSplit()
    trainer = BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[codes.get(entry, entry) for entry in entries],
        show_progress=show_progress,
    )
    model.train_from_iterator(_known_words(corpus, alphabet, max_word_chars), trainer)
    numbers = model.get_vocab()
    learned = sorted(numbers, key=numbers.get)[len(entries) :]
    return entries + [_readable(piece, alphabet) for piece in learned]


def _both(char):
    return (0, char), (1, f"##{char}")


def _readable(piece, alphabet):
    codes = [ord(char) - FIRST_CODE for char in piece]
    return "##" * (codes[0] % 2) + "".join(alphabet[code // 2] for code in codes)


def _known_words(corpus, alphabet, max_word_chars):
    """Yields strings of words with blanks between, without those that will be [UNK].

    A character is FIRST_CODE plus twice its index in the alphabet, plus one unless it begins a word: what the trainer
    takes for one word may be a morpheme inside a word, whose characters all continue the word.
    """
    numbers = np.full(0x110000, -1, np.int64)
    numbers[[ord(char) for char in alphabet]] = np.arange(len(alphabet))
    for codes, kinds in corpus:
        begin, end = words(kinds)
        strange = np.append(0, np.cumsum(numbers[codes] < 0))
        good = (strange[end] == strange[begin]) & (end - begin <= max_word_chars)
        begin, lengths = begin[good], (end - begin)[good]
        marked = FIRST_CODE + 2 * numbers[codes] + 1
        marked[begin[kinds[begin] != CUT]] -= 1
        stops = np.cumsum(lengths + 1)
        out = np.full(stops[-1] if len(stops) else 0, ord(" "), np.uint32)
        out[spans(stops - lengths - 1, lengths)] = marked[spans(begin, lengths)]
        yield to_text(out)
