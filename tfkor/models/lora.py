"""Low-rank adaptation: a few weights are trained beside the frozen ones of an encoder (Hu et al. 2021).

The programs for fine-tuning use it with --lora_rank. A task with such an encoder is saved as an ordinary model, with
the LoRA weights added to its kernels, and is loaded, exported and used like any other; lora.npz in its folder holds the
LoRA weights alone, for `load_lora` and the encoder that they were trained on. Exports add them to the kernels too.
"""

import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import ops

from tfkor.files import new_file
from tfkor.models.backbone import Backbone
from tfkor.text import Tokenizer

LORA = "lora.npz"  # its name in the folder of a model


def add_lora(
    encoder: Backbone, rank: int = 8, alpha: float | None = None, layers: Sequence[str] | None = None
) -> None:
    """Freezes an encoder and adds two small trainable kernels to each of the named dense layers of its blocks.

    Args:
      rank: the inner dimension of the two kernels.
      alpha: their product is scaled by alpha / rank; None takes rank.
      layers: some of the names in `block.dense_layers`; None: the attention's projections to queries, keys and
        values, as in the paper.

    Raises:
      ValueError: no such layer, or an encoder that has these kernels already.
    """
    if lora_layers(encoder):
        raise ValueError("the encoder has LoRA weights already; expected one without")
    for variable in encoder.trainable_variables:
        variable.trainable = False
    for block in {id(block): block for block in encoder.blocks}.values():  # layers may have one in common
        for name in block.attention.projections if layers is None else layers:
            layer_of(block, name).enable_lora(rank, lora_alpha=alpha)


def layer_of(block: keras.layers.Layer, name: str) -> keras.layers.Layer:
    known = block.dense_layers
    if name not in known:
        raise ValueError(f"layers has {name!r}; expected some of {', '.join(known)}")
    return known[name]


def lora_layers(encoder: Backbone) -> dict[str, keras.layers.Layer]:
    """{path: dense layer} of those that have LoRA weights."""
    return {layer.path: layer for layer in encoder._flatten_layers() if getattr(layer, "lora_enabled", False)}


def base_of(encoder: Backbone) -> int:
    """A checksum in float16 of the kernels with LoRA weights, so that an encoder saved in float16 has the same."""
    kernels = (ops.convert_to_numpy(layer._kernel).astype("float16") for layer in lora_layers(encoder).values())
    checksum = 0
    for kernel in kernels:
        checksum = zlib.crc32(kernel.tobytes(), checksum)
    return checksum


def save_lora(path: str | os.PathLike, encoder: Backbone, tokenizer: Tokenizer | None = None) -> None:
    """Writes the LoRA weights alone into a .npz, with rank, alpha and layers, and the pooler if it is trained.

    With a `tokenizer`, the embeddings of its user symbols too, which a checkpoint may not have (`zoo.with_symbols`).

    Raises:
      ValueError: an encoder without LoRA weights.
    """
    layers = list(lora_layers(encoder).values())
    if not layers:
        raise ValueError("the encoder has no LoRA weights; expected one that add_lora made")
    names = [name for name, layer in encoder.blocks[0].dense_layers.items() if layer.lora_enabled]
    about = {"rank": layers[0].lora_rank, "alpha": layers[0].lora_alpha, "layers": names}
    about |= {"base": base_of(encoder), "vocab_size": encoder.config.vocab_size}
    kernels = {
        f"{i:03d}/{part}": ops.convert_to_numpy(getattr(layer, f"lora_kernel_{part}"))
        for i, layer in enumerate(layers)
        for part in "ab"
    }
    kernels |= {f"pooler/{i}": ops.convert_to_numpy(v) for i, v in enumerate(trained_pooler(encoder))}
    if tokenizer is not None and tokenizer.user_symbols:
        ids = np.array([tokenizer.vocab.index(symbol) for symbol in tokenizer.user_symbols])
        kernels |= {"symbols/ids": ids, "symbols/vectors": ops.convert_to_numpy(encoder.word_embeddings)[ids]}
    with new_file(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, about=np.array(json.dumps(about)), **kernels)


def trained_pooler(encoder: Backbone) -> list[keras.Variable]:
    return [] if encoder.pooler is None else encoder.pooler.trainable_variables


def load_lora(path: str | os.PathLike, encoder: Backbone) -> None:
    """Adds the LoRA weights of a file that `save_lora` wrote to the encoder that they were trained on.

    Raises:
      FileNotFoundError: no such file.
      ValueError: weights of another encoder, or of one with other kernels; the message names the file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; expected one that save_lora wrote")
    with np.load(path) as file:
        found = {name: file[name] for name in file.files}
    about = json.loads(str(found.pop("about")))
    ids, vectors = found.pop("symbols/ids", None), found.pop("symbols/vectors", None)
    if (size := about.get("vocab_size", encoder.config.vocab_size)) != encoder.config.vocab_size:
        raise ValueError(
            f"{path}: of an encoder with {size} word embeddings, this one has {encoder.config.vocab_size}; expected as "
            "many: add the symbols of its tokenizer first (tfkor.zoo.with_symbols)"
        )
    if not lora_layers(encoder):
        add_lora(encoder, about["rank"], about["alpha"], about["layers"])
    layers = lora_layers(encoder).values()
    kernels = [getattr(layer, f"lora_kernel_{part}") for layer in layers for part in "ab"]
    kernels += encoder.pooler.variables if "pooler/0" in found else []
    if [value.shape for value in found.values()] != [tuple(kernel.shape) for kernel in kernels]:
        raise ValueError(f"{path}: its {len(found)} kernels are not those of this encoder, {len(kernels)}")
    if base_of(encoder) != about["base"]:
        raise ValueError(
            f"{path}: trained beside other kernels than this encoder's; expected the checkpoint that it was trained on "
            "(a saved model has the LoRA weights in its kernels already)"
        )
    for kernel, value in zip(kernels, found.values()):
        kernel.assign(value)
    if ids is not None:
        embeddings = np.array(ops.convert_to_numpy(encoder.word_embeddings))
        embeddings[ids] = vectors
        encoder.word_embeddings.assign(embeddings)


def merge_lora(encoder: Backbone) -> Backbone:
    """A new encoder without LoRA weights that computes the same: they are added to the kernels.

    An encoder that has none is returned as it is.
    """
    if not lora_layers(encoder):
        return encoder
    merged = type(encoder)(encoder.config, dtype=encoder.dtype_policy)
    layers = lora_layers(encoder).values()
    own = {id(kernel) for layer in layers for kernel in (layer.lora_kernel_a, layer.lora_kernel_b)}
    kernels = {id(layer._kernel): layer for layer in layers}
    values = []
    for variable in encoder.variables:
        if id(variable) in kernels:
            layer = kernels[id(variable)]
            scale = layer.lora_alpha / layer.lora_rank
            values.append(variable + scale * ops.matmul(layer.lora_kernel_a, layer.lora_kernel_b))
        elif id(variable) not in own and "seed" not in variable.path:
            values.append(variable)
    targets = [variable for variable in merged.variables if "seed" not in variable.path]
    for variable, value in zip(targets, values, strict=True):
        variable.assign(value)
    return merged
