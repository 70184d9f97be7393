"""Positions of tokens: terms that models add to their embeddings or to their attention."""

import numpy as np
from keras import ops

from tfkor.layers.inputs import Tensor


def learned_positions(table: Tensor, length: int | Tensor, positions: Tensor | None = None, offset: int = 0) -> Tensor:
    """A learned vector for each position (Devlin et al. 2019, figure 2): [S, E], or [B, S, E] for given `positions`.

    Args:
      table: [P, E], a row for each position.
      length: S.
      positions: int [B, S]; None counts the tokens of a row from 0.
      offset: row of the table that position 0 has.
    """
    if positions is None:
        return table[offset : offset + length]
    return ops.take(table, positions + offset, axis=0)


def positions_of_tokens(mask: Tensor) -> Tensor:
    """Numbers the tokens of a mask int [B, S] from 0, int [B, S]; padding has -1 wherever it is (fairseq)."""
    mask = ops.cast(mask, "int32")
    return ops.cumsum(mask, axis=1) * mask - 1


def relative_rows(length: int, span: int, buckets: int = -1, reach: int = 0) -> np.ndarray:
    """The row of a table of 2 `span` relative positions for each distance from length - 1 down to 1 - length.

    Distance 0 has the row `span`; distances beyond the table have the first or the last row.

    Args:
      buckets, reach: see `log_buckets`; without buckets each distance has a row of its own.

    Returns:
      int32 [2 length - 1].
    """
    distances = np.arange(length - 1, -length, -1)
    distances = log_buckets(distances, buckets, reach) if buckets > 0 else distances
    return np.clip(distances + span, 0, 2 * span - 1).astype("int32")


def log_buckets(distances: np.ndarray, buckets: int, reach: int) -> np.ndarray:
    """Whole numbers -> their buckets, whole numbers too: the further away, the wider (He et al. 2021, appendix A.5).

    Half of the `buckets` of either side have one distance each, the others have more, up to `reach` - 1.
    """
    half = buckets // 2
    far = np.maximum(np.abs(distances), half).astype("float32") / np.float32(half)  # in float32, as the reference
    steps = np.log(far) / np.log(np.float32((reach - 1) / half)) * np.float32(half - 1)
    return np.where(np.abs(distances) <= half, distances, np.sign(distances) * (np.ceil(steps) + half)).astype("int64")


def by_distance(x: Tensor) -> Tensor:
    """[B, N, R, R + C - 1], a column for each distance -> [B, N, R, C], a column for each of C positions.

    Row r has position c at the distance r - c, whose column is R - 1 - r + c; all rows are shifted at once, each by one
    column more than the row before (Dai et al. 2019, appendix B).
    """
    batch, heads, rows, columns = ops.shape(x)
    x = ops.reshape(ops.pad(x, ((0, 0), (0, 0), (0, 0), (1, 0))), (batch, heads, rows * (columns + 1)))
    x = ops.reshape(x[:, :, rows:], (batch, heads, rows, columns))
    return x[:, :, :, : columns - rows + 1]
