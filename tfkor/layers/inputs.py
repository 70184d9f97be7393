"""The three inputs of an encoder, as a list or as a dict, and outputs of the same kind."""

import numpy as np

INPUT_NAMES = ("input_word_ids", "input_mask", "segment_ids")


def as_batch(inputs):
    """Returns a dict of the three inputs, each int [B, S], and of whatever else a dict held beside them.

    Args:
      inputs: a list of three tensors in the order of INPUT_NAMES, or a dict; it may say `input_type_ids` for
        `segment_ids`, as later hub models do. Its other keys are left as they are: labels, for example.

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


def three_inputs(inputs):
    """Returns (input_word_ids, input_mask, segment_ids), each int [B, S]; takes what `as_batch` takes."""
    batch = as_batch(inputs)
    return tuple(batch[name] for name in INPUT_NAMES)


def outputs_like(inputs, pooled_output, sequence_output, **more):
    """Returns the pair (pooled_output, sequence_output) for a list of inputs; for a dict, a dict with `more` in it."""
    if isinstance(inputs, dict):
        more = {name: value for name, value in more.items() if value is not None}
        return {"pooled_output": pooled_output, "sequence_output": sequence_output, **more}
    return pooled_output, sequence_output


def check_ids(ids, size, name="input_word_ids"):
    """Raises ValueError where `ids`, int [B, S] or [S], holds an id outside 0 ... size - 1.

    Encoders call it. It sees arrays and tensors that have values, not those of a graph that is being compiled; there,
    TensorFlow raises on the CPU without XLA for ids that are too large, and all else computes with some other vector.
    """
    try:
        ids = np.atleast_2d(np.asarray(ids))
    except (NotImplementedError, TypeError, ValueError):  # TensorFlow, JAX, Keras: no values yet
        return
    if ids.size and (ids.min() < 0 or ids.max() >= size):
        row, position = np.unravel_index(ids.argmax() if ids.max() >= size else ids.argmin(), ids.shape)
        why = " Use the tokenizer that the encoder was trained with" if name == "input_word_ids" else ""
        raise ValueError(
            f"{name} holds the id {ids[row, position]} in row {row} at position {position}; expected 0 to {size - 1}."
            f"{why}"
        )
