"""Weights under the names that they have in the PyTorch models of Hugging Face `transformers`.

A table for each architecture: a weight of tfkor -> the tensor it is there. `{i}` counts the blocks. A kernel is the
transpose of PyTorch's weight. Where several tensors are named, they stand side by side in the last axis of the weight.
"""

import numpy as np
from keras import ops

# tfkor.models.Bert -> transformers.BertModel
BERT = {
    "embeddings.word_embeddings": "embeddings.word_embeddings.weight",
    "embeddings.position_embeddings": "embeddings.position_embeddings.weight",
    "embeddings.token_type_embeddings": "embeddings.token_type_embeddings.weight",
    "embeddings.norm.gamma": "embeddings.LayerNorm.weight",
    "embeddings.norm.beta": "embeddings.LayerNorm.bias",
    "blocks.{i}.attention.query.kernel": "encoder.layer.{i}.attention.self.query.weight",
    "blocks.{i}.attention.query.bias": "encoder.layer.{i}.attention.self.query.bias",
    "blocks.{i}.attention.key_value.kernel": (
        "encoder.layer.{i}.attention.self.key.weight",
        "encoder.layer.{i}.attention.self.value.weight",
    ),
    "blocks.{i}.attention.key_value.bias": (
        "encoder.layer.{i}.attention.self.key.bias",
        "encoder.layer.{i}.attention.self.value.bias",
    ),
    "blocks.{i}.attention.output_dense.kernel": "encoder.layer.{i}.attention.output.dense.weight",
    "blocks.{i}.attention.output_dense.bias": "encoder.layer.{i}.attention.output.dense.bias",
    "blocks.{i}.attention_norm.gamma": "encoder.layer.{i}.attention.output.LayerNorm.weight",
    "blocks.{i}.attention_norm.beta": "encoder.layer.{i}.attention.output.LayerNorm.bias",
    "blocks.{i}.intermediate_dense.kernel": "encoder.layer.{i}.intermediate.dense.weight",
    "blocks.{i}.intermediate_dense.bias": "encoder.layer.{i}.intermediate.dense.bias",
    "blocks.{i}.output_dense.kernel": "encoder.layer.{i}.output.dense.weight",
    "blocks.{i}.output_dense.bias": "encoder.layer.{i}.output.dense.bias",
    "blocks.{i}.output_norm.gamma": "encoder.layer.{i}.output.LayerNorm.weight",
    "blocks.{i}.output_norm.beta": "encoder.layer.{i}.output.LayerNorm.bias",
    "pooler.kernel": "pooler.dense.weight",
    "pooler.bias": "pooler.dense.bias",
}

TABLES = {"Bert": BERT}


def from_huggingface(encoder, tensors):
    """Assigns `tensors`, NumPy arrays under the names of transformers' state_dict, to all weights of `encoder`.

    Every tensor must be used and every weight be found; if one is not, nothing is assigned.

        from_huggingface(encoder, {name: t.numpy() for name, t in BertModel(config).state_dict().items()})

    Raises:
      ValueError: tensors that are missing, not expected or of another shape (all of them are listed), or an
        architecture without a table.
    """
    entries = weights_and_names(encoder)
    expected = {name: shape for weight, path, names in entries for name, shape in tensor_shapes(weight, path, names)}
    problems = [f"missing: {name} {shape}" for name, shape in expected.items() if name not in tensors]
    problems += [f"not expected: {name} {np.shape(tensors[name])}" for name in tensors if name not in expected]
    problems += [
        f"wrong shape: {name} is {np.shape(tensors[name])}, expected {shape}"
        for name, shape in expected.items()
        if name in tensors and np.shape(tensors[name]) != shape
    ]
    if problems:
        raise ValueError(
            f"these weights are not those of {type(encoder).__name__} with {encoder.config}; {len(problems)} of their "
            "tensors differ. Build the encoder with the config of the checkpoint\n  " + "\n  ".join(problems)
        )
    for weight, path, names in entries:
        parts = [np.asarray(tensors[name]) for name in names]
        parts = [part.T for part in parts] if is_kernel(path) else parts
        weight.assign(np.concatenate(parts, axis=-1).astype("float32"))


def to_huggingface(encoder):
    """Returns all weights of `encoder` as float32 arrays under the names of transformers' state_dict.

    Raises:
      ValueError: an architecture without a table.
    """
    tensors = {}
    for weight, path, names in weights_and_names(encoder):
        parts = np.split(ops.convert_to_numpy(weight), len(names), axis=-1)
        parts = [part.T for part in parts] if is_kernel(path) else parts
        tensors.update((name, np.array(part, dtype="float32", order="C")) for name, part in zip(names, parts))
    return tensors


def weights_and_names(encoder):
    """Returns (weight, its path, its names there) for each weight of an encoder that has a table."""
    architecture = type(encoder).__name__
    if architecture not in TABLES:
        raise ValueError(f"no names of Hugging Face are known for {architecture}; expected one of {sorted(TABLES)}")
    entries = []
    for path, names in TABLES[architecture].items():
        names = (names,) if isinstance(names, str) else names
        for i in range(len(encoder.blocks) if "{i}" in path else 1):
            ours = path.format(i=i)
            entries.append((weight_at(encoder, ours), ours, [name.format(i=i) for name in names]))
    return entries


def weight_at(model, path):
    for part in path.split("."):
        model = model[int(part)] if part.isdigit() else getattr(model, part)
    return model


def is_kernel(path):
    return path.endswith(".kernel")


def tensor_shapes(weight, path, names):
    shape = (*weight.shape[:-1], weight.shape[-1] // len(names))
    return [(name, shape[::-1] if is_kernel(path) else shape) for name in names]
