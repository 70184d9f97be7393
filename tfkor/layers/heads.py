"""Output layers of pretraining; their losses are computed from the logits, which are float32."""

from typing import Any

import keras
from keras import ops

from tfkor.layers.activations import activation_function
from tfkor.layers.inputs import Tensor
from tfkor.layers.norm import LayerNorm


class MaskedLmHead(keras.layers.Layer):
    """x [B, P, H] and the word embeddings [V, E] -> logits float32 [B, P, V] (Devlin et al. 2019, section 3.1).

    x holds the vectors at the masked positions, from `gather_positions`, or at all positions. A dense
    layer H -> E, activation and norm, then the product with each word embedding, and a bias: the embeddings are the
    output layer's weights.
    """

    def __init__(
        self,
        embedding_size: int,
        vocab_size: int,
        hidden_act: str = "gelu",
        layer_norm_eps: float = 1e-12,
        initializer_range: float = 0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.embedding_size = embedding_size
        self.vocab_size = vocab_size
        self.activation = activation_function(hidden_act)
        self.dense = dense(embedding_size, initializer_range, "dense", self.dtype_policy)
        self.norm = LayerNorm(layer_norm_eps, dtype=self.dtype_policy, name="norm")

    @classmethod
    def of(cls, encoder: Any, name: str = "masked_lm_head") -> "MaskedLmHead":
        """Returns the head of an encoder, built."""
        config, (vocab_size, embedding_size) = encoder.config, encoder.word_embeddings.shape
        options = dict(initializer_range=config.initializer_range, dtype=encoder.dtype_policy, name=name)
        head = cls(embedding_size, vocab_size, config.hidden_act, config.layer_norm_eps, **options)
        head.build((None, None, config.hidden_size))
        return head

    def build(self, x_shape: tuple, table_shape: tuple | None = None) -> None:
        self.dense.build(x_shape)
        self.norm.build((*x_shape[:-1], self.embedding_size))
        self.bias = self.add_weight(shape=(self.vocab_size,), initializer="zeros", autocast=False, name="bias")
        self.built = True

    def call(self, x: Tensor, table: Tensor) -> Tensor:
        x = self.norm(self.activation(self.dense(x)))  # [B, P, E]
        logits = ops.matmul(x, ops.transpose(ops.cast(table, self.compute_dtype)))  # [B, P, V]
        return ops.cast(logits, "float32") + self.bias


class PairHead(keras.layers.Layer):
    """pooled_output [B, H] -> logits float32 [B, 2]: is the second sentence the next one, or are the two swapped?

    Next sentence prediction (Devlin et al. 2019, section 3.1), sentence order prediction (Lan et al. 2020, section
    3.1). Class 0 is the pair in the order of the text.
    """

    def __init__(self, initializer_range: float = 0.02, **kwargs):
        super().__init__(**kwargs)
        self.dense = dense(2, initializer_range, "dense", "float32")

    @classmethod
    def of(cls, encoder: Any, name: str = "pair_head") -> "PairHead":
        """Returns the head of an encoder, built."""
        head = cls(encoder.config.initializer_range, dtype=encoder.dtype_policy, name=name)
        head.build((None, encoder.config.hidden_size))
        return head

    def build(self, input_shape: tuple) -> None:
        self.dense.build(input_shape)
        self.built = True

    def call(self, pooled_output: Tensor) -> Tensor:
        return self.dense(pooled_output)


class DiscriminatorHead(keras.layers.Layer):
    """sequence_output [B, S, H] -> logits float32 [B, S]: positive where a token seems replaced (Clark et al. 2020)."""

    def __init__(self, hidden_size: int, hidden_act: str = "gelu", initializer_range: float = 0.02, **kwargs):
        super().__init__(**kwargs)
        self.activation = activation_function(hidden_act)
        self.dense = dense(hidden_size, initializer_range, "dense", self.dtype_policy)
        self.prediction = dense(1, initializer_range, "prediction", "float32")
        self.hidden_size = hidden_size

    @classmethod
    def of(cls, encoder: Any, name: str = "discriminator_head") -> "DiscriminatorHead":
        """Returns the head of an encoder, built."""
        config = encoder.config
        options = dict(dtype=encoder.dtype_policy, name=name)
        head = cls(config.hidden_size, config.hidden_act, config.initializer_range, **options)
        head.build((None, None, config.hidden_size))
        return head

    def build(self, input_shape: tuple) -> None:
        self.dense.build(input_shape)
        self.prediction.build((*input_shape[:-1], self.hidden_size))
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        return self.prediction(self.activation(self.dense(x)))[..., 0]


HEADS = {head.__name__: head for head in (MaskedLmHead, PairHead, DiscriminatorHead)}  # as files name them


def gather_positions(x: Tensor, positions: Tensor) -> Tensor:
    """x [B, S, H], positions int [B, P] -> the vectors at these positions [B, P, H]."""
    chosen = ops.one_hot(positions, ops.shape(x)[1], dtype=x.dtype)  # [B, P, S]; a lookup's gradient would be a scatter
    return ops.matmul(chosen, x)


def dense(units: int, initializer_range: float, name: str, policy: Any) -> keras.layers.Dense:
    initializer = keras.initializers.TruncatedNormal(stddev=initializer_range)
    return keras.layers.Dense(units, kernel_initializer=initializer, dtype=policy, name=name)
