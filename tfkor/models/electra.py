"""ELECTRA: an encoder trained to detect replaced tokens, and the generator that replaces them (Clark et al. 2020).

    B  texts of a batch     H  hidden_size              L  num_hidden_layers
    S  tokens of a text     N  num_attention_heads      I  intermediate_size
    E  embedding_size
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import keras
from keras import ops

from tfkor.layers.attention import attention_bias
from tfkor.layers.blocks import TransformerBlock
from tfkor.layers.embeddings import Embeddings
from tfkor.layers.inputs import Batch, Tensor, as_batch, given_positions, three_inputs
from tfkor.models.backbone import Backbone, Config, dense_of

# small, base and large: discriminators of google-research/electra. tiny and mini, for quick runs, are tfkor's own.
SIZES = {
    "tiny": dict(
        embedding_size=128, hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512
    ),
    "mini": dict(
        embedding_size=128, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024
    ),
    "small": dict(
        embedding_size=128, hidden_size=256, num_hidden_layers=12, num_attention_heads=4, intermediate_size=1024
    ),
    "base": dict(
        embedding_size=768, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072
    ),
    "large": dict(
        embedding_size=1024, hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096
    ),
}


@dataclass(frozen=True)
class ElectraConfig(Config):
    """Sizes of an ELECTRA encoder. `ElectraConfig.of("small")` is a discriminator's, `.generator()` its generator's."""

    vocab_size: int = 32_000
    embedding_size: int = 768
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

    sizes = SIZES

    def generator(self, size: float | None = None) -> "ElectraConfig":
        """Returns the config of this discriminator's generator: as deep, with the same embeddings, but narrower.

        `size` is the ratio of its hidden_size, intermediate_size and num_attention_heads to these; by default as in the
        paper (table 6): 1/3 for the width of base, 1/4 for others. The published small generators, Google's
        electra-small (which is ELECTRA-Small++) and KoELECTRA-small, have size 1.
        """
        if size is None:
            size = 1 / 3 if self.hidden_size == 768 else 1 / 4
        return dataclasses.replace(
            self,
            hidden_size=round(size * self.hidden_size),
            num_attention_heads=max(1, round(size * self.num_attention_heads)),
            intermediate_size=round(size * self.intermediate_size),
        )


@keras.saving.register_keras_serializable("tfkor")
class Electra(Backbone):
    """Three int inputs [B, S] -> pooled_output [B, H] and sequence_output [B, S, H].

    Inputs, outputs and options are those of `Bert`. There is no pooler: pooled_output is the vector of the first token.
    A generator is another Electra that shares the tables and the norm of the discriminator's embeddings:

        config = ElectraConfig.of("small", vocab_size=32_000)
        discriminator = Electra(config)
        generator = Electra(config.generator(), embeddings=discriminator.embeddings)

    Raises:
      ValueError: rows longer than `max_position_embeddings`, inputs that are missing, or `embeddings` of other sizes.
    """

    config_class = ElectraConfig
    classifier_act = "gelu"
    size_fields = (*SIZES["base"], "vocab_size", "max_position_embeddings", "type_vocab_size")

    def __init__(self, config: ElectraConfig | dict, embeddings: Embeddings | None = None, **kwargs):
        super().__init__(config, **kwargs)
        config, policy = self.config, self.dtype_policy
        if embeddings is None:
            embeddings = Embeddings.of(config, config.embedding_size, dtype=policy, name="embeddings")
        else:
            self.check_shared(embeddings)
        self.embeddings = embeddings
        if config.embedding_size != config.hidden_size:
            self.embeddings_project = dense_of(config, "embeddings_project", dtype=policy)
        self.blocks = [
            TransformerBlock.of(config, dtype=policy, name=f"block_{i}") for i in range(config.num_hidden_layers)
        ]
        self.pooler = keras.layers.Identity(dtype=policy, name="pooler")
        self.build()

    def call(
        self, inputs: Batch | list[Tensor], training: bool = False, outputs: Sequence[str] | None = None
    ) -> tuple | dict:
        batch = as_batch(inputs)
        word_ids, mask, segment_ids = three_inputs(batch)  # int [B, S] each
        positions = given_positions(batch, self.max_length)  # int [B, S] with sequence packing, else None

        # Word, position and segment embeddings
        embeddings = self.embeddings
        x = embeddings.words(word_ids)  # [B, S, E]
        x = x + embeddings.positions(ops.shape(word_ids)[1], positions)  # [S, E] of the learned table
        x = x + embeddings.segments(segment_ids)  # [B, S, E]
        x = embeddings.dropout(embeddings.norm(x), training=training)
        if self.embeddings_project is not None:
            x = self.embeddings_project(x)  # [B, S, H]

        # L blocks: attention, feed-forward, each with a residual and a norm behind it
        bias = attention_bias(mask, positions)  # [B, 1, 1, S]: 0 for a token, -1e9 for padding
        hidden_states, attentions = [x], []
        for block in self.fast_blocks(training, outputs):
            x, probabilities = block(x, bias)  # [B, S, H], [B, N, S, S]
            hidden_states.append(x)
            attentions.append(probabilities)

        pooled = self.pooler(x[:, 0])  # the first token's vector as it is: [B, H]
        return self.outputs_like(
            inputs,
            outputs,
            pooled_output=pooled,
            sequence_output=x,
            hidden_states=hidden_states,
            attentions=attentions,
        )

    def check_shared(self, embeddings: Embeddings) -> None:
        """Raises ValueError where the discriminator's embeddings don't have the sizes of the config."""
        fields = ("vocab_size", "embedding_size", "max_position_embeddings", "type_vocab_size")
        wrong = [
            f"{name} {getattr(embeddings, name)}, expected {getattr(self.config, name)}"
            for name in fields
            if getattr(embeddings, name) != getattr(self.config, name)
        ]
        if wrong:
            raise ValueError(
                f"the shared embeddings have other sizes than the config: {'; '.join(wrong)}. "
                "Generator and discriminator need equal ones: use config.generator()"
            )
