"""Base of the encoders: configs that check themselves, three inputs and named outputs, saving. No forward pass."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from tfkor.layers.activations import activation_function
from tfkor.layers.fast import fast_blocks
from tfkor.layers.inputs import Batch, Tensor, as_batch

LARGEST = 10**7  # a larger size comes from a damaged file, or from a typing error
OUTPUTS = ("pooled_output", "sequence_output", "hidden_states", "attentions")


class Config:
    """Base of the configs, which are frozen dataclasses with a dict `sizes`: name -> the fields of that size.

    Raises:
      ValueError: a field that no model can have; the message names it, what was found and what was expected.
    """

    sizes: dict[str, dict] = {}
    position_offset = 0  # rows of the position table that no token has

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check_field(field, getattr(self, field.name))
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size is {self.hidden_size} and num_attention_heads {self.num_attention_heads}; expected a "
                "multiple of it"
            )
        if self.max_position_embeddings <= self.position_offset:
            raise ValueError(
                f"max_position_embeddings is {self.max_position_embeddings}; expected more than the "
                f"{self.position_offset} rows that no token has"
            )
        activation_function(self.hidden_act)

    @classmethod
    def of(cls, size: str, **changes: Any) -> "Config":
        """Returns the config of a size, one of `sizes`, with `changes`.

        Raises:
          ValueError: no such size.
          TypeError: a change names a field that the config does not have.
        """
        if size not in cls.sizes:
            name = cls.__name__.removesuffix("Config").upper()
            raise ValueError(f"no {name} size {size!r}; expected one of {list(cls.sizes)}")
        return cls(**{**cls.sizes[size], **changes})

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as a dict that JSON can hold."""
        return dataclasses.asdict(self)


def check_field(field: dataclasses.Field, value: Any) -> None:
    """Raises ValueError where a field of a config has a value that no model can have."""
    least = field.metadata.get("least", 1)
    if field.type is int and (type(value) is not int or not least <= value <= LARGEST):
        raise ValueError(
            f"{field.name} is {value!r}; expected a whole number of at least {least}, and no more than {LARGEST:,}"
        )
    if field.type is bool and type(value) is not bool:
        raise ValueError(f"{field.name} is {value!r}; expected true or false")
    if field.type is str and not isinstance(value, str):
        raise ValueError(f"{field.name} is {value!r}; expected a string")
    if field.type is float and (type(value) not in (int, float) or not (math.isfinite(value) and 0 <= value < 1)):
        raise ValueError(f"{field.name} is {value!r}; expected a number from 0 to less than 1")


class Backbone(keras.Model):
    """Three int inputs [B, S] -> pooled_output [B, H] and sequence_output [B, S, H].

    An architecture names its `config_class` and the `size_fields` that decide its weights' shapes, makes
    `embeddings`, `blocks` (those of the L layers, in order) and `pooler`, `embeddings_project` where the embeddings are
    narrower than the layers, and has a `call` of its own.

    Attributes:
      gradient_checkpointing: whether the activations inside each block are computed again in the backward pass
        instead of being kept: less memory, more time. It may be set at any time before training.
      output_hidden_states, output_attentions: whether a dict of outputs has them too.
    """

    config_class = None
    size_fields: tuple[str, ...] = ()
    embeddings_project = None
    classifier_act = None  # of a dense layer that a classifier has between pooled_output and its last layer

    def __init__(
        self,
        config: Config | dict,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        gradient_checkpointing: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.config = self.config_class(**config) if isinstance(config, dict) else config
        self.output_hidden_states = output_hidden_states
        self.output_attentions = output_attentions
        self.gradient_checkpointing = gradient_checkpointing

    def build(self, input_shape: Any = None) -> None:
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
    def word_embeddings(self) -> keras.Variable:
        """The word embeddings [V, E], for an output layer that is tied to them."""
        return self.embeddings.word_embeddings

    @property
    def max_length(self) -> int:
        """How many tokens a row may have."""
        return self.embeddings.max_length

    def pooled(self, inputs: Batch | Sequence[Tensor], training: bool = False) -> Tensor:
        """Returns pooled_output [B, H] alone; the last block then computes one position, not S."""
        return self(inputs, training=training, outputs=("pooled_output",))["pooled_output"]

    def fast_blocks(self, training: bool, outputs: Sequence[str] | None) -> Iterator:
        """The blocks as functions of (x, bias), in the fastest form that gives the wanted outputs (`layers.fast`)."""
        names = self.wanted(outputs)
        return fast_blocks(
            self.blocks,
            training,
            self.gradient_checkpointing,
            attentions="attentions" in names,
            first_only=names == ["pooled_output"],
        )

    def wanted(self, outputs: Sequence[str] | None) -> list[str]:
        """The names of the outputs that a call computes; None: those that the encoder was made with."""
        if outputs is None:
            more = (self.output_hidden_states, self.output_attentions)
            return [*OUTPUTS[:2], *(name for name, is_wanted in zip(OUTPUTS[2:], more) if is_wanted)]
        if unknown := [name for name in outputs if name not in OUTPUTS]:
            raise ValueError(f"outputs has {unknown[0]!r}; expected some of {', '.join(OUTPUTS)}")
        return list(outputs)

    def outputs_like(self, inputs: Any, outputs: Sequence[str] | None = None, **found: Any) -> tuple | dict:
        """The pair (pooled_output, sequence_output) for a list of inputs; otherwise, or with named outputs, a dict."""
        if outputs is None and not isinstance(inputs, dict):
            return found["pooled_output"], found["sequence_output"]
        return {name: found[name] for name in self.wanted(outputs)}

    def compute_output_spec(
        self, inputs: Any, training: bool = False, outputs: Sequence[str] | None = None
    ) -> tuple | dict:
        """Shapes of the outputs for symbolic inputs, so that JAX needn't trace two unknown dimensions."""
        config, (batch, length) = self.config, as_batch(inputs)["input_word_ids"].shape
        sequence = (batch, length, config.hidden_size)
        attention = (batch, config.num_attention_heads, length, length)

        def spec(shape):
            return keras.KerasTensor(shape, dtype=self.compute_dtype)

        return self.outputs_like(
            inputs,
            outputs,
            pooled_output=spec((batch, config.hidden_size)),
            sequence_output=spec(sequence),
            hidden_states=[spec(sequence) for _ in range(config.num_hidden_layers + 1)],
            attentions=[spec(attention) for _ in range(config.num_hidden_layers)],
        )

    def save_own_variables(self, store: Any) -> None:
        store["sizes"] = [getattr(self.config, name) for name in self.size_fields]

    def load_own_variables(self, store: Any) -> None:
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

    def get_config(self) -> dict[str, Any]:
        return {
            "config": self.config.to_dict(),
            "output_hidden_states": self.output_hidden_states,
            "output_attentions": self.output_attentions,
            "gradient_checkpointing": self.gradient_checkpointing,
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Backbone":
        if isinstance(config.get("dtype"), dict):
            config = {**config, "dtype": keras.saving.deserialize_keras_object(config["dtype"])}
        return cls(**config)


def dense_of(config: Config, name: str, activation: str | None = None, **kwargs) -> keras.layers.Dense:
    """Returns a dense layer to hidden_size: a pooler, or a projection of embeddings."""
    initializer = keras.initializers.TruncatedNormal(stddev=config.initializer_range)
    return keras.layers.Dense(
        config.hidden_size, activation=activation, kernel_initializer=initializer, name=name, **kwargs
    )
