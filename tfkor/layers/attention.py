"""Multi-head self-attention (Vaswani et al. 2017, section 3.2)."""

import math

import keras
from keras import ops

from tfkor.layers.dropout import Dropout


class SelfAttention(keras.layers.Layer):
    """x [B, S, H], mask int [B, S] -> (context [B, S, H], probabilities [B, N, S, S]).

    The mask is 1 for a token and 0 for padding, which is not attended to. A mask [B, S, S] says it for each pair.
    With `queries` [B, Q, H], only these positions attend: context [B, Q, H], probabilities [B, N, Q, S]. `seed`, from
    `dropout.draw_seed()`, says what is dropped.
    """

    def __init__(self, hidden_size, num_attention_heads, dropout=0.1, initializer_range=0.02, **kwargs):
        super().__init__(**kwargs)
        if hidden_size % num_attention_heads:
            raise ValueError(
                f"hidden_size {hidden_size} is not a multiple of num_attention_heads {num_attention_heads}"
            )
        self.hidden_size = hidden_size
        self.num_heads = num_attention_heads
        self.head_size = hidden_size // num_attention_heads

        def dense(units, name):
            initializer = keras.initializers.TruncatedNormal(stddev=initializer_range)
            return keras.layers.Dense(units, kernel_initializer=initializer, dtype=self.dtype_policy, name=name)

        self.query = dense(hidden_size, "query")
        self.key_value = dense(2 * hidden_size, "key_value")  # one multiplication for both
        self.output_dense = dense(hidden_size, "output_dense")
        self.dropout = Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def build(self, input_shape=None):
        for layer in (self.query, self.key_value, self.output_dense):
            layer.build((None, None, self.hidden_size))
        self.built = True

    def call(self, x, mask, queries=None, seed=None, training=False):
        query = self.split_heads(self.query(x if queries is None else queries), 1)[0]  # [B, N, Q, D]
        key, value = self.split_heads(self.key_value(x), 2)  # [B, N, S, D]
        scores = ops.matmul(query * (1 / math.sqrt(self.head_size)), ops.swapaxes(key, -1, -2))  # [B, N, Q, S]
        probabilities = ops.softmax(ops.cast(scores, "float32") + mask_to_bias(mask))
        probabilities = ops.cast(probabilities, self.compute_dtype)
        context = ops.matmul(self.dropout(probabilities, training=training, seed=seed), value)  # [B, N, Q, D]
        context = ops.transpose(context, (0, 2, 1, 3))
        context = ops.reshape(context, (*ops.shape(context)[:2], self.hidden_size))  # [B, Q, H]
        return self.output_dense(context), probabilities

    def split_heads(self, x, parts):
        """[B, S, parts * H] -> `parts` tensors [B, N, S, D]."""
        batch, length, _ = ops.shape(x)
        x = ops.reshape(x, (batch, length, parts, self.num_heads, self.head_size))
        return ops.unstack(ops.transpose(x, (2, 0, 3, 1, 4)), parts)


def mask_to_bias(mask):
    """int mask [B, S] or [B, S, S] -> float32 [B, 1, 1 or S, S] to add to scores: 0 where it is 1, else -1e9."""
    mask = mask[:, None, None, :] if len(mask.shape) == 2 else mask[:, None]
    return (ops.cast(mask, "float32") - 1.0) * 1e9
