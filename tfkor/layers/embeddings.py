"""Word, position and segment embeddings (Devlin et al. 2019, figure 2)."""

import keras
from keras import ops

from tfkor.layers.dropout import Dropout
from tfkor.layers.inputs import check_ids
from tfkor.layers.norm import LayerNorm


class Embeddings(keras.layers.Layer):
    """Sum of word, position and segment embeddings, then layer norm and dropout: int [B, S] -> [B, S, E].

    Without `segment_ids` every token is of segment 0. Without `positions`, int [B, S], the tokens of a row are at
    0 ... S - 1; position 0 is row `position_offset` of the table.
    """

    def __init__(
        self,
        vocab_size,
        embedding_size,
        max_position_embeddings=512,
        type_vocab_size=2,
        dropout=0.1,
        layer_norm_eps=1e-12,
        initializer_range=0.02,
        position_offset=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocab_size = vocab_size
        self.embedding_size = embedding_size
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.initializer_range = initializer_range
        self.position_offset = position_offset
        self.max_length = max_position_embeddings - position_offset
        self.norm = LayerNorm(layer_norm_eps, dtype=self.dtype_policy, name="norm")
        self.dropout = Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def build(self, input_shape=None):
        def table(rows, name):
            initializer = keras.initializers.TruncatedNormal(stddev=self.initializer_range)
            shape = (rows, self.embedding_size)
            return self.add_weight(shape=shape, initializer=initializer, autocast=False, name=name)

        self.word_embeddings = table(self.vocab_size, "word_embeddings")
        self.position_embeddings = table(self.max_position_embeddings, "position_embeddings")
        self.token_type_embeddings = table(self.type_vocab_size, "token_type_embeddings")
        self.norm.build((None, None, self.embedding_size))
        self.built = True

    def call(self, word_ids, segment_ids=None, positions=None, training=False):
        if len(word_ids.shape) != 2:
            raise ValueError(f"input_word_ids has the shape {tuple(word_ids.shape)}; expected [B, S], rows of ids")
        length = ops.shape(word_ids)[1]
        if isinstance(length, int) and length > self.max_length:
            raise ValueError(
                f"the input has {length} tokens a row; the position table holds {self.max_length}. "
                "Truncate the rows, or build the model with a larger max_position_embeddings"
            )
        check_ids(word_ids, self.vocab_size)
        # [B, S, E], in the tables' precision: a table that is cast as a whole takes longer than the rows of a batch
        x = ops.take(self.word_embeddings, word_ids, axis=0)
        if positions is None:
            x = x + self.position_embeddings[self.position_offset : self.position_offset + length]
        else:
            x = x + ops.take(self.position_embeddings, positions + self.position_offset, axis=0)
        if segment_ids is None:
            x = x + self.token_type_embeddings[0]
        else:  # two segments are a blend of two rows, which has a dense gradient where a lookup has a sparse one
            check_ids(segment_ids, self.type_vocab_size, "segment_ids")
            segments = ops.one_hot(segment_ids, self.type_vocab_size, dtype=self.variable_dtype)
            x = x + ops.matmul(segments, self.token_type_embeddings)
        return self.dropout(self.norm(x), training=training)
