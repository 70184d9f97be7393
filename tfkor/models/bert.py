"""BERT: a transformer encoder with three inputs (Devlin et al. 2019, google-research/bert)."""

import dataclasses
from dataclasses import dataclass

import keras
import numpy as np

from tfkor.layers import Embeddings, TransformerBlock, outputs_like, three_inputs

# Sizes of google-research/bert: base and large of the paper, the smaller ones of Turc et al. 2019.
SIZES = {
    "tiny": dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512),
    "mini": dict(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024),
    "small": dict(hidden_size=512, num_hidden_layers=4, num_attention_heads=8, intermediate_size=2048),
    "medium": dict(hidden_size=512, num_hidden_layers=8, num_attention_heads=8, intermediate_size=2048),
    "base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
    "large": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
}
SIZE_FIELDS = (*SIZES["base"], "vocab_size", "max_position_embeddings", "type_vocab_size")


@dataclass(frozen=True)
class BertConfig:
    """Sizes of a BERT encoder. `BertConfig.of("base")`, `BertConfig.of("tiny", vocab_size=8000)`."""

    vocab_size: int = 32_000
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12

    @classmethod
    def of(cls, size, **changes):
        """Returns the config of a size: tiny, mini, small, medium, base or large, with `changes`.

        Raises:
          ValueError: no such size.
          TypeError: a change names a field that the config does not have.
        """
        if size not in SIZES:
            raise ValueError(f"no BERT size {size!r}; expected one of {list(SIZES)}")
        return cls(**{**SIZES[size], **changes})

    def to_dict(self):
        """Returns the fields as a dict that JSON can hold."""
        return dataclasses.asdict(self)


@keras.saving.register_keras_serializable("tfkor")
class Bert(keras.Model):
    """Three int inputs [B, S] -> pooled_output [B, H] and sequence_output [B, S, H].

    A list [input_word_ids, input_mask, segment_ids] gives the pair, a dict of these names gives a dict. With
    `output_hidden_states=True` the dict also holds `hidden_states`, a list of L + 1 tensors [B, S, H]; with
    `output_attentions=True` it holds `attentions`, a list of L tensors [B, N, S, S]. The weights exist at once.

        encoder = Bert(BertConfig.of("tiny", vocab_size=8000), dtype="mixed_bfloat16")
        pooled_output, sequence_output = encoder([input_word_ids, input_mask, segment_ids])

    Raises:
      ValueError: rows longer than `max_position_embeddings`, or inputs with other names.
    """

    def __init__(self, config, output_hidden_states=False, output_attentions=False, **kwargs):
        super().__init__(**kwargs)
        self.config = config = BertConfig(**config) if isinstance(config, dict) else config
        self.output_hidden_states = output_hidden_states
        self.output_attentions = output_attentions
        policy = self.dtype_policy
        self.embeddings = Embeddings(
            config.vocab_size,
            config.hidden_size,
            config.max_position_embeddings,
            config.type_vocab_size,
            config.hidden_dropout_prob,
            config.layer_norm_eps,
            config.initializer_range,
            dtype=policy,
            name="embeddings",
        )
        self.blocks = [
            TransformerBlock(
                config.hidden_size,
                config.num_attention_heads,
                config.intermediate_size,
                config.hidden_act,
                config.hidden_dropout_prob,
                config.attention_probs_dropout_prob,
                config.layer_norm_eps,
                config.initializer_range,
                dtype=policy,
                name=f"block_{i}",
            )
            for i in range(config.num_hidden_layers)
        ]
        initializer = keras.initializers.TruncatedNormal(stddev=config.initializer_range)
        self.pooler = keras.layers.Dense(
            config.hidden_size, activation="tanh", kernel_initializer=initializer, dtype=policy, name="pooler"
        )
        self.build()

    def build(self, input_shape=None):
        if self.built:
            return
        self.embeddings.build()
        for block in self.blocks:
            block.build()
        self.pooler.build((None, self.config.hidden_size))
        self.built = True

    def call(self, inputs, training=False):
        word_ids, mask, segment_ids = three_inputs(inputs)  # each [B, S]
        x = self.embeddings(word_ids, segment_ids, training=training)  # [B, S, H]
        hidden_states, attentions = [x], []
        for block in self.blocks:
            x, probabilities = block(x, mask, training=training)  # [B, S, H], [B, N, S, S]
            hidden_states.append(x)
            attentions.append(probabilities)
        return outputs_like(
            inputs,
            pooled_output=self.pooler(x[:, 0]),
            sequence_output=x,
            hidden_states=hidden_states if self.output_hidden_states else None,
            attentions=attentions if self.output_attentions else None,
        )

    def pooled(self, inputs, training=False):
        """Returns pooled_output [B, H] alone; the last block then computes one position, not S."""
        word_ids, mask, segment_ids = three_inputs(inputs)
        x = self.embeddings(word_ids, segment_ids, training=training)
        for block in self.blocks[:-1]:
            x, _ = block(x, mask, training=training)
        x, _ = self.blocks[-1](x, mask, queries=x[:, :1], training=training)  # [B, 1, H]
        return self.pooler(x[:, 0])

    def compute_output_spec(self, inputs, training=False):
        """Shapes of the outputs for symbolic inputs, so that JAX needn't trace two unknown dimensions."""
        word_ids, _, _ = three_inputs(inputs)
        config, (batch, length) = self.config, word_ids.shape
        sequence = (batch, length, config.hidden_size)
        attention = (batch, config.num_attention_heads, length, length)

        def spec(shape):
            return keras.KerasTensor(shape, dtype=self.compute_dtype)

        return outputs_like(
            inputs,
            pooled_output=spec((batch, config.hidden_size)),
            sequence_output=spec(sequence),
            hidden_states=[spec(sequence) for _ in range(config.num_hidden_layers + 1)]
            if self.output_hidden_states
            else None,
            attentions=[spec(attention) for _ in self.blocks] if self.output_attentions else None,
        )

    def save_own_variables(self, store):
        store["sizes"] = [getattr(self.config, name) for name in SIZE_FIELDS]

    def load_own_variables(self, store):
        # Keras by itself would leave out the blocks that this encoder doesn't have, without an error
        found = dict(zip(SIZE_FIELDS, np.array(store["sizes"]).tolist(), strict=True))
        wrong = [f"{k} {v}, here {getattr(self.config, k)}" for k, v in found.items() if v != getattr(self.config, k)]
        if wrong:
            raise ValueError(
                f"the file holds a BERT of other sizes: {'; '.join(wrong)}. Build it with those of the file"
            )

    def get_config(self):
        return {
            "config": self.config.to_dict(),
            "output_hidden_states": self.output_hidden_states,
            "output_attentions": self.output_attentions,
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config):
        if isinstance(config.get("dtype"), dict):
            config = {**config, "dtype": keras.saving.deserialize_keras_object(config["dtype"])}
        return cls(**config)
