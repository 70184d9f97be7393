"""Rows -> batches: of labelled texts, for the training of a classifier; of any rows, for training and prediction."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tfkor import data as tfkor_data
from tfkor.data import TextData
from tfkor.text import Ragged
from tfkor.training import compiles_each_shape

BUCKETS = 32  # at most so many different lengths that batches for predictions are padded to


def training_batches(
    classifier: Any,
    train: TextData,
    targets: np.ndarray | None = None,
    *,
    batch_size: int = 32,
    max_buckets: int = 32,
    class_weight: dict[str, float] | str | None = None,
    token_dropout: float = 0.0,
    subword_dropout: float = 0.0,
    two_views: bool = False,
    seed: int = 0,
) -> Any:
    """TextData -> batches bucketed by length; `TextClassifier.fit` explains the arguments.

    `targets` [N] or [N, ...]: the labels of the batches; None takes those of `train`.

    With `two_views` a batch holds each row twice, the second time as `subword_dropout` segments it.
    """
    rows = classifier.pack(train)
    if np.diff(rows[0].row_splits).max(initial=0) == classifier.max_length:
        warn_of_truncation(classifier, train)
    targets = tfkor_data.label_array(train, classifier.labels or ()) if targets is None else targets
    weights = row_weights(classifier, train, class_weight)

    def views(epoch):
        other = rows
        if subword_dropout:
            other = classifier.pack(train, dropout=subword_dropout, seed=[seed, epoch])
        return [rows, other] if two_views else [other]

    lengths = np.max([np.diff(ids.row_splits) for ids, _ in views(0)], axis=0)
    longest = classifier.max_length if subword_dropout else None  # another epoch may have a longer row
    boundaries = tfkor_data.choose_boundaries(lengths, max_buckets, longest)
    buckets = tfkor_data.Buckets.of(boundaries, batch_size=batch_size)

    def draw(epoch):
        ids, segments = map(list, zip(*views(epoch), strict=True))
        return tfkor_data.Batches(ids, segments, targets, weights, buckets=buckets, seed=seed)

    batches = tfkor_data.RedrawnBatches(draw) if subword_dropout else draw(0)
    if not token_dropout:
        return batches
    tok = classifier.tokenizer
    return tfkor_data.TokenDropout(batches, token_dropout, tok.mask_id, [tok.pad_id, tok.cls_id, tok.sep_id], seed)


def bucketed(
    ids: Ragged,
    segments: Ragged | None,
    columns: dict[str, Ragged],
    labels: np.ndarray | None = None,
    *,
    batch_size: int,
    max_buckets: int,
    seed: int = 0,
) -> tfkor_data.Batches:
    """Batches of Ragged rows, padded to the lengths with the least padding, with further `columns`, {name: Ragged}."""
    boundaries = tfkor_data.choose_boundaries(np.diff(ids.row_splits), max_buckets)
    buckets = tfkor_data.Buckets.of(boundaries, batch_size=batch_size)
    return tfkor_data.Batches(ids, segments, labels, columns=columns, buckets=buckets, seed=seed)


def prediction_batches(
    ids: Ragged,
    segments: Ragged | None = None,
    columns: dict[str, Ragged] | None = None,
    *,
    batch_size: int,
    max_length: int,
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yields (rows, batch) of Ragged rows, in the order of `Batches.in_order`, which explains `rows`.

    Where each shape is compiled there are few lengths, the same in each call; else those that need the least padding.
    """
    lengths = np.maximum(np.diff(ids.row_splits), 1)
    boundaries = np.unique(lengths)
    if compiles_each_shape():
        boundaries = sorted({min(2**i, max_length) for i in range(3, max(4, int(boundaries[-1]).bit_length() + 1))})
    elif len(boundaries) > BUCKETS:
        boundaries = tfkor_data.choose_boundaries(lengths, BUCKETS)
    buckets = tfkor_data.Buckets.of(boundaries, batch_size=min(batch_size, len(lengths)))
    for rows, batch in tfkor_data.Batches(ids, segments, columns=columns or {}, buckets=buckets).in_order():
        del batch["sample_weight"]
        yield rows, batch


def warn_of_truncation(classifier: Any, data: TextData) -> None:
    """Logs how many rows are truncated to the classifier's max_length."""
    columns = [data.texts] if data.pairs is None else [data.texts, data.pairs]
    lengths = 1 + sum(np.diff(classifier.tokenizer.ids(texts).row_splits) + 1 for texts in columns)
    if cut := int((lengths > classifier.max_length).sum()):
        from absl import logging

        logging.warning(
            "%s: %d of %d rows have more than max_length=%d tokens (the longest has %d) and are truncated",
            *(data.name, cut, len(data), classifier.max_length, lengths.max()),
        )


def row_weights(
    classifier: Any, data: TextData, class_weight: dict[str, float] | str | None
) -> np.ndarray | None:
    """float32 [N] from {label: weight} or "balanced"; None without `class_weight`."""
    if class_weight is None:
        return None
    labels = classifier.labels
    if classifier.activation != "softmax":
        raise ValueError(f"class_weight works with activation='softmax'; the activation is {classifier.activation!r}")
    counts = {label: data.labels.count(label) for label in labels}
    if class_weight == "balanced":
        total = sum(counts.values())
        class_weight = {label: total / (len(counts) * max(count, 1)) for label, count in counts.items()}
    if unknown := set(class_weight) - set(labels):
        raise ValueError(f"class_weight names {sorted(unknown)}; expected some of the labels {labels[:5]} ...")
    return np.array([class_weight.get(label, 1.0) for label in data.labels], np.float32)
