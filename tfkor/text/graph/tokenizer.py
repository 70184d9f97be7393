"""GraphTokenizer: the Tokenizer as TensorFlow operations, for SavedModels that take strings."""

import tensorflow as tf

from tfkor.text.graph.engines import engine_twin
from tfkor.text.graph.normalization import normalized
from tfkor.text.tokenizer import Tokenizer


class GraphTokenizer(tf.Module):
    """Strings in, the inputs of a model out, with the ids that `tokenizer` gives.

    Invalid UTF-8 is read as U+FFFD. A program that loads a SavedModel with this inside must `import tensorflow_text`.

    >>> inputs = GraphTokenizer(tokenizer, max_length=128)(tf.constant(["한국어를 공유합니다."]))

    Args:
      tokenizer: a Tokenizer.
      max_length: longer rows are truncated, see `Tokenizer.pack`.
      pad_to: the length that rows are padded to; None: that of the longest row.
      pre_split: must be True for a tokenizer that splits morphemes, for which TensorFlow has no operation: texts are
        then what `Tokenizer.pre_split` gives, with a zero width space (U+200B) between the morphemes of an eojeol.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: int = 128,
        pad_to: int | None = None,
        pre_split: bool = False,
        name: str | None = None,
    ):
        super().__init__(name=name)
        if max_length < 3:
            raise ValueError(f"max_length is {max_length}; expected at least 3, for [CLS] and [SEP] and [SEP]")
        if pad_to is not None and pad_to < max_length:
            raise ValueError(f"pad_to is {pad_to}; expected at least max_length, {max_length}")
        self.normalizer = tokenizer.normalizer
        if pre_split != (self.normalizer.morphemes is not None):
            raise ValueError(
                f"pre_split is {pre_split}, but the tokenizer's morphemes is {self.normalizer.morphemes!r}; expected "
                "pre_split=True where it splits morphemes, and texts from tokenizer.pre_split, since TensorFlow has no "
                "operation for that; and False elsewhere"
            )
        self.max_length, self.pad_to = max_length, pad_to
        self.template, self.model = tokenizer.template, engine_twin(tokenizer)

    def __call__(self, texts: tf.Tensor, pairs: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """string [B], and string [B] or None -> dict of int32 [B, S]: input_word_ids, input_mask, segment_ids."""
        with tf.device("CPU:0"):
            first = self.ids(texts)
            second = None if pairs is None else self.ids(pairs)
            return self.pack(first, second)

    def ids(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """string [B] -> int32 ragged [B, None], without [CLS] and [SEP]."""
        return self.model.ids(self.normalize(texts))

    def normalize(self, texts: tf.Tensor) -> tf.Tensor:
        """string [B] -> string [B], normalised, with a blank for white space and BOUNDARY only between letters."""
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
        return normalized(texts, self.normalizer)

    def pack(self, first: tf.RaggedTensor, second: tf.RaggedTensor | None = None) -> dict[str, tf.Tensor]:
        """`Tokenizer.pack` and the padding, for int32 ragged [B, None] ids."""
        rows = first.nrows()
        cls_id, sep_id, pad_id = (self.template.required(role, "pack") for role in ("cls", "sep", "pad"))
        cls, sep = (tf.fill([rows, 1], tf.constant(i, tf.int32)) for i in (cls_id, sep_id))
        gap = self.template.pair_separators
        capacity = tf.constant(self.max_length - (2 if second is None else 2 + gap), tf.int64)
        lengths = first.row_lengths()
        if second is None:
            kept = tf.minimum(lengths, capacity)
            ids = tf.concat([cls, _first_of_rows(first, kept), sep], axis=1)
        else:
            kept_second = tf.minimum(second.row_lengths(), tf.maximum(capacity // 2, capacity - lengths))
            kept = tf.minimum(lengths, capacity - kept_second)
            ids = [cls, _first_of_rows(first, kept), *[sep] * gap, _first_of_rows(second, kept_second), sep]
            ids = tf.concat(ids, axis=1)
        word_ids = ids.to_tensor(pad_id, shape=[None, self.pad_to])
        columns = tf.range(tf.shape(word_ids, tf.int64)[1])
        mask = columns < ids.row_lengths()[:, None]
        segments = mask & (columns >= kept[:, None] + 1 + gap) if second is not None else tf.zeros_like(mask)
        return {
            "input_word_ids": word_ids,
            "input_mask": tf.cast(mask, tf.int32),
            "segment_ids": tf.cast(segments, tf.int32),
        }


def _first_of_rows(ragged, lengths):
    """The first `lengths` ids of each row."""
    starts = ragged.row_starts()
    positions = tf.ragged.range(starts, starts + lengths)
    return positions.with_values(tf.gather(ragged.values, positions.values))
