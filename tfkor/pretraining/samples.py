"""Predictions of a masked language model: sample lines for evaluations, and fill-mask."""

import keras
import numpy as np
from keras import ops


def masked_tokens(logits: np.ndarray, batch: dict, tokenizer, rows: int = 3, predictions: int = 4) -> list[str]:
    """Returns a line for some rows of a batch: the masked text, then original -> prediction.

    Args:
      logits: float [B, P, V], of the masked tokens.
    """
    lines = []
    for row in range(min(rows, len(logits))):
        ids = np.asarray(batch["input_word_ids"][row])
        text = tokenizer.decode(ids[ids != tokenizer.pad_id])
        pairs = [
            f"{tokenizer.vocab[label]} -> {tokenizer.vocab[logits[row, i].argmax()]}"
            for i, label in enumerate(batch["masked_lm_ids"][row])
            if batch["masked_lm_weights"][row, i] > 0
        ]
        lines.append(f"{text[:100]}  |  {', '.join(pairs[:predictions])}")
    return lines


def show_predictions(model: keras.Model, batch: dict, tokenizer, rows: int = 3, predictions: int = 4) -> list[str]:
    """Returns a line for some rows of a batch: the masked text and the model's predictions.

    Args:
      model: an objective of tfkor.pretraining.
      batch: one of PretrainingBatches.
    """
    return model.samples(batch, tokenizer, rows, predictions)


def fill_mask(model: keras.Model, tokenizer, text: str, k: int = 5) -> list[list[tuple[str, float]]]:
    """The most probable pieces for each [MASK] of a text: a list of lists of (piece, probability).

    Args:
      model: a MaskedLanguageModel, or a ReplacedTokenDetection, whose generator predicts.
      text: str with [MASK] in it. Elsewhere in tfkor a literal [MASK] is plain text; here it is the mask token.

    Raises:
      ValueError: no [MASK] in the text, or more tokens than the encoder has positions.
    """
    parts = text.split("[MASK]")
    if len(parts) < 2:
        raise ValueError(f"no [MASK] in {text!r}; expected at least one")
    pieces = tokenizer.ids(parts).to_lists()
    ids = [tokenizer.cls_id, *pieces[0]]
    for part in pieces[1:]:
        ids += [tokenizer.mask_id, *part]
    ids = np.array([[*ids, tokenizer.sep_id]], np.int32)  # [1, S]
    encoder, head = model.language_model
    if ids.shape[1] > encoder.max_length:
        raise ValueError(f"the text has {ids.shape[1]} ids; expected at most {encoder.max_length}: shorten it")
    positions = np.flatnonzero(ids[0] == tokenizer.mask_id)
    batch = {"input_word_ids": ids, "input_mask": np.ones_like(ids), "segment_ids": np.zeros_like(ids)}
    vectors = ops.take(encoder(batch)["sequence_output"], positions, axis=1)
    logits = head(vectors, encoder.word_embeddings)  # [1, masks, V]
    probabilities = ops.convert_to_numpy(ops.softmax(logits))[0]
    best = np.argsort(-probabilities, axis=1)[:, :k]
    found = zip(probabilities, best, strict=True)
    return [[(tokenizer.vocab[i], float(row[i])) for i in order] for row, order in found]
