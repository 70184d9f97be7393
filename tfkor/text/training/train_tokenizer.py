"""train_tokenizer: a Tokenizer of any kind from text."""

from collections.abc import Iterable, Mapping, Sequence

from tfkor.text.normalization import Normalizer
from tfkor.text.tokenizer import Tokenizer
from tfkor.text.training.corpus import checked_symbols

KINDS = ("wordpiece", "bpe", "unigram")


def train_tokenizer(
    texts: Iterable[str],
    vocab_size: int,
    kind: str = "wordpiece",
    *,
    special_tokens: Mapping[str, str] | None = None,
    user_symbols: Sequence[str] = (),
    max_word_chars: int = 100,
    **options,
) -> Tokenizer:
    """Learns a tokenizer: `train_tokenizer(Lines("corpus.txt.gz"), 32_000, "unigram", alphabet="jamo")`.

    Args:
      texts: list of str, or `Lines(files)`; anything that can be iterated over twice.
      vocab_size: the number of entries.
      kind: "wordpiece" (see `train_wordpiece`), "bpe" or "unigram" (see `train_sentencepiece`).
      special_tokens: dict of the roles "pad", "unk", "cls", "sep" and "mask" -> tokens, as {"pad": "<pad>", "unk":
        "<unk>", ...}, which get the first ids in this order; a role may be left out. None: [PAD] [UNK] [CLS] [SEP]
        [MASK].
      user_symbols, max_word_chars, options: as in `train_wordpiece` and `train_sentencepiece`; the options of
        `Normalizer` too.

    Returns:
      Tokenizer.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; expected {', '.join(KINDS)}")
    normalization = {name: options[name] for name in Normalizer.__dataclass_fields__ if name in options}
    options |= {"special_tokens": special_tokens, "user_symbols": user_symbols, "max_word_chars": max_word_chars}
    made = {"special_tokens": special_tokens, **normalization}
    if kind == "wordpiece":
        from tfkor.text.training.wordpiece import train_wordpiece

        vocab = train_wordpiece(texts, vocab_size, **options)
        symbols = checked_symbols(user_symbols, Normalizer(**normalization))
        return Tokenizer(vocab, user_symbols=symbols, max_word_chars=max_word_chars, **made)
    from tfkor.text.training.sentencepiece import train_sentencepiece

    return Tokenizer(train_sentencepiece(texts, vocab_size, kind, **options), **made)
