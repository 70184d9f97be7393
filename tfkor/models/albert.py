"""ALBERT: a BERT with small embeddings, whose layers share their weights (Lan et al. 2020, google-research/albert).

    B  texts of a batch     H  hidden_size              L  num_hidden_layers
    S  tokens of a text     N  num_attention_heads      I  intermediate_size
    E  embedding_size
"""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
from keras import ops

from tfkor.layers.attention import attention_bias
from tfkor.layers.blocks import TransformerBlock
from tfkor.layers.embeddings import Embeddings
from tfkor.layers.inputs import Batch, Tensor, as_batch, given_positions, three_inputs
from tfkor.models.backbone import Backbone, Config, dense_of

# base to xxlarge: google-research/albert. tiny, mini and small are tfkor's own, with the sizes of BERT's of that name.
SIZES = {
    "tiny": dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512),
    "mini": dict(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024),
    "small": dict(hidden_size=512, num_hidden_layers=4, num_attention_heads=8, intermediate_size=2048),
    "base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
    "large": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
    "xlarge": dict(hidden_size=2048, num_hidden_layers=24, num_attention_heads=16, intermediate_size=8192),
    "xxlarge": dict(hidden_size=4096, num_hidden_layers=12, num_attention_heads=64, intermediate_size=16384),
}


@dataclass(frozen=True)
class AlbertConfig(Config):
    """Sizes of an ALBERT encoder. `AlbertConfig.of("base")`; the other fields are those of version 2: no dropout."""

    vocab_size: int = 32_000
    embedding_size: int = 128
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_hidden_groups: int = 1
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12

    sizes = SIZES


@keras.saving.register_keras_serializable("tfkor")
class Albert(Backbone):
    """Three int inputs [B, S] -> pooled_output [B, H] and sequence_output [B, S, H].

    Inputs, outputs and options are those of `Bert`. The layers are divided into `num_hidden_groups`, one in all
    published models; the layers of a group are one block, `groups[i]`, applied once for each layer of the group.

        encoder = Albert(AlbertConfig.of("base", vocab_size=30_000))
        pooled_output, sequence_output = encoder([input_word_ids, input_mask, segment_ids])

    Raises:
      ValueError: rows longer than `max_position_embeddings`, or inputs that are missing.
    """

    config_class = AlbertConfig
    size_fields = (
        *SIZES["base"],
        "vocab_size",
        "max_position_embeddings",
        "type_vocab_size",
        "embedding_size",
        "num_hidden_groups",
    )

    def __init__(self, config: AlbertConfig | dict, **kwargs):
        super().__init__(config, **kwargs)
        config, policy = self.config, self.dtype_policy
        self.embeddings = Embeddings.of(config, config.embedding_size, dtype=policy, name="embeddings")
        self.embeddings_project = dense_of(config, "embeddings_project", dtype=policy)
        self.groups = [
            TransformerBlock.of(config, dtype=policy, name=f"group_{i}") for i in range(config.num_hidden_groups)
        ]
        self.pooler = dense_of(config, "pooler", activation="tanh", dtype=policy)
        self.build()

    @property
    def blocks(self) -> list[TransformerBlock]:
        """The block of each layer, in order; those of a group are the same."""
        layers, groups = self.config.num_hidden_layers, self.config.num_hidden_groups
        return [self.groups[layer * groups // layers] for layer in range(layers)]

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
        x = self.embeddings_project(x)  # [B, S, H]

        # L layers, each the block of its group: attention, feed-forward, each with a residual and a norm behind it
        bias = attention_bias(mask, positions)  # [B, 1, 1, S]: 0 for a token, -1e9 for padding
        hidden_states, attentions = [x], []
        for block in self.fast_blocks(training, outputs):
            x, probabilities = block(x, bias)  # [B, S, H], [B, N, S, S]
            hidden_states.append(x)
            attentions.append(probabilities)

        pooled = self.pooler(x[:, 0])  # tanh(W x + b) of the first token, [CLS]: [B, H]
        return self.outputs_like(
            inputs,
            outputs,
            pooled_output=pooled,
            sequence_output=x,
            hidden_states=hidden_states,
            attentions=attentions,
        )
