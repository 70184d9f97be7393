"""Weights under the names of the PyTorch models of Hugging Face `transformers`.

The tables of names are in `tfkor.interop.architectures`.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfkor.interop.architectures import record_of
from tfkor.layers.heads import MaskedLmHead, PairHead
from tfkor.models.backbone import Backbone

Entry = tuple[keras.Variable, str, list[str]]  # a weight, its path in tfkor, its names in transformers


def from_huggingface(
    encoder: Backbone,
    tensors: dict[str, np.ndarray],
    heads: Sequence[keras.layers.Layer] = (),
    *,
    pooler: bool = True,
    prefix: bool = False,
) -> None:
    """Assigns `tensors`, NumPy arrays under the names of transformers' state_dict, to all weights of `encoder`.

    Every tensor must be used and every weight be found; if one is not, nothing is assigned. With `heads`, layers of
    tfkor.layers, the tensors are those of a pretraining model: BertForPreTraining, ElectraForMaskedLM and so on. The
    copies of tied weights may be missing, and so may the pooler of a model without a head on the pooler.

        from_huggingface(encoder, {name: t.numpy() for name, t in BertModel(config).state_dict().items()})
        from_huggingface(encoder, tensors, heads=[MaskedLmHead.of(encoder), PairHead.of(encoder)])

    Args:
      pooler: whether a pooler must be among the tensors of an encoder alone too.
      prefix: whether the encoder's names begin with "bert." or the like even without heads.

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


def to_huggingface(encoder: Backbone, heads: Sequence[keras.layers.Layer] = ()) -> dict[str, np.ndarray]:
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


def weights_and_names(
    encoder: Backbone, heads: Sequence[keras.layers.Layer] = (), prefix: bool = False
) -> list[Entry]:
    """Returns (weight, its path, its names in transformers) for each weight of an encoder and of its heads."""
    record = record_of(encoder)
    entries = entries_of(encoder, record.tensors, record.prefix if heads or prefix else "")
    for head in heads:
        if type(head) not in record.heads:
            known = [kind.__name__ for kind in record.heads]
            raise ValueError(
                f"no names of Hugging Face are known for {type(head).__name__} of {record.class_name}; expected one of "
                f"{known}"
            )
        entries += entries_of(head, record.heads[type(head)], "")
    return entries


def entries_of(model: Any, table: dict[str, str | tuple[str, ...]], prefix: str) -> list[Entry]:
    """An entry for each weight of a table that the model has."""
    entries = []
    for path, names in table.items():
        names = (names,) if isinstance(names, str) else names
        for i in range(len(getattr(model, path.split(".")[0])) if "{i}" in path else 1):
            ours = path.format(i=i)
            if (weight := weight_at(model, ours)) is not None:
                entries.append((weight, ours, [prefix + name.format(i=i) for name in names]))
    return entries


def weight_at(model: Any, path: str) -> keras.Variable | None:
    """The weight at a path of attributes; None where a layer on the path is None, since the config leaves it out."""
    for part in path.split("."):
        model = model[int(part)] if part.isdigit() else getattr(model, part)
        if model is None:
            return None
    return model


def is_kernel(path: str) -> bool:
    return path.endswith(".kernel")


def is_pooler(entry: Entry) -> bool:
    return entry[1].startswith("pooler.")


def no_head_on_pooler(heads: Sequence[keras.layers.Layer]) -> bool:
    return bool(heads) and not any(isinstance(head, PairHead) for head in heads)


def tied_names(encoder: Backbone, heads: Sequence[keras.layers.Layer]) -> dict[str, str]:
    """Returns {copy: name} of the weights that a state_dict holds twice."""
    return record_of(encoder).tied if any(isinstance(head, MaskedLmHead) for head in heads) else {}


def tensor_shapes(weight: keras.Variable, path: str, names: list[str]) -> list[tuple[str, tuple[int, ...]]]:
    """(name, shape) of the tensors in transformers that make up a weight."""
    shape = (*weight.shape[:-1], weight.shape[-1] // len(names))
    return [(name, shape[::-1] if is_kernel(path) else shape) for name in names]
