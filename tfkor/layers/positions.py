"""Where a token stands: parts that models add to their embeddings or to their attention."""

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
    """Counts the tokens that a mask int [B, S] shows from 0, int [B, S]; padding has -1 wherever it is (fairseq)."""
    mask = ops.cast(mask, "int32")
    return ops.cumsum(mask, axis=1) * mask - 1
