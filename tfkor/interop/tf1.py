"""Checkpoints of google-research/bert, albert and electra, written by TensorFlow 1, under Hugging Face's names.

A kernel is [in, out] in these checkpoints, and [out, in] in PyTorch; `output_weights` are [out, in] in both. The
optimizers' slots (optimization.py of each) and the global step are left out.
"""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

SLOTS = re.compile(r"(^|/)(adam_[mv]|lamb_[mv]|global_step|beta[12]_power|(Adam|LAMB|AdamWeightDecay)\w*)(/|$)")
SUFFIXES = (".index", ".meta")

# A pattern of TensorFlow's name -> Hugging Face's; what does not match stays, with dots for slashes
COMMON = [
    (r"/LayerNorm/gamma$", "/LayerNorm/weight"),
    (r"/LayerNorm/beta$", "/LayerNorm/bias"),
    (r"/kernel$", "/weight"),
    (r"(word_embeddings|position_embeddings|token_type_embeddings)$", r"\1/weight"),
    (r"/layer_(\d+)/", r"/layer/\1/"),
]
BERT = [
    (r"^cls/predictions/output_bias$", "cls/predictions/bias"),
    (r"^cls/seq_relationship/output_weights$", "cls/seq_relationship/weight"),
    (r"^cls/seq_relationship/output_bias$", "cls/seq_relationship/bias"),
]
ALBERT_LAYER = r"^bert/encoder/transformer/group_(\d+)/inner_group_(\d+)/"
ALBERT_TARGET = r"albert/encoder/albert_layer_groups/\1/albert_layers/\2/"
ALBERT = [
    (ALBERT_LAYER + r"attention_1/self/(query|key|value)/", ALBERT_TARGET + r"attention/\3/"),
    (ALBERT_LAYER + r"attention_1/output/dense/", ALBERT_TARGET + "attention/dense/"),
    (ALBERT_LAYER + r"LayerNorm/", ALBERT_TARGET + "attention/LayerNorm/"),
    (ALBERT_LAYER + r"ffn_1/intermediate/dense/", ALBERT_TARGET + "ffn/"),
    (ALBERT_LAYER + r"ffn_1/intermediate/output/dense/", ALBERT_TARGET + "ffn_output/"),
    (ALBERT_LAYER + r"LayerNorm_1/gamma$", ALBERT_TARGET + "full_layer_layer_norm/weight"),
    (ALBERT_LAYER + r"LayerNorm_1/beta$", ALBERT_TARGET + "full_layer_layer_norm/bias"),
    (r"^bert/pooler/dense/", "albert/pooler/"),
    (r"^bert/", "albert/"),
    (r"^cls/predictions/transform/", "predictions/"),
    (r"^cls/predictions/output_bias$", "predictions/bias"),
    (r"^cls/seq_relationship/output_weights$", "sop_classifier/classifier/weight"),
    (r"^cls/seq_relationship/output_bias$", "sop_classifier/classifier/bias"),
]
ELECTRA = [
    (r"^discriminator_predictions/dense_1/", "discriminator_predictions/dense_prediction/"),
]
GENERATOR = [
    (r"^generator/", "electra/"),
    (r"^generator_predictions/output_bias$", "generator_lm_head/bias"),
]


def read_tf1(path: str | os.PathLike, generator: bool = False) -> tuple[str, dict[str, np.ndarray]]:
    """Returns ("bert", "albert" or "electra", {Hugging Face's name: float32 array}) of a TF 1 checkpoint.

    Args:
      path: the checkpoint's prefix, such as bert_model.ckpt, or its .index file.
      generator: of an ELECTRA checkpoint, which holds both networks, the generator instead of the discriminator.

    Raises:
      FileNotFoundError: no such checkpoint.
      ValueError: it can't be read, or is none of the three architectures; the message names it.
    """
    import tensorflow as tf

    path = Path(path)
    prefix = path.with_suffix("") if path.suffix in SUFFIXES else path
    if not Path(f"{prefix}.index").is_file():
        raise FileNotFoundError(f"{prefix}.index: no such file; expected a checkpoint's prefix, as bert_model.ckpt")
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        names = [name for name in reader.get_variable_to_shape_map() if not SLOTS.search(name)]
        tensors = {name.removeprefix("module/"): reader.get_tensor(name) for name in names}
    except (tf.errors.OpError, RuntimeError, ValueError, IndexError) as error:
        raise ValueError(f"{prefix}: {str(error).splitlines()[0]}; expected a whole TF 1 checkpoint") from error
    kind = architecture(tensors, prefix)
    if kind == "electra":
        tensors = one_network(tensors, generator)
    rules = {"bert": BERT, "albert": ALBERT, "electra": GENERATOR if generator else ELECTRA}[kind]
    return kind, dict(renamed(name, value, rules) for name, value in tensors.items())


def architecture(tensors: dict[str, np.ndarray], source: object) -> str:
    if any(name.startswith("electra/") for name in tensors):
        return "electra"
    if any("/inner_group_" in name for name in tensors):
        return "albert"
    if any(name.startswith("bert/encoder/layer_") for name in tensors):
        return "bert"
    raise ValueError(
        f"{source}: no variables of google-research/bert, albert or electra; found {', '.join(sorted(tensors)[:3])} ..."
    )


def one_network(tensors: dict[str, np.ndarray], generator: bool) -> dict[str, np.ndarray]:
    """The tensors of the discriminator, or those of the generator, which may share the discriminator's embeddings."""
    out = {}
    for name, value in tensors.items():
        generators = name.startswith("generator")
        shared = name.startswith("electra/embeddings/")
        if generators == generator or (generator and shared and f"generator{name[7:]}" not in tensors):
            out[name] = value
    return out


def renamed(name: str, value: np.ndarray, rules: list[tuple[str, str]]) -> tuple[str, np.ndarray]:
    """(Hugging Face's name, the array in PyTorch's layout)"""
    new = name
    for pattern, replacement in (*rules, *COMMON):
        new = re.sub(pattern, replacement, new)
    return new.replace("/", "."), np.asarray(value.T if name.endswith("/kernel") else value, np.float32)


def sizes_of(kind: str, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    """The fields of a config that shapes show, for the checkpoints of ELECTRA, which come without a file of sizes.

    The heads are taken to be 64 wide, as in all published models.
    """
    prefix = {"bert": "bert.", "albert": "albert.", "electra": "electra."}[kind]
    words, positions, types = (
        tensors[f"{prefix}embeddings.{name}_embeddings.weight"].shape for name in ("word", "position", "token_type")
    )
    layers = {match[1] for name in tensors if (match := re.match(r".*encoder\.layer\.(\d+)\.", name))}
    hidden = tensors[f"{prefix}encoder.layer.0.attention.self.query.weight"].shape[0]
    return {
        "vocab_size": words[0],
        "embedding_size": words[1],
        "hidden_size": hidden,
        "num_hidden_layers": len(layers),
        "num_attention_heads": max(1, hidden // 64),
        "intermediate_size": tensors[f"{prefix}encoder.layer.0.intermediate.dense.weight"].shape[0],
        "max_position_embeddings": positions[0],
        "type_vocab_size": types[0],
    }
