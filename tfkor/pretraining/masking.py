"""Draws the tokens to mask, dynamically for each batch, in NumPy; the random numbers are keyed by example."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tfkor.pretraining.randomness import uniforms

UNITS = ("token", "whole_word", "eojeol", "span")
KIND, CHOICE, LENGTH, REPLACE, RANDOM = range(5)  # streams of random numbers
MAX_SPAN, SPAN_P = 10, 0.2  # longest span in words, p of its distribution (Joshi et al. 2020, section 3.1)


@dataclass(frozen=True)
class Masking:
    """Which tokens are masked, and how (Devlin et al. 2019, section 3.1).

    Args:
      units: the unit that is masked as a whole: "token"; "whole_word", a piece and its continuations; "eojeol", what
        white space separates; "span", consecutive words, their number drawn from a geometric distribution
        (SpanBERT). For a mixture a dict {unit: weight}, in proportion to which each row is given a unit.
      rate: fraction of a row's tokens to predict; special tokens count as tokens, as in google-research/bert.
      mask_share: fraction of the predicted tokens that become [MASK]: 0.8 in BERT, 0.85 in ELECTRA.
      random_share: fraction of them that become a random token: 0.1 in BERT, 0 in ELECTRA. The rest stay unchanged.

    Raises:
      ValueError: an unknown unit, or a number out of its bounds.
    """

    units: str | dict = "token"
    rate: float = 0.15
    mask_share: float = 0.8
    random_share: float = 0.1

    def __post_init__(self):
        weights = self.units if isinstance(self.units, dict) else {self.units: 1.0}
        values = weights.values()
        if not weights or set(weights) - set(UNITS) or min(values) < 0 or not 0 < sum(values) < float("inf"):
            raise ValueError(f"units is {self.units!r}; expected one of {UNITS} or a dict of them with weights")
        if not 0 < self.rate < 1 or not (self.mask_share >= 0 and self.random_share >= 0):
            raise ValueError(f"rate is {self.rate}, mask_share {self.mask_share}, random_share {self.random_share}; "
                             "expected fractions from 0 to 1")  # fmt: skip
        if self.mask_share + self.random_share > 1 + 1e-9:
            raise ValueError(f"mask_share {self.mask_share} and random_share {self.random_share} exceed 1 together")

    @property
    def shares(self) -> dict[str, float]:
        """{unit: fraction of the rows}, in the order of UNITS, with sum 1."""
        weights = self.units if isinstance(self.units, dict) else {self.units: 1.0}
        return {unit: weights[unit] / sum(weights.values()) for unit in UNITS if unit in weights}

    def predictions(self, length: int) -> int:
        """The number of positions to predict in rows of `length` tokens."""
        return max(1, round(self.rate * length))


class Vocabulary(NamedTuple):
    """What masking needs to know about the ids: that of [MASK], those of ordinary pieces, int [V'], and which ones
    continue a word, bool [V]."""

    mask_id: int
    ordinary_ids: np.ndarray
    continuations: np.ndarray

    @classmethod
    def of(cls, tokenizer):
        for role in ("pad", "cls", "sep", "mask"):
            tokenizer.template.required(role, "pretraining")
        special = list(tokenizer.template.ids.values())
        ordinary_ids = np.setdiff1d(np.arange(tokenizer.vocab_size), special)
        return cls(tokenizer.mask_id, ordinary_ids, np.asarray(tokenizer.continuations))


class Examples(NamedTuple):
    """The rows of a batch as arrays, which an objective makes its batch from.

    batch: dict of int32 [B, S]: input_word_ids, input_mask, segment_ids, and positions where rows are packed.
    maskable: bool [B, S]: neither a special token nor padding. eojeol_starts: bool [B, S]: where eojeols begin.
    pair_labels: int32 [B], see Rows. keys: uint64 [B], the key of the random numbers of each example.
    """

    batch: dict
    maskable: np.ndarray
    eojeol_starts: np.ndarray
    pair_labels: np.ndarray
    keys: np.ndarray


def mask_examples(examples: Examples, recipe, vocabulary: Vocabulary) -> dict:
    """Calls `draw_masks` for Examples, with the settings of a Recipe."""
    rows = {
        **examples.batch,
        "maskable": examples.maskable,
        "continuations": vocabulary.continuations[examples.batch["input_word_ids"]],
        "eojeol_starts": examples.eojeol_starts,
    }
    return draw_masks(
        rows, recipe.masking, examples.keys, recipe.predictions, vocabulary.mask_id, vocabulary.ordinary_ids
    )


def draw_masks(
    rows: dict,
    masking: Masking,
    keys: np.ndarray,
    max_predictions: int,
    mask_id: int,
    ordinary_ids: np.ndarray,
) -> dict:
    """Draws positions to predict and replaces their ids.

    Args:
      rows: dict of [B, S]: input_word_ids int32; maskable bool (tokens other than [CLS], [SEP] and padding);
        continuations and eojeol_starts bool: which tokens continue a word, and which ones begin an eojeol.
      keys: uint64 [B], one for each example.
      max_predictions: P.
      ordinary_ids: int [V'], the ids that a random token is drawn from.

    Returns:
      dict: input_word_ids int32 [B, S] with the replacements; masked_lm_positions and masked_lm_ids int32 [B, P],
      ascending, padded with 0; masked_lm_weights float32 [B, P], 1 for a prediction, 0 for padding.
    """
    word_ids = rows["input_word_ids"]
    chosen = choose(rows, masking, keys, max_predictions)
    count = chosen.sum(axis=1)
    positions = np.argsort(~chosen, axis=1, kind="stable")[:, :max_predictions].astype(np.int32)
    weights = np.arange(positions.shape[1]) < count[:, None]
    positions = np.where(weights, positions, 0)
    labels = np.where(weights, np.take_along_axis(word_ids, positions, axis=1), 0)

    width = positions.shape[1]
    coin = uniforms(keys, REPLACE, width)
    random_ids = ordinary_ids[(uniforms(keys, RANDOM, width) * len(ordinary_ids)).astype(np.int64)]
    new = np.where(coin < masking.mask_share, mask_id, labels)
    new = np.where((coin >= masking.mask_share) & (coin < masking.mask_share + masking.random_share), random_ids, new)
    masked = word_ids.copy()
    row, column = np.nonzero(weights)
    masked[row, positions[row, column]] = new[row, column]

    missing = ((0, 0), (0, max_predictions - width))
    return {
        "input_word_ids": masked,
        "masked_lm_positions": np.pad(positions, missing).astype(np.int32),
        "masked_lm_ids": np.pad(labels, missing).astype(np.int32),
        "masked_lm_weights": np.pad(weights, missing).astype(np.float32),
    }


def choose(rows, masking, keys, max_predictions):
    """bool [B, S]: the tokens to predict."""
    maskable = rows["maskable"]
    tokens = rows["input_mask"].astype(bool).sum(axis=1)
    budget = np.clip(np.round(tokens * masking.rate).astype(np.int64), 1, max_predictions)
    budget = np.minimum(budget, maskable.sum(axis=1))
    fractions = masking.shares
    kind = np.searchsorted(np.cumsum(list(fractions.values())), uniforms(keys, KIND, 1)[:, 0], "right")
    chosen = np.zeros_like(maskable)
    for i, unit in enumerate(fractions):
        here = np.flatnonzero(np.minimum(kind, len(fractions) - 1) == i)
        if not len(here):
            continue
        key, allowed, limit = keys[here], maskable[here], budget[here]
        if unit == "token":
            order = np.where(allowed, uniforms(key, CHOICE, allowed.shape[1]), 2.0)
            rank = np.argsort(np.argsort(order, axis=1), axis=1)
            chosen[here] = rank < limit[:, None]
            continue
        starts = rows["eojeol_starts"][here] if unit == "eojeol" else ~rows["continuations"][here]
        units = unit_numbers(allowed, starts)
        chosen[here] = (choose_spans if unit == "span" else choose_units)(units, key, limit)
    return chosen


def unit_numbers(maskable, starts):
    """int [B, S]: the number of each token's unit, from 0 in each row; -1 for tokens that may not be masked."""
    before = np.zeros_like(maskable)
    before[:, 1:] = maskable[:, :-1]
    begins = maskable & (starts | ~before)
    return np.where(maskable, np.cumsum(begins, axis=1) - 1, -1)


def choose_units(units, keys, budget):
    """Whole units in random order while they fit into the budget; others are skipped, as in google-research/bert."""
    rows, length = units.shape
    sizes = unit_sizes(units)
    order = np.argsort(np.where(sizes > 0, uniforms(keys, CHOICE, length), 2.0), axis=1)
    taken, used = np.zeros((rows, length), bool), np.zeros(rows, np.int64)
    row = np.arange(rows)
    for unit in order[:, : int((sizes > 0).sum(axis=1).max(initial=0))].T:
        size = sizes[row, unit]
        fits = (size > 0) & (used + size <= budget)
        taken[row, unit] |= fits
        used += np.where(fits, size, 0)
        if (used == budget).all():
            break
    return np.take_along_axis(taken, np.maximum(units, 0), axis=1) & (units >= 0)


def choose_spans(units, keys, budget):
    """Spans of consecutive words from random words on, until the budget is used up and never more (SpanBERT)."""
    rows, length = units.shape
    sizes = unit_sizes(units)
    ends = np.cumsum(sizes, axis=1)
    number = (sizes > 0).sum(axis=1)
    starts, widths = uniforms(keys, CHOICE, length), uniforms(keys, LENGTH, length)
    # the length of a span: geometric from 1 on, truncated at MAX_SPAN
    widths = np.log1p(-widths * (1 - (1 - SPAN_P) ** MAX_SPAN)) / np.log1p(-SPAN_P)
    widths = np.clip(np.ceil(widths), 1, MAX_SPAN).astype(np.int64)
    taken, row = np.zeros((rows, length), bool), np.arange(rows)
    columns = np.arange(length)
    for first, width in zip((starts * number[:, None]).astype(np.int64).T, widths.T, strict=True):
        left = budget - (taken * sizes).sum(axis=1)
        if (left <= 0).all():
            break
        before = np.where(first > 0, ends[row, np.maximum(first - 1, 0)], 0)
        whole = (ends <= (before + left)[:, None]).sum(axis=1)  # units up to here fit into the rest of the budget
        stop = np.minimum(first + width, np.minimum(whole, number))
        taken |= (columns >= first[:, None]) & (columns < stop[:, None])
    chosen = np.take_along_axis(taken, np.maximum(units, 0), axis=1) & (units >= 0)
    return chosen


def unit_sizes(units):
    """int64 [B, S]: the number of tokens of unit 0, 1, ... of each row; 0 after the last unit."""
    rows, length = units.shape
    flat = np.where(units >= 0, units + length * np.arange(rows)[:, None], rows * length)
    return np.bincount(flat.ravel(), minlength=rows * length + 1)[:-1].reshape(rows, length)
