"""DeBERTa-v2 and v3 as transformers publishes them: DebertaV2Model, DebertaV2ForMaskedLM and the others.

Files of Microsoft have what transformers ignores: the generator's head as `mask_predictions`, and absolute positions
that the model doesn't use. Their MLM head, `lm_predictions`, computes the same as `cls.predictions` of other files.
"""

from typing import Any

from tfkor.interop.architectures.record import EMBEDDINGS, FIXED, Architecture, block_table, masked_lm_table
from tfkor.layers.heads import MaskedLmHead

LAYER = "encoder.layer.{i}."
HEAD, OTHER_HEAD = "cls.predictions.", "lm_predictions.lm_head."


def config_in(fields: dict[str, Any], values: dict[str, Any], source: str) -> dict[str, Any]:
    for name in ("embedding_size", "pooler_hidden_size"):
        if values.get(name) not in (None, fields["hidden_size"]):
            raise ValueError(f"{source}: {name} is {values[name]!r}; tfkor's DeBERTa has that of hidden_size")
    heads = fields["num_attention_heads"]
    if (size := values.get("attention_head_size")) is not None and size * heads != fields["hidden_size"]:
        raise ValueError(f"{source}: attention_head_size is {size!r}; tfkor's DeBERTa has hidden_size by heads")
    kinds = fields["pos_att_type"]
    kinds = "|".join(kinds) if isinstance(kinds, list) else (kinds or "").lower().replace(" ", "")
    longest, norm = fields["max_relative_positions"], fields["norm_rel_ebd"]
    longest = -1 if type(longest) is int and longest < 1 else longest
    buckets = fields["position_buckets"]
    buckets = -1 if type(buckets) is int and buckets < 1 else buckets
    norm = norm.lower() if isinstance(norm, str) else norm
    changed = dict(pos_att_type=kinds, max_relative_positions=longest, position_buckets=buckets, norm_rel_ebd=norm)
    return {**fields, **changed}


def config_out(values: dict[str, Any], tokenizer: Any) -> dict[str, Any]:
    kinds = [kind for kind in values["pos_att_type"].split("|") if kind]
    return {**values, "pos_att_type": kinds, "pooler_hidden_size": values["hidden_size"], "pooler_hidden_act": "gelu"}


def tensors_in(tensors: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in tensors.items() if not name.startswith("mask_predictions.")}
    if not values.get("position_biased_input", True):
        found = {name: value for name, value in found.items() if "embeddings.position_embeddings." not in name}
    if values.get("legacy", True) and any(name.startswith(HEAD) for name in found):
        return {name: value for name, value in found.items() if not name.startswith(OTHER_HEAD)}
    found = {name: value for name, value in found.items() if not name.startswith(HEAD)}
    return {with_name_of_head(name): value for name, value in found.items()}


def with_name_of_head(name: str) -> str:
    """lm_predictions.lm_head.dense.weight -> cls.predictions.transform.dense.weight; other names as they are."""
    if not name.startswith(OTHER_HEAD):
        return name
    name = name.removeprefix(OTHER_HEAD)
    return HEAD + name if name == "bias" else f"{HEAD}transform.{name}"


RECORD = Architecture(
    name="deberta",
    class_name="DebertaV2",
    model_types=("deberta-v2",),
    prefix="deberta.",
    tensors={
        **EMBEDDINGS,
        "relative_embeddings.embeddings": "encoder.rel_embeddings.weight",
        "relative_norm.gamma": "encoder.LayerNorm.weight",
        "relative_norm.beta": "encoder.LayerNorm.bias",
        **block_table(
            "blocks.{i}",
            {
                "attention.query": LAYER + "attention.self.query_proj",
                "attention.key": LAYER + "attention.self.key_proj",
                "attention.value": LAYER + "attention.self.value_proj",
                "attention.position_key": LAYER + "attention.self.pos_key_proj",
                "attention.position_query": LAYER + "attention.self.pos_query_proj",
                "attention.output_dense": LAYER + "attention.output.dense",
                "attention_norm": LAYER + "attention.output.LayerNorm",
                "intermediate_dense": LAYER + "intermediate.dense",
                "output_dense": LAYER + "output.dense",
                "output_norm": LAYER + "output.LayerNorm",
            },
        ),
    },
    heads={
        MaskedLmHead: masked_lm_table(HEAD + "transform.dense", HEAD + "transform.LayerNorm", HEAD + "bias"),
    },
    tied={
        "cls.predictions.decoder.weight": "deberta.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    defaults={
        "deberta-v2": dict(
            vocab_size=128_100,
            hidden_size=1536,
            num_hidden_layers=24,
            num_attention_heads=24,
            intermediate_size=6144,
            relative_attention=False,
            position_buckets=-1,
            pos_att_type="",
            share_att_key=False,
            norm_rel_ebd="none",
            position_biased_input=True,
        )
    },
    fixed={**FIXED, "conv_kernel_size": (0, None), "pooler_hidden_act": ("gelu", None)},
    classifier={"head_dense": "pooler.dense", "head": "classifier"},
    config_in=config_in,
    config_out=config_out,
    tensors_in=tensors_in,
)
