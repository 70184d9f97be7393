"""RoBERTa: BERT trained without segments and without next sentence prediction (Liu et al. 2019, fairseq).

    B  texts of a batch     H  hidden_size              L  num_hidden_layers
    S  tokens of a text     N  num_attention_heads      I  intermediate_size
"""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
from keras import ops

from tfkor.layers.attention import attention_bias
from tfkor.layers.blocks import TransformerBlock
from tfkor.layers.embeddings import Embeddings
from tfkor.layers.inputs import Batch, Tensor, as_batch, given_positions, three_inputs
from tfkor.layers.positions import positions_of_tokens
from tfkor.models.backbone import Backbone, Config, dense_of

# base and large: published by fairseq. The smaller ones have the sizes of BERT's of that name (Turc et al. 2019).
SIZES = {
    "tiny": dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512),
    "mini": dict(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024),
    "small": dict(hidden_size=512, num_hidden_layers=4, num_attention_heads=8, intermediate_size=2048),
    "medium": dict(hidden_size=512, num_hidden_layers=8, num_attention_heads=8, intermediate_size=2048),
    "base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
    "large": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
}
POSITION_OFFSET = 2  # fairseq counts positions from its padding id 1, and the first token is one after it


@dataclass(frozen=True)
class RobertaConfig(Config):
    """Sizes of a RoBERTa encoder. `RobertaConfig.of("base")`; 514 positions are rows of up to 512 tokens."""

    vocab_size: int = 32_000
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 514
    type_vocab_size: int = 1
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-5

    sizes = SIZES
    position_offset = POSITION_OFFSET


@keras.saving.register_keras_serializable("tfkor")
class Roberta(Backbone):
    """Three int inputs [B, S] -> pooled_output [B, H] and sequence_output [B, S, H].

    Inputs, outputs and options are those of `Bert`, with two differences. The third input is accepted so that a
    RoBERTa can replace a BERT, and is ignored: the published models know one segment only, as they were not trained
    on pairs, and mark the second text of a pair by separators. Positions count the tokens that `input_mask` shows, so
    that padding may also come first; the first two rows of the position table belong to padding.

        encoder = Roberta(RobertaConfig.of("base", vocab_size=32_000))
        pooled_output, sequence_output = encoder([input_word_ids, input_mask, segment_ids])

    Raises:
      ValueError: rows longer than `max_position_embeddings` - 2, or inputs that are missing.
    """

    config_class = RobertaConfig
    size_fields = (*SIZES["base"], "vocab_size", "max_position_embeddings", "type_vocab_size")

    def __init__(self, config: RobertaConfig | dict, **kwargs):
        super().__init__(config, **kwargs)
        config, policy = self.config, self.dtype_policy
        self.embeddings = Embeddings.of(config, config.hidden_size, dtype=policy, name="embeddings")
        self.blocks = [
            TransformerBlock.of(config, dtype=policy, name=f"block_{i}") for i in range(config.num_hidden_layers)
        ]
        self.pooler = dense_of(config, "pooler", activation="tanh", dtype=policy)
        self.build()

    def call(
        self, inputs: Batch | list[Tensor], training: bool = False, outputs: Sequence[str] | None = None
    ) -> tuple | dict:
        batch = as_batch(inputs)
        word_ids, mask, _ = three_inputs(batch)  # int [B, S] each; the third is not used
        positions = given_positions(batch, self.max_length)  # int [B, S] with sequence packing, else None

        # Word and position embeddings; positions count the tokens of the mask from 0, and padding has -1
        embeddings = self.embeddings
        token_positions = positions_of_tokens(mask) if positions is None and len(mask.shape) == 2 else positions
        x = embeddings.words(word_ids)  # [B, S, H]
        x = x + embeddings.positions(ops.shape(word_ids)[1], token_positions)  # [B, S, H]; position 0 is in row 2
        x = x + embeddings.segments(None)  # [H], there is one segment
        x = embeddings.dropout(embeddings.norm(x), training=training)

        # L blocks: attention, feed-forward, each with a residual and a norm behind it
        bias = attention_bias(mask, positions)  # [B, 1, 1, S]: 0 for a token, -1e9 for padding
        hidden_states, attentions = [x], []
        for block in self.fast_blocks(training, outputs):
            x, probabilities = block(x, bias)  # [B, S, H], [B, N, S, S]
            hidden_states.append(x)
            attentions.append(probabilities)

        pooled = self.pooler(x[:, 0])  # tanh(W x + b) of the first token, <s>: [B, H]
        return self.outputs_like(
            inputs,
            outputs,
            pooled_output=pooled,
            sequence_output=x,
            hidden_states=hidden_states,
            attentions=attentions,
        )
