"""The three inputs of an encoder, as a list or as a dict."""

from typing import Any

import numpy as np

Tensor = Any  # of the backend, or NumPy's
Batch = dict[str, Tensor]
INPUT_NAMES = ("input_word_ids", "input_mask", "segment_ids")


def as_batch(inputs: Batch | list[Tensor] | tuple[Tensor, ...]) -> Batch:
    """Returns a dict of the three inputs, each int [B, S], and of the other keys of a dict.

    Args:
      inputs: a list of three tensors in the order of INPUT_NAMES, or a dict; it may have `input_type_ids` for
        `segment_ids`, as later hub models do. Its other keys are kept: labels, for example.

    Raises:
      ValueError: not three tensors, or a dict without one of the three.
    """
    if isinstance(inputs, dict):
        batch = dict(inputs)
        if "input_type_ids" in batch:
            batch["segment_ids"] = batch.pop("input_type_ids")
        if any(name not in batch for name in INPUT_NAMES):
            raise ValueError(
                f"the dict of inputs has the names {sorted(inputs)}; expected {list(INPUT_NAMES)} among them "
                "(input_type_ids is accepted for segment_ids)"
            )
        return batch
    if not isinstance(inputs, (list, tuple)) or len(inputs) != 3:
        found = f"{len(inputs)} of them" if isinstance(inputs, (list, tuple)) else type(inputs).__name__
        raise ValueError(
            f"an encoder takes a list of three inputs {list(INPUT_NAMES)} or a dict of them; found {found}"
        )
    return dict(zip(INPUT_NAMES, inputs))


def three_inputs(inputs: Batch | list[Tensor] | tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Returns (input_word_ids, input_mask, segment_ids), each int [B, S]; takes what `as_batch` takes."""
    batch = as_batch(inputs)
    return tuple(batch[name] for name in INPUT_NAMES)


def given_positions(batch: Batch, max_length: int) -> Tensor | None:
    """The `positions` of a batch whose rows hold several texts, int [B, S] less than `max_length`; else None."""
    positions = batch.get("positions")
    if positions is not None:
        check_ids(positions, max_length, "positions")
    return positions


def check_ids(ids: Tensor, size: int, name: str = "input_word_ids") -> None:
    """Raises ValueError where `ids`, int [B, S] or [S], holds an id outside 0 ... size - 1.

    Encoders call it. It checks arrays and tensors that have values, not those of a graph that is being compiled. There,
    TensorFlow raises on the CPU without XLA for ids that are too large; otherwise the result has some other vector.
    """
    try:
        ids = np.atleast_2d(np.asarray(ids))
    except (NotImplementedError, TypeError, ValueError):  # TensorFlow, JAX, Keras: no values yet
        return
    if ids.size and (ids.min() < 0 or ids.max() >= size):
        row, position = np.unravel_index(ids.argmax() if ids.max() >= size else ids.argmin(), ids.shape)
        why = " Use the tokenizer that the encoder was trained with" if name == "input_word_ids" else ""
        raise ValueError(
            f"{name} holds the id {ids[row, position]} in row {row} at position {position}; "
            f"expected 0 to {size - 1}.{why}"
        )


def check_length(length: int | Tensor, max_length: int) -> None:
    """Raises ValueError where S, if it is known, is more than a model has positions for."""
    if isinstance(length, int) and length > max_length:
        raise ValueError(
            f"the input has {length} tokens a row; the position table holds {max_length}. "
            "Truncate the rows, or build the model with a larger max_position_embeddings"
        )
