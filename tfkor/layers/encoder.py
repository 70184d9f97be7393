"""What the encoders share: sizes by name, three inputs and two outputs, recomputation, checks of files of weights."""

import dataclasses

import keras
import numpy as np
from keras import ops

from tfkor.layers.embeddings import Embeddings
from tfkor.layers.inputs import as_batch, check_ids, outputs_like, three_inputs
from tfkor.layers.recompute import recomputed
from tfkor.layers.transformer import TransformerBlock


class Config:
    """Base of the configs, which are frozen dataclasses with a dict `sizes`: name -> the fields of that size."""

    sizes = {}
    position_offset = 0  # rows of the position table that no token has

    @classmethod
    def of(cls, size, **changes):
        """Returns the config of a size, one of `sizes`, with `changes`.

        Raises:
          ValueError: no such size.
          TypeError: a change names a field that the config does not have.
        """
        if size not in cls.sizes:
            name = cls.__name__.removesuffix("Config").upper()
            raise ValueError(f"no {name} size {size!r}; expected one of {list(cls.sizes)}")
        return cls(**{**cls.sizes[size], **changes})

    def to_dict(self):
        """Returns the fields as a dict that JSON can hold."""
        return dataclasses.asdict(self)


class Encoder(keras.Model):
    """Three int inputs [B, S] -> pooled_output [B, H] and sequence_output [B, S, H].

    An architecture names its `config_class` and the `size_fields` that its weights' shapes follow from, and makes
    `embeddings`, `blocks` (those of the L layers, in order) and `pooler`; `embeddings_project` where the embeddings
    are narrower than the layers. `gradient_checkpointing = True` computes the inside of each block a second time in the backward pass
    and doesn't keep it meanwhile.
    """

    config_class = None
    size_fields = ()
    embeddings_project = None
    classifier_act = None  # of a dense layer that a classifier has between pooled_output and its last layer

    def __init__(self, config, output_hidden_states=False, output_attentions=False, **kwargs):
        super().__init__(**kwargs)
        self.config = self.config_class(**config) if isinstance(config, dict) else config
        self.output_hidden_states = output_hidden_states
        self.output_attentions = output_attentions
        self.gradient_checkpointing = False

    def build(self, input_shape=None):
        if self.built:
            return
        for layer in (self.embeddings, *self.blocks):
            if not layer.built:  # blocks may be shared by layers, embeddings by encoders
                layer.build()
        if self.embeddings_project is not None:
            self.embeddings_project.build((None, None, self.embeddings.embedding_size))
        self.pooler.build((None, self.config.hidden_size))
        self.built = True

    @property
    def word_embeddings(self):
        """The word embeddings [V, E], for an output layer that is tied to them."""
        return self.embeddings.word_embeddings

    @property
    def max_length(self):
        """How many tokens a row may have."""
        return self.embeddings.max_length

    def call(self, inputs, training=False):
        batch = as_batch(inputs)
        word_ids, mask, segment_ids, positions = *three_inputs(batch), batch.get("positions")
        if positions is not None:  # packed rows: a token attends to those of its own text only
            mask = ops.cast((mask[:, :, None] == mask[:, None, :]) & (mask > 0)[:, None, :], "int32")  # [B, S, S]
        hidden_states, attentions = self.encode(word_ids, mask, segment_ids, positions, training=training)
        return outputs_like(
            inputs,
            pooled_output=self.pooler(hidden_states[-1][:, 0]),
            sequence_output=hidden_states[-1],
            hidden_states=hidden_states if self.output_hidden_states else None,
            attentions=attentions if self.output_attentions else None,
        )

    def encode(self, word_ids, mask, segment_ids, positions=None, training=False):
        """Three int [B, S] -> (L + 1 hidden states [B, S, H], attention probabilities [B, N, S, S] of the L layers).

        Several texts may share a row: then `mask` [B, S, S] says which token attends to which, and `positions`, int
        [B, S], counts the tokens of each text from 0. With `gradient_checkpointing`, the probabilities are None unless
        `output_attentions` is set.

        Raises:
          ValueError: rows or positions beyond `max_length`, ids that the tables don't hold.
        """
        if positions is not None:
            check_ids(positions, self.max_length, "positions")
        x = self.embed(word_ids, mask, segment_ids, positions, training)  # [B, S, H]
        hidden_states, attentions = [x], []
        for block in self.blocks:
            x, probabilities = self.run_block(block, x, mask, training)  # [B, S, H], [B, N, S, S]
            hidden_states.append(x)
            attentions.append(probabilities)
        return hidden_states, attentions

    def pooled(self, inputs, training=False):
        """Returns pooled_output [B, H] alone; the last block then computes one position, not S."""
        word_ids, mask, segment_ids = three_inputs(inputs)
        x = self.embed(word_ids, mask, segment_ids, None, training)
        for block in self.blocks[:-1]:
            x, _ = self.run_block(block, x, mask, training)
        x, _ = self.blocks[-1](x, mask, queries=x[:, :1], training=training)  # [B, 1, H]
        return self.pooler(x[:, 0])

    def embed(self, word_ids, mask, segment_ids, positions, training):
        """The first hidden state [B, S, H]."""
        x = self.embeddings(word_ids, segment_ids, positions, training=training)  # [B, S, E]
        return x if self.embeddings_project is None else self.embeddings_project(x)

    def run_block(self, block, x, mask, training):
        """One layer: x [B, S, H] -> (x [B, S, H], probabilities [B, N, S, S])."""
        if not self.gradient_checkpointing:
            return block(x, mask, training=training)
        seeds = block.draw_seeds() if training else None  # out here, so that both computations drop the same values
        if not self.output_attentions:
            return recomputed(block, x, mask, seeds, training), None
        return keras.remat(lambda x: block(x, mask, seeds=seeds, training=training))(x)

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
        store["sizes"] = [getattr(self.config, name) for name in self.size_fields]

    def load_own_variables(self, store):
        # Keras by itself would leave out the blocks that this encoder doesn't have, without an error
        name, sizes = type(self).__name__.upper(), np.array(store["sizes"]).tolist()
        if len(sizes) != len(self.size_fields):
            raise ValueError(f"the file holds another architecture, with {len(sizes)} sizes; expected those of {name}")
        found = dict(zip(self.size_fields, sizes, strict=True))
        wrong = [f"{k} {v}, here {getattr(self.config, k)}" for k, v in found.items() if v != getattr(self.config, k)]
        if wrong:
            raise ValueError(
                f"the file holds a {name} of other sizes: {'; '.join(wrong)}. Build it with those of the file"
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


# === Parts, from a config ===


def embeddings_of(config, embedding_size, policy, position_offset=0):
    """Returns the Embeddings of a config, [B, S, embedding_size]."""
    return Embeddings(
        config.vocab_size,
        embedding_size,
        config.max_position_embeddings,
        config.type_vocab_size,
        config.hidden_dropout_prob,
        config.layer_norm_eps,
        config.initializer_range,
        position_offset,
        dtype=policy,
        name="embeddings",
    )


def block_of(config, policy, name):
    """Returns a TransformerBlock of a config."""
    return TransformerBlock(
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        config.hidden_act,
        config.hidden_dropout_prob,
        config.attention_probs_dropout_prob,
        config.layer_norm_eps,
        config.initializer_range,
        dtype=policy,
        name=name,
    )


def dense_of(config, policy, name, activation=None):
    """Returns a dense layer to hidden_size: a pooler, or a projection of embeddings."""
    initializer = keras.initializers.TruncatedNormal(stddev=config.initializer_range)
    return keras.layers.Dense(
        config.hidden_size, activation=activation, kernel_initializer=initializer, dtype=policy, name=name
    )
