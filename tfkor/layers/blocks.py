"""The blocks that a transformer is a stack of: attention and a feed-forward network, each with a residual and a norm.

    B  texts of a batch     S  tokens of a text      H  hidden_size
    N  attention heads      I  intermediate_size     Q  positions that attend; S, unless fewer are asked for
"""

from typing import Any

import keras

from tfkor.layers.activations import activation_function
from tfkor.layers.attention import SelfAttention
from tfkor.layers.dropout import Dropout
from tfkor.layers.inputs import Tensor
from tfkor.layers.norm import LayerNorm


class TransformerBlock(keras.layers.Layer):
    """The post-norm block of the Transformer's encoder and of BERT (Vaswani et al. 2017, section 3.1).

        x = norm(x + dropout(attention(x)))
        x = norm(x + dropout(W2 act(W1 x)))

    x [B, S, H] and the further arguments of its attention, a bias float32 [B, 1, 1 or S, S] -> (x [B, S, H],
    probabilities [B, N, S, S]).

    Args:
      hidden_size, num_attention_heads, intermediate_size: H, N, I.
      hidden_act: activation of the feed-forward network, see `activation_function`.
      hidden_dropout, attention_dropout: rates before each residual addition, and of the attention's probabilities.
      layer_norm_eps: epsilon of both norms.
      initializer_range: standard deviation of the kernels at the start.
      attention: a layer with the call of `SelfAttention`, its `projections`, `output_dense` and `draw_seed`; by default
        a `SelfAttention`.

    `queries` and `seeds` serve speed and memory (`tfkor.layers.fast`). With `queries`, the vectors of some positions of
    x [B, Q, H], only these are computed. `seeds`, from `draw_seeds`, are those of the dropouts.
    """

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        intermediate_size: int,
        hidden_act: str = "gelu",
        hidden_dropout: float = 0.1,
        attention_dropout: float = 0.1,
        layer_norm_eps: float = 1e-12,
        initializer_range: float = 0.02,
        attention: keras.layers.Layer | None = None,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # the bias stays float32
        self.hidden_size, self.intermediate_size = hidden_size, intermediate_size
        self.activation = activation_function(hidden_act)
        policy = self.dtype_policy

        def dense(units, name):
            initializer = keras.initializers.TruncatedNormal(stddev=initializer_range)
            return keras.layers.Dense(units, kernel_initializer=initializer, dtype=policy, name=name)

        self.attention = attention or SelfAttention(
            hidden_size, num_attention_heads, attention_dropout, initializer_range, dtype=policy, name="attention"
        )
        self.attention_norm = LayerNorm(layer_norm_eps, dtype=policy, name="attention_norm")
        self.intermediate_dense = dense(intermediate_size, "intermediate_dense")
        self.output_dense = dense(hidden_size, "output_dense")
        self.output_norm = LayerNorm(layer_norm_eps, dtype=policy, name="output_norm")
        self.dropout = Dropout(hidden_dropout, dtype=policy, name="dropout")

    @classmethod
    def of(cls, config: Any, attention: keras.layers.Layer | None = None, **kwargs) -> "TransformerBlock":
        """Returns the block of a config of `tfkor.models`; `kwargs` are those of a Keras layer."""
        return cls(
            config.hidden_size,
            config.num_attention_heads,
            config.intermediate_size,
            config.hidden_act,
            config.hidden_dropout_prob,
            config.attention_probs_dropout_prob,
            config.layer_norm_eps,
            config.initializer_range,
            attention,
            **kwargs,
        )

    def build(self, input_shape: Any = None) -> None:
        hidden = (None, None, self.hidden_size)
        self.attention.build(hidden)
        self.attention_norm.build(hidden)
        self.intermediate_dense.build(hidden)
        self.output_dense.build((None, None, self.intermediate_size))
        self.output_norm.build(hidden)
        self.built = True

    @property
    def dense_layers(self) -> dict[str, keras.layers.Layer]:
        """{name: dense layer} of all dense layers of the block."""
        inner = {"intermediate_dense": self.intermediate_dense, "output_dense": self.output_dense}
        return {**self.attention.projections, "attention_output": self.attention.output_dense, **inner}

    def call(
        self, x: Tensor, *context: Tensor, queries: Tensor | None = None, seeds: Any = None, training: bool = False
    ) -> tuple[Tensor, Tensor]:
        seeds = (None, None, None) if seeds is None else seeds
        attended, probabilities = self.attention(  # [B, Q, H], [B, N, Q, S]
            x, *context, queries=queries, seed=seeds[0], training=training
        )
        attended = self.dropout(attended, training=training, seed=seeds[1])
        x = self.attention_norm((x if queries is None else queries) + attended)  # [B, Q, H]
        inner = self.activation(self.intermediate_dense(x))  # [B, Q, I]
        inner = self.dropout(self.output_dense(inner), training=training, seed=seeds[2])  # [B, Q, H]
        return self.output_norm(x + inner), probabilities

    def draw_seeds(self) -> tuple:
        """Returns the seeds of the next call's three dropouts; a call with these seeds can be repeated exactly."""
        return self.attention.draw_seed(), self.dropout.draw_seed(), self.dropout.draw_seed()
