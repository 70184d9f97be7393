"""The record of an architecture, and tables of names that several records have in common.

A table is {the path of a weight of tfkor: the tensor that it is in transformers}. `{i}` counts the blocks. A kernel is
the transpose of PyTorch's weight. Where several tensors are named, they are concatenated along the last axis.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# Options of a config.json that change what a model computes, with the values that tfkor's models have
FIXED = {
    "position_embedding_type": ("absolute", None),
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
    "inner_group_num": (1, None),
    "chunk_size_feed_forward": (0, None),
}


def unchanged(values: dict[str, Any], *_: Any) -> dict[str, Any]:
    return values


@dataclass(frozen=True)
class Architecture:
    """How an architecture is published by Hugging Face `transformers`.

    Attributes:
      name: in `tfkor.models.registry`.
      class_name: prefix of its class names in transformers, "Bert" of BertModel.
      other_class_names: prefixes of classes that load into it too, "XLMRoberta" for example.
      model_types: those of config.json that are this architecture; the first one is written.
      prefix: of the encoder's tensors in a model that has a head.
      tensors: table of the encoder.
      heads: {class of a head: table}.
      tied: {copy: name} of the tensors that a state_dict holds a second time (Press and Wolf 2017).
      defaults: {model_type: transformers' defaults of what a config.json leaves out, where tfkor's differ}.
      fixed: {key of config.json: the values that tfkor's model has}.
      pair_head: name of its PairHead: the objective that the published one was trained on.
      classifier: {attribute of a ClassificationModel: name of the layer in transformers}.
      classifier_pooler: the layer of a sequence classifier in transformers that is the encoder's pooler in tfkor, where
        transformers has it outside of the encoder.
      config_in, config_out: change the values of a config.json into the fields of the config, and back; config_out
        gets the tokenizer too, or None.
      tensors_in, tensors_out: change the tensors of a folder into those of the tables, and back; they also get the
        values of config.json.
    """

    name: str
    class_name: str
    model_types: tuple[str, ...]
    prefix: str
    tensors: dict[str, str | tuple[str, ...]]
    heads: dict[type, dict[str, str]] = field(default_factory=dict)
    tied: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, dict[str, Any]] = field(default_factory=dict)
    fixed: dict[str, tuple] = field(default_factory=lambda: FIXED)
    other_class_names: tuple[str, ...] = ()
    pair_head: str = "pair_head"
    classifier: dict[str, str] = field(default_factory=lambda: {"head": "classifier"})
    classifier_pooler: str | None = None
    config_in: Callable = unchanged
    config_out: Callable = unchanged
    tensors_in: Callable = unchanged
    tensors_out: Callable = unchanged

    @property
    def class_names(self) -> tuple[str, ...]:
        """The prefixes of its class names in transformers."""
        return (self.class_name, *self.other_class_names)


EMBEDDINGS = {
    "embeddings.word_embeddings": "embeddings.word_embeddings.weight",
    "embeddings.position_embeddings": "embeddings.position_embeddings.weight",
    "embeddings.token_type_embeddings": "embeddings.token_type_embeddings.weight",
    "embeddings.norm.gamma": "embeddings.LayerNorm.weight",
    "embeddings.norm.beta": "embeddings.LayerNorm.bias",
}
PROJECT = {
    "embeddings_project.kernel": "embeddings_project.weight",
    "embeddings_project.bias": "embeddings_project.bias",
}
POOLER = {"pooler.kernel": "pooler.dense.weight", "pooler.bias": "pooler.dense.bias"}


def block_table(ours: str, names: dict[str, str | tuple[str, ...]]) -> dict[str, str | tuple[str, ...]]:
    """The table of a block's dense layers and norms: {layer: layer of transformers, or several in a row}."""
    table = {}
    for layer, theirs in names.items():
        parts = ("gamma", "beta") if layer.endswith("norm") else ("kernel", "bias")
        for part, tail in zip(parts, ("weight", "bias")):
            named = f"{theirs}.{tail}" if isinstance(theirs, str) else tuple(f"{name}.{tail}" for name in theirs)
            table[f"{ours}.{layer}.{part}"] = named
    return table


BLOCKS = block_table(
    "blocks.{i}",
    {
        "attention.query": "encoder.layer.{i}.attention.self.query",
        "attention.key_value": ("encoder.layer.{i}.attention.self.key", "encoder.layer.{i}.attention.self.value"),
        "attention.output_dense": "encoder.layer.{i}.attention.output.dense",
        "attention_norm": "encoder.layer.{i}.attention.output.LayerNorm",
        "intermediate_dense": "encoder.layer.{i}.intermediate.dense",
        "output_dense": "encoder.layer.{i}.output.dense",
        "output_norm": "encoder.layer.{i}.output.LayerNorm",
    },
)


def masked_lm_table(dense: str, norm: str, bias: str) -> dict[str, str]:
    """The table of a MaskedLmHead."""
    return {
        "dense.kernel": f"{dense}.weight",
        "dense.bias": f"{dense}.bias",
        "norm.gamma": f"{norm}.weight",
        "norm.beta": f"{norm}.bias",
        "bias": bias,
    }


def dense_table(ours: str, theirs: str) -> dict[str, str]:
    """The table of one dense layer."""
    return {f"{ours}.kernel": f"{theirs}.weight", f"{ours}.bias": f"{theirs}.bias"}
