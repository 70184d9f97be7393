"""The tables of word, position and segment embeddings (Devlin et al. 2019, figure 2)."""

from typing import Any

import keras
from keras import ops

from tfkor.layers.dropout import Dropout
from tfkor.layers.inputs import Tensor, check_ids, check_length
from tfkor.layers.norm import LayerNorm
from tfkor.layers.positions import learned_positions


class Embeddings(keras.layers.Layer):
    """The tables of word, position and segment embeddings, and the norm and dropout that follow their sum.

    `words`, `positions` and `segments` look up one table each, int [B, S] -> [B, S, E]; a model's file adds them up.
    Position 0 is row `position_offset` of its table. A table of 0 rows is left out: some models have no positions, or
    no segments.

    Raises:
      ValueError: ids that a table doesn't hold, rows longer than `max_length`.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        max_position_embeddings: int = 512,
        type_vocab_size: int = 2,
        dropout: float = 0.1,
        layer_norm_eps: float = 1e-12,
        initializer_range: float = 0.02,
        position_offset: int = 0,
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

    @classmethod
    def of(cls, config: Any, embedding_size: int, **kwargs) -> "Embeddings":
        """Returns the embeddings of a config of `tfkor.models`; `kwargs` add arguments or override the config's."""
        fields = ("vocab_size", "max_position_embeddings", "type_vocab_size")
        fields += ("layer_norm_eps", "initializer_range", "position_offset")
        options = {name: getattr(config, name) for name in fields} | {"dropout": config.hidden_dropout_prob}
        return cls(embedding_size=embedding_size, **{**options, **kwargs})

    def build(self, input_shape: Any = None) -> None:
        def table(rows, name):
            if rows == 0:
                return None
            initializer = keras.initializers.TruncatedNormal(stddev=self.initializer_range)
            shape = (rows, self.embedding_size)
            return self.add_weight(shape=shape, initializer=initializer, autocast=False, name=name)

        self.word_embeddings = table(self.vocab_size, "word_embeddings")
        self.position_embeddings = table(self.max_position_embeddings, "position_embeddings")
        self.token_type_embeddings = table(self.type_vocab_size, "token_type_embeddings")
        self.norm.build((None, None, self.embedding_size))
        self.built = True

    def words(self, word_ids: Tensor) -> Tensor:
        """int [B, S] -> [B, S, E], in the table's precision: casting the whole table takes longer than its rows."""
        if len(word_ids.shape) != 2:
            raise ValueError(f"input_word_ids has the shape {tuple(word_ids.shape)}; expected [B, S], rows of ids")
        check_ids(word_ids, self.vocab_size)
        return ops.take(self.word_embeddings, word_ids, axis=0)

    def positions(self, length: int | Tensor, positions: Tensor | None = None) -> Tensor:
        """S tokens, at `positions` int [B, S] or at 0 ... S - 1 -> [B, S, E] or [S, E]."""
        check_length(length, self.max_length)
        return learned_positions(self.position_embeddings, length, positions, self.position_offset)

    def segments(self, segment_ids: Tensor | None) -> Tensor:
        """int [B, S] -> [B, S, E]; None -> [E], that of segment 0."""
        if segment_ids is None:
            return self.token_type_embeddings[0]
        check_ids(segment_ids, self.type_vocab_size, "segment_ids")
        # two segments are a blend of two rows, which has a dense gradient where a lookup has a sparse one
        chosen = ops.one_hot(segment_ids, self.type_vocab_size, dtype=self.variable_dtype)
        return ops.matmul(chosen, self.token_type_embeddings)
