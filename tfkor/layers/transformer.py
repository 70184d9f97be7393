"""The transformer encoder block, layer norm after each half as in BERT (Vaswani et al. 2017, section 3.1)."""

import keras
from keras import ops

from tfkor.layers.attention import SelfAttention
from tfkor.layers.dropout import Dropout
from tfkor.layers.gradients import gelu
from tfkor.layers.norm import LayerNorm


def gelu_new(x):
    """The tanh approximation of gelu, as google-research/albert, electra and GPT-2 use it."""
    return ops.gelu(x, approximate=True)


ACTIVATIONS = {"gelu": gelu, "gelu_new": gelu_new, "relu": ops.relu}


def activation_function(name):
    """Returns the activation of that name in a published config ("gelu", "gelu_new", "relu")."""
    if name not in ACTIVATIONS:
        raise ValueError(f"hidden_act is {name!r}; expected one of {sorted(ACTIVATIONS)}")
    return ACTIVATIONS[name]


class TransformerBlock(keras.layers.Layer):
    """Self-attention and a two-layer feed-forward, each with a residual and a norm: [B, S, H] -> [B, S, H].

    Returns (output, attention probabilities [B, N, S, S]). With `queries`, some positions of x [B, Q, H], only their
    output [B, Q, H] is computed; a last block that feeds a pooler needs no more than the first position. `seeds`, from
    `draw_seeds`, say what is dropped.
    """

    def __init__(
        self,
        hidden_size,
        num_attention_heads,
        intermediate_size,
        hidden_act="gelu",
        hidden_dropout=0.1,
        attention_dropout=0.1,
        layer_norm_eps=1e-12,
        initializer_range=0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.activation = activation_function(hidden_act)
        policy = self.dtype_policy

        def dense(units, name):
            initializer = keras.initializers.TruncatedNormal(stddev=initializer_range)
            return keras.layers.Dense(units, kernel_initializer=initializer, dtype=policy, name=name)

        def norm(name):
            return LayerNorm(layer_norm_eps, dtype=policy, name=name)

        self.attention = SelfAttention(
            hidden_size, num_attention_heads, attention_dropout, initializer_range, dtype=policy, name="attention"
        )
        self.attention_norm = norm("attention_norm")
        self.intermediate_dense = dense(intermediate_size, "intermediate_dense")
        self.output_dense = dense(hidden_size, "output_dense")
        self.output_norm = norm("output_norm")
        self.dropout = Dropout(hidden_dropout, dtype=policy, name="dropout")

    def build(self, input_shape=None):
        hidden = (None, None, self.hidden_size)
        self.attention.build(hidden)
        self.attention_norm.build(hidden)
        self.intermediate_dense.build(hidden)
        self.output_dense.build((None, None, self.intermediate_size))
        self.output_norm.build(hidden)
        self.built = True

    def call(self, x, mask, queries=None, seeds=None, training=False):
        seeds = (None, None, None) if seeds is None else seeds
        attended, probabilities = self.attention(x, mask, queries, seed=seeds[0], training=training)
        attended = self.dropout(attended, training=training, seed=seeds[1])
        x = self.attention_norm((x if queries is None else queries) + attended)
        inner = self.activation(self.intermediate_dense(x))  # [B, S, I]
        x = self.output_norm(x + self.dropout(self.output_dense(inner), training=training, seed=seeds[2]))
        return x, probabilities

    def draw_seeds(self):
        """Returns the seeds of the next call's three dropouts; a call with them can be computed again."""
        return self.attention.dropout.draw_seed(), self.dropout.draw_seed(), self.dropout.draw_seed()
