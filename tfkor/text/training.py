"""train_tokenizer: a Tokenizer of any kind from text."""

from tfkor.text.corpus import checked_symbols
from tfkor.text.normalization import Normalizer
from tfkor.text.tokenizer import Tokenizer

KINDS = ("wordpiece", "bpe", "unigram")


def train_tokenizer(texts, vocab_size, kind="wordpiece", *, user_symbols=(), max_word_chars=100, **options):
    """Learns a tokenizer: `train_tokenizer(Lines("corpus.txt.gz"), 32_000, "unigram", alphabet="jamo")`.

    Args:
      texts: list of str, or `Lines(files)`; anything that can be iterated over twice.
      vocab_size: the number of entries.
      kind: "wordpiece" (see `train_wordpiece`), "bpe" or "unigram" (see `train_sentencepiece`).
      user_symbols, max_word_chars, options: see there; the options of `Normalizer` among them.

    Returns:
      Tokenizer.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; expected {', '.join(KINDS)}")
    normalization = {name: options[name] for name in Normalizer.__dataclass_fields__ if name in options}
    options |= {"user_symbols": user_symbols, "max_word_chars": max_word_chars}
    if kind == "wordpiece":
        from tfkor.text.wordpiece_training import train_wordpiece

        vocab = train_wordpiece(texts, vocab_size, **options)
        symbols = checked_symbols(user_symbols, Normalizer(**normalization))
        return Tokenizer(vocab, user_symbols=symbols, max_word_chars=max_word_chars, **normalization)
    from tfkor.text.sentencepiece_training import train_sentencepiece

    return Tokenizer(train_sentencepiece(texts, vocab_size, kind, **options), **normalization)
