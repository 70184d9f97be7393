"""Attention (Vaswani et al. 2017, section 3.2): a function of queries, keys, values and a bias, and its layer.

    B  texts of a batch      S  tokens of a text       H  hidden_size
    N  attention heads       D  size of a head, H / N  Q  positions that attend; S, unless fewer are asked for
"""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfkor.layers.dropout import Dropout
from tfkor.layers.inputs import Tensor


def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None = None,
    dropout: Callable | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    """softmax(q k^T / sqrt(D) + bias) v

    Args:
      query: [B, N, Q, D].
      key, value: [B, N, S, D].
      bias: float32 that fits [B, N, Q, S], added to the scores: -1e9 where nothing may be attended to.
      dropout: a function of the probabilities, or None.
      scale: of the scores, instead of 1 / sqrt(D).

    Returns:
      context [B, N, Q, D], and the probabilities [B, N, Q, S] as they were before dropout.
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = ops.matmul(query * scale, ops.swapaxes(key, -1, -2))  # [B, N, Q, S]
    scores = ops.cast(scores, "float32")
    probabilities = ops.cast(ops.softmax(scores if bias is None else scores + bias), query.dtype)
    context = ops.matmul(probabilities if dropout is None else dropout(probabilities), value)  # [B, N, Q, D]
    return context, probabilities


def attention_bias(mask: Tensor, positions: Tensor | None = None) -> Tensor:
    """The bias that hides padding, and other texts of a packed row: float32 [B, 1, 1 or S, S], 0 or -1e9.

    Args:
      mask: int [B, S], 1 for a token and 0 for padding; or int [B, S, S], for each pair of tokens.
      positions: given with sequence packing, several texts in one row: then `mask` [B, S] numbers the texts from 1,
        and a token attends to those of its own text only.
    """
    if positions is not None and len(mask.shape) == 2:
        mask = ops.cast((mask[:, :, None] == mask[:, None, :]) & (mask > 0)[:, None, :], "int32")  # [B, S, S]
    mask = mask[:, None, None, :] if len(mask.shape) == 2 else mask[:, None]
    return (ops.cast(mask, "float32") - 1.0) * 1e9


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """[B, S, H] -> [B, N, S, D]"""
    batch, length, hidden = ops.shape(x)
    return ops.transpose(ops.reshape(x, (batch, length, num_heads, hidden // num_heads)), (0, 2, 1, 3))


def join_heads(x: Tensor) -> Tensor:
    """[B, N, S, D] -> [B, S, H]"""
    batch, heads, length, size = ops.shape(x)
    return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (batch, length, heads * size))


class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention of x [B, S, H], with a bias [B, 1, 1 or S, S].

    Gives the context [B, S, H] and the probabilities [B, N, S, S].

    Args:
      hidden_size, num_attention_heads: H and N; H is a multiple of N.
      dropout: of the probabilities.
      initializer_range: standard deviation of the kernels at the start.

    With `queries`, the vectors of some positions of x [B, Q, H], only these attend: context [B, Q, H], probabilities
    [B, N, Q, S]. `seed`, from `draw_seed`, is the seed of the dropout.
    """

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        dropout: float = 0.1,
        initializer_range: float = 0.02,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # the bias stays float32
        if hidden_size % num_attention_heads:
            raise ValueError(
                f"hidden_size {hidden_size} is not a multiple of num_attention_heads {num_attention_heads}"
            )
        self.hidden_size, self.num_heads = hidden_size, num_attention_heads

        def dense(units, name):
            initializer = keras.initializers.TruncatedNormal(stddev=initializer_range)
            return keras.layers.Dense(units, kernel_initializer=initializer, dtype=self.dtype_policy, name=name)

        self.query = dense(hidden_size, "query")
        self.key_value = dense(2 * hidden_size, "key_value")  # one multiplication for both
        self.output_dense = dense(hidden_size, "output_dense")
        self.dropout = Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def build(self, input_shape: Any = None) -> None:
        for layer in (self.query, self.key_value, self.output_dense):
            layer.build((None, None, self.hidden_size))
        self.built = True

    def call(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        queries: Tensor | None = None,
        seed: Any = None,
        training: bool = False,
    ) -> tuple[Tensor, Tensor]:
        query = self.query(x if queries is None else queries)  # [B, Q, H]
        key, value = ops.split(self.key_value(x), 2, axis=-1)  # [B, S, H] each
        query, key, value = (split_heads(part, self.num_heads) for part in (query, key, value))  # [B, N, Q or S, D]
        context, probabilities = dot_product_attention(
            query, key, value, bias, dropout=lambda p: self.dropout(p, training=training, seed=seed)
        )
        return self.output_dense(join_heads(context)), probabilities  # [B, Q, H]

    @property
    def projections(self) -> dict[str, keras.layers.Layer]:
        """{name: dense layer} of the projections to queries, keys and values."""
        return {"query": self.query, "key_value": self.key_value}

    def draw_seed(self) -> Any:
        """Returns the seed of the next call's dropout; a call with this seed can be repeated exactly."""
        return self.dropout.draw_seed()
