"""RoBERTa: BERT trained without segments and without next sentence prediction (Liu et al. 2019, fairseq)."""

from dataclasses import dataclass

import keras
from keras import ops

from tfkor.layers.encoder import Config, Encoder, block_of, dense_of, embeddings_of

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
class Roberta(Encoder):
    """Three int inputs [B, S] -> pooled_output [B, H] and sequence_output [B, S, H].

    Inputs, outputs and options are those of `Bert`, with two differences. The third input is there so that a RoBERTa
    stands wherever a BERT does, and is ignored: the published models know one segment only, as they were not trained
    on pairs, and mark the second text of a pair by separators. Positions count the tokens that `input_mask` shows, so
    that padding may also stand in front; the first two rows of the position table belong to padding.

        encoder = Roberta(RobertaConfig.of("base", vocab_size=32_000))
        pooled_output, sequence_output = encoder([input_word_ids, input_mask, segment_ids])

    Raises:
      ValueError: rows longer than `max_position_embeddings` - 2, or inputs with other names.
    """

    config_class = RobertaConfig
    size_fields = (*SIZES["base"], "vocab_size", "max_position_embeddings", "type_vocab_size")

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        config, policy = self.config, self.dtype_policy
        self.embeddings = embeddings_of(config, config.hidden_size, policy, POSITION_OFFSET)  # word + position
        self.blocks = [block_of(config, policy, f"block_{i}") for i in range(config.num_hidden_layers)]
        self.pooler = dense_of(config, policy, "pooler", activation="tanh")  # of the first token: [B, H]
        self.build()

    def embed(self, word_ids, mask, segment_ids, positions, training):
        if positions is None and len(mask.shape) == 2:
            mask = ops.cast(mask, "int32")
            positions = ops.cumsum(mask, axis=1) * mask - 1  # tokens 0, 1, 2 ...; padding -1, which is row 1
        return self.embeddings(word_ids, None, positions, training=training)
