"""DeBERTa: attention that treats content and position separately (He et al. 2021; V3: He et al. 2023).

    B  texts of a batch     H  hidden_size              L  num_hidden_layers
    S  tokens of a text     N  num_attention_heads      I  intermediate_size
    D  size of a head, H / N                            K  distances, or buckets of them, to either side
    Q  positions that attend; S, unless fewer are asked for

What differs from BERT: no absolute positions (in most checkpoints), but a table of 2K vectors for relative ones, from
which every block computes keys and queries; no pooler; padding is zero behind the embeddings. What differs from the
paper, as in Microsoft's code: V2 and V3 put distant positions into buckets, and take delta(i, j) where the paper has
delta(j, i). The enhanced mask decoder is not here: transformers and the Korean checkpoints don't have it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import keras
from keras import ops

from tfkor.layers.attention import attention_bias, dot_product_attention, join_heads, split_heads
from tfkor.layers.blocks import TransformerBlock
from tfkor.layers.dropout import Dropout
from tfkor.layers.embeddings import Embeddings
from tfkor.layers.inputs import Batch, Tensor, as_batch, check_length, given_positions, three_inputs
from tfkor.layers.norm import LayerNorm
from tfkor.layers.positions import by_distance, relative_rows
from tfkor.models.backbone import Backbone, Config, dense_of

# xsmall to large: microsoft/deberta-v3. tiny and mini, for quick runs, are tfkor's own.
SIZES = {
    "tiny": dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512),
    "mini": dict(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024),
    "xsmall": dict(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536),
    "small": dict(hidden_size=768, num_hidden_layers=6, num_attention_heads=12, intermediate_size=3072),
    "base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
    "large": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
}


@dataclass(frozen=True)
class DebertaConfig(Config):
    """Sizes of a DeBERTa encoder, by default in the form of V3 and of kf-deberta. `DebertaConfig.of("base")`.

    `pos_att_type` names the terms beside content to content: "c2p" and "p2c", separated by |. Distances are put into
    `position_buckets` buckets to either side, if it is above 0; these reach to `max_relative_positions`, or to
    max_position_embeddings where that is -1. `share_att_key`: relative keys and queries are computed by the weights of
    the content's. `norm_rel_ebd`: "layer_norm" or "none". `position_biased_input`: absolute positions are added too.
    """

    vocab_size: int = 32_000
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = field(default=0, metadata={"least": 0})
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-7
    relative_attention: bool = True
    position_buckets: int = field(default=256, metadata={"least": -1})
    max_relative_positions: int = field(default=-1, metadata={"least": -1})
    pos_att_type: str = "p2c|c2p"
    share_att_key: bool = True
    norm_rel_ebd: str = "layer_norm"
    position_biased_input: bool = False

    sizes = SIZES

    def __post_init__(self):
        super().__post_init__()
        if unknown := [kind for kind in self.pos_att_type.split("|") if kind not in ("c2p", "p2c", "")]:
            raise ValueError(f"pos_att_type has {unknown[0]!r}; expected c2p, p2c or both, separated by |")
        if self.norm_rel_ebd not in ("layer_norm", "none"):
            raise ValueError(f"norm_rel_ebd is {self.norm_rel_ebd!r}; expected 'layer_norm' or 'none'")
        if 0 < self.max_relative_positions <= self.position_buckets // 2 + 1:
            found, least = self.max_relative_positions, self.position_buckets // 2 + 2
            raise ValueError(f"max_relative_positions is {found}; expected -1, or at least {least} for these buckets")

    @property
    def reach(self) -> int:
        """The distance that the last bucket is for."""
        return self.max_relative_positions if self.max_relative_positions > 0 else self.max_position_embeddings

    @property
    def span(self) -> int:
        """K: half of the rows of the table of relative positions."""
        return self.position_buckets if self.position_buckets > 0 else self.reach


class DisentangledSelfAttention(keras.layers.Layer):
    """Attention of x [B, S, H] by content and relative position (He et al. 2021, section 3.1).

        score of i for j = (q_i . k_j  +  q_i . k^r_delta(i, j)  +  k_j . q^r_delta(i, j)) / sqrt(3 D)
                            content        c2p                       p2c

    Takes a bias float32 [B, 1, S, S] and the table of relative positions [2K, H], and gives the context [B, S, H] and
    the probabilities [B, N, S, S]. `queries`, the first positions of x [B, Q, H], and `seed` are as in `SelfAttention`.
    """

    def __init__(self, config: DebertaConfig, **kwargs):
        super().__init__(autocast=False, name="attention", **kwargs)  # the bias stays float32
        policy = self.dtype_policy
        self.config, self.num_heads = config, config.num_attention_heads
        self.c2p, self.p2c = ("c2p" in config.pos_att_type), ("p2c" in config.pos_att_type)
        self.query, self.key, self.value, self.output_dense = (
            dense_of(config, name, dtype=policy) for name in ("query", "key", "value", "output_dense")
        )
        own = config.relative_attention and not config.share_att_key
        self.position_key = dense_of(config, "position_key", dtype=policy) if own and self.c2p else None
        self.position_query = dense_of(config, "position_query", dtype=policy) if own and self.p2c else None
        self.dropout = Dropout(config.attention_probs_dropout_prob, dtype=policy, name="dropout")
        self.position_dropout = Dropout(config.hidden_dropout_prob, dtype=policy, name="position_dropout")
        # delta(i, j) of the paper, the row of the table, for each distance i - j from P - 1 down to 1 - P: int [2P - 1]
        self.longest = config.max_position_embeddings  # P
        self.rows = relative_rows(self.longest, config.span, config.position_buckets, config.reach)

    @property
    def projections(self) -> dict[str, keras.layers.Layer]:
        """{name: dense layer} of the projections to queries, keys and values."""
        found = {name: getattr(self, name) for name in ("query", "key", "value", "position_key", "position_query")}
        return {name: layer for name, layer in found.items() if layer is not None}

    def build(self, input_shape: tuple | None = None) -> None:
        for layer in (*self.projections.values(), self.output_dense):
            layer.build((None, None, self.config.hidden_size))
        self.built = True

    def call(self, x, bias, relative=None, queries=None, seed=None, training=False) -> tuple[Tensor, Tensor]:
        seed = (None, None) if seed is None else seed
        query = split_heads(self.query(x if queries is None else queries), self.num_heads)  # [B, N, Q, D]
        key = split_heads(self.key(x), self.num_heads)  # [B, N, S, D]
        value = split_heads(self.value(x), self.num_heads)  # [B, N, S, D]
        scale = ((1 + self.c2p + self.p2c) * query.shape[-1]) ** -0.5
        bias = bias[:, :, : ops.shape(query)[2]]  # [B, 1, Q, S]
        shown = ops.cast(ops.max(bias, axis=-1, keepdims=True) == 0, "float32")  # [B, 1, Q, 1]: 0 for padding, which
        query = query * ops.cast(shown, query.dtype)  # attends to all alike, so that no weight has a gradient of it
        if relative is not None:
            relative = self.position_dropout(relative, training=training, seed=seed[0])  # [2K, H]
            bias = bias + scale * shown * self.relative_scores(query, key, relative)  # [B, N, Q, S]
        context, probabilities = dot_product_attention(
            query, key, value, bias, lambda p: self.dropout(p, training=training, seed=seed[1]), scale
        )
        return self.output_dense(join_heads(context)), probabilities  # [B, Q, H]

    def relative_scores(self, query: Tensor, key: Tensor, relative: Tensor) -> Tensor:
        """query [B, N, Q, D], key [B, N, S, D], the table [2K, H] -> float32 [B, N, Q, S], c2p and p2c."""
        first, last = self.longest - ops.shape(query)[2], self.longest - 1 + ops.shape(key)[2]
        rows = ops.convert_to_tensor(self.rows)[first:last]  # delta for i - j from Q - 1 down to 1 - S: [Q + S - 1]
        scores = 0.0
        if self.c2p:
            position_key = (self.position_key or self.key)(relative[None])  # [1, 2K, H]
            position_key = split_heads(ops.take(position_key, rows, axis=1), self.num_heads)  # [1, N, Q + S - 1, D]
            c2p = ops.matmul(query, ops.swapaxes(position_key, -1, -2))  # [B, N, Q, Q + S - 1]
            scores = scores + ops.cast(by_distance(c2p), "float32")  # [B, N, Q, S]
        if self.p2c:
            position_query = (self.position_query or self.query)(relative[None])  # [1, 2K, H]
            position_query = split_heads(ops.take(position_query, ops.flip(rows), axis=1), self.num_heads)
            p2c = ops.matmul(key, ops.swapaxes(position_query, -1, -2))  # [B, N, S, Q + S - 1]
            scores = scores + ops.cast(ops.swapaxes(by_distance(p2c), -1, -2), "float32")  # [B, N, Q, S]
        return scores

    def draw_seed(self) -> tuple:
        """Returns the seeds of the next call's two dropouts."""
        return self.position_dropout.draw_seed(), self.dropout.draw_seed()


@keras.saving.register_keras_serializable("tfkor")
class Deberta(Backbone):
    """Three int inputs [B, S] -> pooled_output [B, H] and sequence_output [B, S, H].

    Inputs, outputs and options are those of `Bert`. There is no pooler: pooled_output is the vector of the first token.
    The third input is ignored where type_vocab_size is 0, as in all Korean checkpoints.

        encoder = Deberta(DebertaConfig.of("base", vocab_size=64_100))
        pooled_output, sequence_output = encoder([input_word_ids, input_mask, segment_ids])

    Raises:
      ValueError: rows longer than `max_position_embeddings`, or inputs that are missing.
    """

    config_class = DebertaConfig
    classifier_act = "gelu"
    size_fields = (*SIZES["base"], "vocab_size", "max_position_embeddings", "type_vocab_size", "span")
    size_fields += ("relative_attention", "share_att_key", "position_biased_input")

    def __init__(self, config: DebertaConfig | dict, **kwargs):
        super().__init__(config, **kwargs)
        config, policy = self.config, self.dtype_policy
        positions = config.max_position_embeddings if config.position_biased_input else 0  # 0: no table
        options = dict(max_position_embeddings=positions, dtype=policy, name="embeddings")
        self.embeddings = Embeddings.of(config, config.hidden_size, **options)
        self.relative_embeddings = self.relative_norm = None
        if config.relative_attention:
            normal = keras.initializers.TruncatedNormal(stddev=config.initializer_range)
            options = dict(embeddings_initializer=normal, dtype=policy, name="relative_embeddings")
            self.relative_embeddings = keras.layers.Embedding(2 * config.span, config.hidden_size, **options)
            self.relative_embeddings.build()
        if config.norm_rel_ebd == "layer_norm":
            self.relative_norm = LayerNorm(config.layer_norm_eps, dtype=policy, name="relative_norm")
            self.relative_norm.build((None, config.hidden_size))
        self.blocks = []
        for i in range(config.num_hidden_layers):
            attention = DisentangledSelfAttention(config, dtype=policy)
            self.blocks.append(TransformerBlock.of(config, attention, dtype=policy, name=f"block_{i}"))
        self.pooler = keras.layers.Identity(dtype=policy, name="pooler")
        self.build()

    @property
    def max_length(self) -> int:
        """How many tokens a row may have."""
        return self.config.max_position_embeddings

    def call(self, inputs: Batch | list[Tensor], training: bool = False, outputs: Sequence[str] | None = None):
        batch = as_batch(inputs)
        word_ids, mask, segment_ids = three_inputs(batch)  # int [B, S] each
        positions = given_positions(batch, self.max_length)  # int [B, S] with sequence packing, else None
        length = ops.shape(word_ids)[1]
        check_length(length, self.max_length)

        # Word embeddings; position and segment embeddings in checkpoints that have tables for these
        embeddings = self.embeddings
        x = embeddings.words(word_ids)  # [B, S, H]
        if self.config.position_biased_input:
            x = x + embeddings.positions(length, positions)  # [S, H] of the learned table
        if self.config.type_vocab_size:
            x = x + embeddings.segments(segment_ids)  # [B, S, H]
        shown = (mask if len(mask.shape) == 2 else ops.max(mask, axis=1)) > 0  # bool [B, S]
        x = embeddings.norm(x) * ops.cast(shown, self.compute_dtype)[..., None]  # padding is zero
        x = embeddings.dropout(x, training=training)

        # L blocks: attention, feed-forward, each with a residual and a norm behind it. The mask numbers the texts of a
        # row, which don't see each other, so that i - j is the distance within each. Padding sees nothing
        token_positions = ops.arange(length) if positions is None else positions
        context = [attention_bias(mask, token_positions)]  # float32 [B, 1, S, S]: 0 within a text, else -1e9
        if self.relative_embeddings is not None:
            relative = ops.cast(self.relative_embeddings.embeddings, self.compute_dtype)  # [2K, H]
            context.append(relative if self.relative_norm is None else self.relative_norm(relative))
        hidden_states, attentions = [x], []
        for block in self.fast_blocks(training, outputs):
            x, probabilities = block(x, *context)  # [B, S, H], [B, N, S, S]
            hidden_states.append(x)
            attentions.append(probabilities)

        pooled = self.pooler(x[:, 0])  # the first token's vector as it is: [B, H]
        found = dict(pooled_output=pooled, sequence_output=x, hidden_states=hidden_states, attentions=attentions)
        return self.outputs_like(inputs, outputs, **found)
