"""Encoders with more word embeddings, for symbols that are one piece wherever they occur in a text."""

from collections.abc import Sequence

from keras import ops

from tfkor.models.backbone import Backbone
from tfkor.text import Tokenizer


def with_symbols(encoder: Backbone, tokenizer: Tokenizer, symbols: Sequence[str]) -> tuple[Backbone, Tokenizer]:
    """Returns an encoder and a WordPiece tokenizer that know `symbols`, strings that are one piece.

    Those that the vocabulary does not hold are added to its end; their embeddings are drawn at random. All other
    weights are those of `encoder`, copied.

    Raises:
      ValueError: a tokenizer of another kind, or an encoder with LoRA weights, which must be added afterwards.
    """
    from tfkor.models.lora import lora_layers

    if lora_layers(encoder):
        raise ValueError("the encoder has LoRA weights; expected one without: add them after the symbols")
    if tokenizer.type != "wordpiece":
        raise ValueError(f"the tokenizer is {tokenizer.type}; expected wordpiece, to which symbols can be added")
    new = [symbol for symbol in symbols if symbol not in tokenizer.vocab]
    options = {name: value for name, value in tokenizer.config.items() if name not in ("type", "user_symbols")}
    vocab, known = [*tokenizer.vocab, *new], [*tokenizer.user_symbols, *symbols]
    larger = Tokenizer.from_vocab(vocab, user_symbols=tuple(dict.fromkeys(known)), **options)
    size = max(encoder.config.vocab_size, larger.vocab_size)
    config = type(encoder.config)(**{**encoder.config.to_dict(), "vocab_size": size})
    again = type(encoder)(config, dtype=encoder.dtype_policy)
    for ours, theirs in zip(again.trainable_variables, encoder.trainable_variables, strict=True):
        if ours is again.word_embeddings:
            theirs = ops.concatenate([theirs, ours[theirs.shape[0] :]])
        ours.assign(theirs)
    return again, larger
