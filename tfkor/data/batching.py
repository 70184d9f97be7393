"""Rows of different lengths -> batches of a few static shapes: each shape compiles once, and little is padding."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tfkor.data.text_data import DataError

if TYPE_CHECKING:
    from tfkor.text import Ragged


class Buckets(NamedTuple):
    """The shapes of batches: rows of a length up to `boundaries[i]` go into batches [batch_sizes[i], boundaries[i]]."""

    boundaries: tuple[int, ...]
    batch_sizes: tuple[int, ...]

    @classmethod
    def of(
        cls, boundaries: Sequence[int], batch_size: int | None = None, tokens_per_batch: int | None = None
    ) -> "Buckets":
        """The same number of rows in every batch, or about the same number of tokens (padding included).

        Example:
          Buckets.of([8, 16, 64], batch_size=32)            # 32 x 8, 32 x 16, 32 x 64
          Buckets.of([8, 16, 64], tokens_per_batch=1024)    # 128 x 8, 64 x 16, 16 x 64
        """
        boundaries = tuple(int(boundary) for boundary in boundaries)
        if not boundaries or boundaries[0] < 1 or any(a >= b for a, b in pairwise(boundaries)):
            raise ValueError(f"boundaries={boundaries}; expected increasing lengths of 1 or more")
        if (batch_size is None) == (tokens_per_batch is None):
            raise ValueError(f"batch_size={batch_size}, tokens_per_batch={tokens_per_batch}; expected one of the two")
        if (batch_size or tokens_per_batch) < 1:
            raise ValueError(f"batch_size={batch_size}, tokens_per_batch={tokens_per_batch}; expected 1 or more")
        sizes = [batch_size or max(1, tokens_per_batch // boundary) for boundary in boundaries]
        return cls(boundaries, tuple(sizes))

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """[(B, S), ...], all the shapes that batches can have."""
        return list(zip(self.batch_sizes, self.boundaries, strict=True))


def choose_boundaries(
    lengths: ArrayLike, max_buckets: int = 8, max_length: int | None = None, multiple_of: int = 1
) -> list[int]:
    """Boundaries of at most `max_buckets` buckets that leave the least padding on rows of these lengths.

    The last boundary is `max_length` (default: the longest row, rounded up), so that rows of another split that were
    truncated to `max_length` fit too; the others are multiples of `multiple_of`. Exact: dynamic programming over the
    histogram of lengths. Rows longer than `max_length` are counted as truncated to it.
    """
    lengths = np.asarray(lengths, np.int64)
    if len(lengths) == 0 or max_buckets < 1 or multiple_of < 1 or (max_length is not None and max_length < 1):
        raise ValueError(
            f"{len(lengths)} lengths, max_buckets={max_buckets}, max_length={max_length}, multiple_of={multiple_of}; "
            "expected 1 or more of each"
        )
    top = int(max_length or max(1, -(-lengths.max() // multiple_of) * multiple_of))
    ends = np.unique(np.append(np.arange(0, top, multiple_of), top))  # [E], from 0, which stands for "no bucket yet"
    rows = np.cumsum(np.bincount(np.minimum(lengths, top), minlength=top + 1))[ends]  # rows no longer than each end
    rows[0] = 0  # empty rows go into the first bucket
    tokens = ends * (rows - rows[:, None]).astype(float)  # [E, E]: in a bucket from one end to another
    tokens[np.tril_indices(len(ends))] = np.inf
    tokens[0, 0] = 0
    least, steps = tokens[0], []
    for _ in range(max_buckets - 1):
        total = least[:, None] + tokens
        steps.append(total.argmin(axis=0))
        least = total.min(axis=0)
    end, boundaries = len(ends) - 1, [top]
    for step in reversed(steps):
        end = step[end]
        boundaries.append(int(ends[end]))
    return sorted(set(boundaries) - {0})


class Batches:
    """Rows of token ids as dicts of arrays in the shapes of `buckets`, shuffled again in each epoch.

    `ids` and `segments` have `.values` [N] and `.row_splits` [rows + 1] (tfkor.text.Ragged). A batch holds int32 [B, S]
    input_word_ids, input_mask and segment_ids, padded with 0, `labels` if given, and float32 [B] sample_weight. Rows
    that don't fill a batch of their bucket move to the next longer one. The very last batch is filled up with copies of
    its first row with the weight 0: every row counts once in an epoch.
    With several views of the rows (see `ids`) a batch holds B rows of each, the views one after the other.

    Example:
      buckets = Buckets.of(choose_boundaries(np.diff(ids.row_splits), max_length=128), batch_size=32)
      batches = Batches(ids, segments, labels, buckets=buckets, seed=1)
      for epoch in range(3):
          for batch in batches.epoch(epoch): ...

    Args:
      ids, segments: one Ragged each, or a list with a Ragged for each view: the same rows, segmented in other ways.
      labels: numbers [rows] or [rows, classes] (see label_array); ints become int32, others float32.
      weights: the weight of each row [rows], 1 by default.
      columns: {name: Ragged} with a number for each id, which become int32 [B, S] padded with 0.

    Raises:
      DataError: no rows, a row longer than the last boundary, labels or weights of another length.
    """

    def __init__(
        self,
        ids: "Ragged | list[Ragged]",
        segments: "Ragged | list[Ragged] | None" = None,
        labels: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        *,
        columns: "dict[str, Ragged] | None" = None,
        buckets: Buckets,
        seed: int = 0,
    ):
        views = ids if isinstance(ids, list) else [ids]
        segments = segments if isinstance(segments, list) else [segments] * len(views)
        for view, segment_ids in zip(views, segments, strict=True):
            if segment_ids is not None and not np.array_equal(view.row_splits, segment_ids.row_splits):
                raise DataError("ids and segments have different row_splits; expected a segment id for each token id")
        for name, column in (columns or {}).items():
            if not np.array_equal(column.row_splits, views[0].row_splits):
                raise DataError(f"ids and {name} have different row_splits; expected a number for each token id")
        lengths = np.max([np.diff(view.row_splits) for view in views], axis=0)
        weights = np.ones(len(lengths)) if weights is None else np.asarray(weights)
        labels = None if labels is None else _numbers(labels)
        for name, column in (("labels", labels), ("weights", weights)):
            if column is not None and len(column) != len(lengths):
                raise DataError(f"{len(lengths)} rows of ids but {len(column)} {name}; expected one for each row")
        if len(lengths) == 0:
            raise DataError("no rows to make batches of; expected one or more")
        if lengths.max() > buckets.boundaries[-1]:
            row = int(lengths.argmax())
            raise DataError(
                f"row {row} has {lengths[row]} ids, the longest bucket takes {buckets.boundaries[-1]}; "
                "truncate when tokenizing (max_length) or add a longer boundary"
            )
        self.buckets, self.seed, self.num_rows = buckets, seed, len(lengths)
        self.views, self.segments, self.labels, self.weights = views, segments, labels, weights.astype(np.float32)
        self.columns = columns or {}
        self.bucket_of = np.searchsorted(buckets.boundaries, lengths)
        plan = self._plan()
        self.steps = len(plan)
        computed = sum(buckets.batch_sizes[bucket] * buckets.boundaries[bucket] for bucket, _ in plan) * len(views)
        self.padding = 1 - sum(len(view.values) for view in views) / computed

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self.steps

    def epoch(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        """The batches of epoch number `epoch` in random order; the same ones for the same (seed, epoch)."""
        random = np.random.default_rng([self.seed, epoch])
        plan = self._plan(random)
        for i in random.permutation(len(plan)):
            yield self._batch(*plan[i])

    def in_order(self) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """(rows, batch) of each batch without shuffling, bucket after bucket, for prediction.

        `rows` are the indices of the batch's first len(rows) rows; the others only fill the batch up:
        `outputs[rows] = predict(batch)[: len(rows)]` restores the order of the input.
        """
        for bucket, rows in self._plan():
            yield rows, self._batch(bucket, rows)

    def _plan(self, random=None):
        """[(bucket, rows), ...], a batch each."""
        plan, left = [], np.zeros(0, np.int64)
        for bucket, size in enumerate(self.buckets.batch_sizes):
            rows = np.flatnonzero(self.bucket_of == bucket)
            if len(rows):
                rows = np.append(left, rows if random is None else random.permutation(rows))
                whole = len(rows) - len(rows) % size
                plan += [(bucket, rows[start : start + size]) for start in range(0, whole, size)]
                left = rows[whole:]
        return [*plan, (self.bucket_of[left].max(), left)] if len(left) else plan

    def _batch(self, bucket, rows):
        size, width = self.buckets.shapes[bucket]
        filled = np.append(rows, np.repeat(rows[:1], size - len(rows)))
        segments = [
            np.zeros((size, width), np.int32) if ids is None else _pad(ids, ids.values, filled, width)
            for ids in self.segments
        ]
        batch = {  # each array holds the views one after the other
            "input_word_ids": np.concatenate([_pad(view, view.values, filled, width) for view in self.views]),
            "input_mask": np.concatenate([_pad(view, None, filled, width) for view in self.views]),
            "segment_ids": np.concatenate(segments),
        }
        for name, column in self.columns.items():
            batch[name] = np.concatenate([_pad(column, column.values, filled, width)] * len(self.views))
        if self.labels is not None:
            batch["labels"] = np.concatenate([self.labels[filled]] * len(self.views))
        weights = np.append(self.weights[rows], np.zeros(size - len(rows), np.float32))
        batch["sample_weight"] = np.concatenate([weights] * len(self.views))
        return batch


def _pad(ragged, values, rows, width):
    """int32 [rows, width]: these rows of a Ragged, padded with 0; ones where values is None."""
    splits, columns = np.asarray(ragged.row_splits, np.int64), np.arange(width)
    starts, lengths = splits[rows], splits[rows + 1] - splits[rows]
    inside = columns < lengths[:, None]
    if values is None:
        return inside.astype(np.int32)
    padded = np.zeros(inside.shape, np.int32)
    padded[inside] = values[(starts[:, None] + columns)[inside]]
    return padded


def _numbers(labels):
    labels = np.asarray(labels)
    if labels.dtype.kind not in "biuf":
        raise DataError(f"labels of the type {labels.dtype}; expected numbers: see tfkor.data.label_array")
    return labels.astype(np.float32 if labels.dtype.kind == "f" else np.int32)
