"""Weights under the names that they have in the PyTorch models of Hugging Face `transformers`.

A table for each architecture and each head: a weight of tfkor -> the tensor it is there. `{i}` counts the blocks. A
kernel is the transpose of PyTorch's weight. Where several tensors are named, they stand side by side in the last axis
of the weight.
"""

import numpy as np
from keras import ops

EMBEDDINGS = {
    "embeddings.word_embeddings": "embeddings.word_embeddings.weight",
    "embeddings.position_embeddings": "embeddings.position_embeddings.weight",
    "embeddings.token_type_embeddings": "embeddings.token_type_embeddings.weight",
    "embeddings.norm.gamma": "embeddings.LayerNorm.weight",
    "embeddings.norm.beta": "embeddings.LayerNorm.bias",
}
BLOCKS = {
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
}
POOLER = {"pooler.kernel": "pooler.dense.weight", "pooler.bias": "pooler.dense.bias"}

# tfkor.models.Bert -> transformers.BertModel, and so on
BERT = {**EMBEDDINGS, **BLOCKS, **POOLER}
ALBERT_LAYER = "encoder.albert_layer_groups.{i}.albert_layers.0."
ALBERT = {
    **EMBEDDINGS,
    "embeddings_project.kernel": "encoder.embedding_hidden_mapping_in.weight",
    "embeddings_project.bias": "encoder.embedding_hidden_mapping_in.bias",
    "groups.{i}.attention.query.kernel": ALBERT_LAYER + "attention.query.weight",
    "groups.{i}.attention.query.bias": ALBERT_LAYER + "attention.query.bias",
    "groups.{i}.attention.key_value.kernel": (
        ALBERT_LAYER + "attention.key.weight",
        ALBERT_LAYER + "attention.value.weight",
    ),
    "groups.{i}.attention.key_value.bias": (ALBERT_LAYER + "attention.key.bias", ALBERT_LAYER + "attention.value.bias"),
    "groups.{i}.attention.output_dense.kernel": ALBERT_LAYER + "attention.dense.weight",
    "groups.{i}.attention.output_dense.bias": ALBERT_LAYER + "attention.dense.bias",
    "groups.{i}.attention_norm.gamma": ALBERT_LAYER + "attention.LayerNorm.weight",
    "groups.{i}.attention_norm.beta": ALBERT_LAYER + "attention.LayerNorm.bias",
    "groups.{i}.intermediate_dense.kernel": ALBERT_LAYER + "ffn.weight",
    "groups.{i}.intermediate_dense.bias": ALBERT_LAYER + "ffn.bias",
    "groups.{i}.output_dense.kernel": ALBERT_LAYER + "ffn_output.weight",
    "groups.{i}.output_dense.bias": ALBERT_LAYER + "ffn_output.bias",
    "groups.{i}.output_norm.gamma": ALBERT_LAYER + "full_layer_layer_norm.weight",
    "groups.{i}.output_norm.beta": ALBERT_LAYER + "full_layer_layer_norm.bias",
    "pooler.kernel": "pooler.weight",
    "pooler.bias": "pooler.bias",
}
ELECTRA = {
    **EMBEDDINGS,
    "embeddings_project.kernel": "embeddings_project.weight",
    "embeddings_project.bias": "embeddings_project.bias",
    **BLOCKS,
}
TABLES = {"Albert": ALBERT, "Bert": BERT, "Electra": ELECTRA, "Roberta": BERT}

# In a model with a head, the encoder's names begin with these
PREFIXES = {"Albert": "albert.", "Bert": "bert.", "Electra": "electra.", "Roberta": "roberta."}


def masked_lm_names(dense, norm, bias):
    return {
        "dense.kernel": f"{dense}.weight",
        "dense.bias": f"{dense}.bias",
        "norm.gamma": f"{norm}.weight",
        "norm.beta": f"{norm}.bias",
        "bias": bias,
    }


# (architecture, head) -> the names of the head in transformers' BertForPreTraining, BertForMaskedLM and so on
HEADS = {
    ("Bert", "MaskedLmHead"): masked_lm_names(
        "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias"
    ),
    ("Bert", "PairHead"): {"dense.kernel": "cls.seq_relationship.weight", "dense.bias": "cls.seq_relationship.bias"},
    ("Albert", "MaskedLmHead"): masked_lm_names("predictions.dense", "predictions.LayerNorm", "predictions.bias"),
    ("Albert", "PairHead"): {
        "dense.kernel": "sop_classifier.classifier.weight",
        "dense.bias": "sop_classifier.classifier.bias",
    },
    ("Roberta", "MaskedLmHead"): masked_lm_names("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),
    ("Electra", "MaskedLmHead"): masked_lm_names(
        "generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head.bias"
    ),
    ("Electra", "DiscriminatorHead"): {
        "dense.kernel": "discriminator_predictions.dense.weight",
        "dense.bias": "discriminator_predictions.dense.bias",
        "prediction.kernel": "discriminator_predictions.dense_prediction.weight",
        "prediction.bias": "discriminator_predictions.dense_prediction.bias",
    },
}
# A state_dict holds these a second time: the output layer is the word embeddings (Press and Wolf 2017)
TIED = {
    "Bert": {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    "Albert": {
        "predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
        "predictions.decoder.bias": "predictions.bias",
    },
    "Roberta": {
        "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    },
    "Electra": {"generator_lm_head.weight": "electra.embeddings.word_embeddings.weight"},
}


def from_huggingface(encoder, tensors, heads=(), *, pooler=True, prefix=False):
    """Assigns `tensors`, NumPy arrays under the names of transformers' state_dict, to all weights of `encoder`.

    Every tensor must be used and every weight be found; if one is not, nothing is assigned. With `heads`, layers of
    tfkor.layers, the tensors are those of a pretraining model: BertForPreTraining, ElectraForMaskedLM and so on. The
    copies of tied weights may be missing, and so may the pooler of a model that has no head on it.

        from_huggingface(encoder, {name: t.numpy() for name, t in BertModel(config).state_dict().items()})
        from_huggingface(encoder, tensors, heads=[MaskedLmHead.of(encoder), PairHead.of(encoder)])

    Args:
      pooler: whether a pooler must be among the tensors of an encoder alone too.
      prefix: whether the encoder's names begin with "bert." or the like also where there are no heads.

    Raises:
      ValueError: tensors that are missing, not expected or of another shape (all of them are listed), copies of tied
        weights that differ, or an architecture or head without a table.
    """
    entries = weights_and_names(encoder, heads, prefix)
    if no_head_on_pooler(heads) or not pooler:
        entries = [entry for entry in entries if not is_pooler(entry) or any(name in tensors for name in entry[2])]
    expected = {name: shape for weight, path, names in entries for name, shape in tensor_shapes(weight, path, names)}
    tied = tied_names(encoder, heads)
    problems = [f"missing: {name} {shape}" for name, shape in expected.items() if name not in tensors]
    problems += [
        f"not expected: {name} {np.shape(tensors[name])}"
        for name in tensors
        if name not in expected and name not in tied
    ]
    problems += [
        f"wrong shape: {name} is {np.shape(tensors[name])}, expected {shape}"
        for name, shape in expected.items()
        if name in tensors and np.shape(tensors[name]) != shape
    ]
    problems += [
        f"no weights: {name} is of the type {np.asarray(tensors[name]).dtype}, expected floating point"
        for name in expected
        if name in tensors and np.asarray(tensors[name]).dtype.kind != "f"
    ]
    problems += [
        f"not tied: {copy} differs from {name}, and is the same weight here"
        for copy, name in tied.items()
        if copy in tensors and name in tensors and not np.array_equal(tensors[copy], tensors[name])
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


def to_huggingface(encoder, heads=()):
    """Returns all weights of `encoder` as float32 arrays under the names of transformers' state_dict.

    With `heads`, the state_dict of a pretraining model, with its copies of tied weights; without a PairHead it has no
    pooler, like BertForMaskedLM.

    Raises:
      ValueError: an architecture or head without a table.
    """
    entries = weights_and_names(encoder, heads)
    if no_head_on_pooler(heads):
        entries = [entry for entry in entries if not is_pooler(entry)]
    tensors = {}
    for weight, path, names in entries:
        parts = np.split(ops.convert_to_numpy(weight), len(names), axis=-1)
        parts = [part.T for part in parts] if is_kernel(path) else parts
        tensors.update((name, np.array(part, dtype="float32", order="C")) for name, part in zip(names, parts))
    return tensors | {copy: tensors[name] for copy, name in tied_names(encoder, heads).items()}


def with_positions_from(tensors, pad_id, new_pad_id):
    """The tensors of a RoBERTa whose table of positions begins after the row `pad_id`, with one after `new_pad_id`.

    transformers counts positions from the id of padding. The rows up to it are no token's and become zeros.
    """
    name = next((name for name in tensors if name.endswith("embeddings.position_embeddings.weight")), None)
    if pad_id == new_pad_id or name is None:
        return tensors
    rows = np.asarray(tensors[name])[pad_id + 1 :]
    return {**tensors, name: np.concatenate([np.zeros((new_pad_id + 1, rows.shape[1]), rows.dtype), rows])}


def weights_and_names(encoder, heads=(), prefix=False):
    """Returns (weight, its path, its names there) for each weight of an encoder, and of heads, that have a table."""
    architecture = type(encoder).__name__
    if architecture not in TABLES:
        raise ValueError(f"no names of Hugging Face are known for {architecture}; expected one of {sorted(TABLES)}")
    entries = entries_of(encoder, TABLES[architecture], PREFIXES[architecture] if heads or prefix else "")
    for head in heads:
        key = (architecture, type(head).__name__)
        if key not in HEADS:
            known = [head for of, head in HEADS if of == architecture]
            raise ValueError(
                f"no names of Hugging Face are known for {key[1]} of {architecture}; expected one of {known}"
            )
        entries += entries_of(head, HEADS[key], "")
    return entries


def entries_of(model, table, prefix):
    entries = []
    for path, names in table.items():
        if path.startswith("embeddings_project") and model.embeddings_project is None:
            continue
        names = (names,) if isinstance(names, str) else names
        for i in range(len(getattr(model, path.split(".")[0])) if "{i}" in path else 1):
            ours = path.format(i=i)
            entries.append((weight_at(model, ours), ours, [prefix + name.format(i=i) for name in names]))
    return entries


def weight_at(model, path):
    for part in path.split("."):
        model = model[int(part)] if part.isdigit() else getattr(model, part)
    return model


def is_kernel(path):
    return path.endswith(".kernel")


def is_pooler(entry):
    return entry[1].startswith("pooler.")


def no_head_on_pooler(heads):
    return bool(heads) and not any(type(head).__name__ == "PairHead" for head in heads)


def tied_names(encoder, heads):
    """Returns {copy: name} of the weights that a state_dict holds twice."""
    return TIED[type(encoder).__name__] if any(type(head).__name__ == "MaskedLmHead" for head in heads) else {}


def tensor_shapes(weight, path, names):
    shape = (*weight.shape[:-1], weight.shape[-1] // len(names))
    return [(name, shape[::-1] if is_kernel(path) else shape) for name in names]
