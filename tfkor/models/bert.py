"""BERT: a transformer encoder with three inputs (Devlin et al. 2019, google-research/bert).

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
from tfkor.models.backbone import Backbone, Config, dense_of

# Sizes of google-research/bert: base and large of the paper, the smaller ones of Turc et al. 2019.
SIZES = {
    "tiny": dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512),
    "mini": dict(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024),
    "small": dict(hidden_size=512, num_hidden_layers=4, num_attention_heads=8, intermediate_size=2048),
    "medium": dict(hidden_size=512, num_hidden_layers=8, num_attention_heads=8, intermediate_size=2048),
    "base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
    "large": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
}


@dataclass(frozen=True)
class BertConfig(Config):
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

    sizes = SIZES


@keras.saving.register_keras_serializable("tfkor")
class Bert(Backbone):
    """Three int inputs [B, S] -> pooled_output [B, H] and sequence_output [B, S, H].

    A list [input_word_ids, input_mask, segment_ids] gives the pair. A batch, a dict that has these three among its
    keys, gives a dict. With `output_hidden_states=True` it also holds `hidden_states`, a list of L + 1 tensors
    [B, S, H]; with `output_attentions=True` it holds `attentions`, a list of L tensors [B, N, S, S]. `outputs` names
    the outputs of one call instead; the others need not be computed.

        encoder = Bert(BertConfig.of("tiny", vocab_size=8000), dtype="mixed_bfloat16")
        pooled_output, sequence_output = encoder([input_word_ids, input_mask, segment_ids])
        attentions = encoder(batch, outputs=["attentions"])["attentions"]

    With sequence packing, several texts in a row, the batch has `positions`, int [B, S], which count the tokens of each
    text from 0, and `input_mask` numbers the texts from 1.

    Raises:
      ValueError: rows longer than `max_position_embeddings`, ids that the tables don't hold, or inputs that are
        missing.
    """

    config_class = BertConfig
    size_fields = (*SIZES["base"], "vocab_size", "max_position_embeddings", "type_vocab_size")

    def __init__(self, config: BertConfig | dict, **kwargs):
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
        word_ids, mask, segment_ids = three_inputs(batch)  # int [B, S] each
        positions = given_positions(batch, self.max_length)  # int [B, S] with sequence packing, else None

        # Word, position and segment embeddings
        embeddings = self.embeddings
        x = embeddings.words(word_ids)  # [B, S, H]
        x = x + embeddings.positions(ops.shape(word_ids)[1], positions)  # [S, H] of the learned table
        x = x + embeddings.segments(segment_ids)  # [B, S, H]
        x = embeddings.dropout(embeddings.norm(x), training=training)

        # L blocks: attention, feed-forward, each with a residual and a norm behind it
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
