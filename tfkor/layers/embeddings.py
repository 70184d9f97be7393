"""Word, position and segment embeddings (Devlin et al. 2019, figure 2)."""

import keras
from keras import ops

from tfkor.layers.inputs import check_ids


class Embeddings(keras.layers.Layer):
    """Sum of word, position and segment embeddings, then layer norm and dropout: two int [B, S] -> [B, S, E]."""

    def __init__(
        self,
        vocab_size,
        embedding_size,
        max_position_embeddings=512,
        type_vocab_size=2,
        dropout=0.1,
        layer_norm_eps=1e-12,
        initializer_range=0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocab_size = vocab_size
        self.embedding_size = embedding_size
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.initializer_range = initializer_range
        self.norm = keras.layers.LayerNormalization(epsilon=layer_norm_eps, dtype=self.dtype_policy, name="norm")
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def build(self, input_shape=None):
        def table(rows, name):
            initializer = keras.initializers.TruncatedNormal(stddev=self.initializer_range)
            return self.add_weight(shape=(rows, self.embedding_size), initializer=initializer, name=name)

        self.word_embeddings = table(self.vocab_size, "word_embeddings")
        self.position_embeddings = table(self.max_position_embeddings, "position_embeddings")
        self.token_type_embeddings = table(self.type_vocab_size, "token_type_embeddings")
        self.norm.build((None, None, self.embedding_size))
        self.built = True

    def call(self, word_ids, segment_ids, training=False):
        if len(word_ids.shape) != 2:
            raise ValueError(f"input_word_ids has the shape {tuple(word_ids.shape)}; expected [B, S], rows of ids")
        length = ops.shape(word_ids)[1]
        if isinstance(length, int) and length > self.max_position_embeddings:
            raise ValueError(
                f"the input has {length} tokens a row; the position table holds {self.max_position_embeddings}. "
                "Truncate the rows, or build the model with a larger max_position_embeddings"
            )
        check_ids(word_ids, self.vocab_size)
        check_ids(segment_ids, self.type_vocab_size, "segment_ids")
        # [B, S, E]; two segments are a blend of two rows, which has a dense gradient where a lookup has a sparse one
        x = ops.take(self.word_embeddings, word_ids, axis=0)
        x = x + self.position_embeddings[:length]
        segments = ops.one_hot(segment_ids, self.type_vocab_size, dtype=self.compute_dtype)
        x = x + ops.matmul(segments, self.token_type_embeddings)
        return self.dropout(self.norm(x), training=training)
