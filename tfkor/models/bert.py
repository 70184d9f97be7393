"""BERT: a transformer encoder with three inputs (Devlin et al. 2019, google-research/bert)."""

from dataclasses import dataclass

import keras

from tfkor.layers.encoder import Config, Encoder, block_of, dense_of, embeddings_of

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
class Bert(Encoder):
    """Three int inputs [B, S] -> pooled_output [B, H] and sequence_output [B, S, H].

    A list [input_word_ids, input_mask, segment_ids] gives the pair, a dict of these names gives a dict. With
    `output_hidden_states=True` the dict also holds `hidden_states`, a list of L + 1 tensors [B, S, H]; with
    `output_attentions=True` it holds `attentions`, a list of L tensors [B, N, S, S]. The weights exist at once.

        encoder = Bert(BertConfig.of("tiny", vocab_size=8000), dtype="mixed_bfloat16")
        pooled_output, sequence_output = encoder([input_word_ids, input_mask, segment_ids])

    Raises:
      ValueError: rows longer than `max_position_embeddings`, or inputs with other names.
    """

    config_class = BertConfig
    size_fields = (*SIZES["base"], "vocab_size", "max_position_embeddings", "type_vocab_size")

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        config, policy = self.config, self.dtype_policy
        self.embeddings = embeddings_of(config, config.hidden_size, policy)  # word + position + segment: [B, S, H]
        self.blocks = [block_of(config, policy, f"block_{i}") for i in range(config.num_hidden_layers)]
        self.pooler = dense_of(config, policy, "pooler", activation="tanh")  # of the first token: [B, H]
        self.build()
