"""Which tokens are masked, drawn anew for each batch in NumPy; the draws are keyed by example."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tfkor.pretraining.randomness import uniforms

UNITS = ("token", "whole_word", "eojeol", "span")
KIND, CHOICE, LENGTH, REPLACE, RANDOM = range(5)  # streams of random numbers
MAX_SPAN, SPAN_P = 10, 0.2  # words of a span (Joshi et al. 2020, section 3.1)


@dataclass(frozen=True)
class Masking:
    """What is masked and how (Devlin et al. 2019, section 3.1).

    Args:
      units: a unit that is masked as a whole: "token"; "whole_word", a piece and its continuations; "eojeol", what
        stands between white space; "span", some words in a row, their number drawn from a geometric distribution
        (SpanBERT). A mixture is a dict {unit: share of the rows}.
      rate: share of a row's tokens to predict, special tokens counted in as google-research/bert does.
      mask_share, random_share: of the predicted tokens, those that become [MASK] and those that become some other
        token; the rest stays. BERT has 0.8 and 0.1, ELECTRA 0.85 and 0.
    """

    units: str | dict = "token"
    rate: float = 0.15
    mask_share: float = 0.8
    random_share: float = 0.1

    def __post_init__(self):
        shares = self.units if isinstance(self.units, dict) else {self.units: 1.0}
        values = shares.values()
        if not shares or set(shares) - set(UNITS) or min(values) < 0 or not 0 < sum(values) < float("inf"):
            raise ValueError(f"units is {self.units!r}; expected one of {UNITS} or a dict of them with shares")
        if not 0 < self.rate < 1 or not (self.mask_share >= 0 and self.random_share >= 0):
            raise ValueError(f"rate is {self.rate}, mask_share {self.mask_share}, random_share {self.random_share}; "
                             "expected shares from 0 to 1")  # fmt: skip
        if self.mask_share + self.random_share > 1 + 1e-9:
            raise ValueError(f"mask_share {self.mask_share} and random_share {self.random_share} exceed 1 together")

    @property
    def shares(self):
        """{unit: share of the rows}, in the order of UNITS, their sum 1."""
        shares = self.units if isinstance(self.units, dict) else {self.units: 1.0}
        return {unit: shares[unit] / sum(shares.values()) for unit in UNITS if unit in shares}

    def predictions(self, length: int) -> int:
        """The number of positions to reserve for rows of `length` ids."""
        return max(1, round(self.rate * length))


class Vocabulary(NamedTuple):
    """What masks need to know of the ids: that of [MASK], which ones are ordinary pieces, int [V'], and which ones
    continue a word, bool [V]."""

    mask_id: int
    ordinary_ids: np.ndarray
    continuations: np.ndarray

    @classmethod
    def of(cls, tokenizer):
        special = [tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id]
        ordinary_ids = np.setdiff1d(np.arange(tokenizer.vocab_size), special)
        return cls(tokenizer.mask_id, ordinary_ids, np.asarray(tokenizer.continuations))


class Examples(NamedTuple):
    """The rows of a batch, laid out, that an objective makes a batch of.

    batch: dict of int32 [B, S]: input_word_ids, input_mask, segment_ids, and positions where rows are packed.
    maskable, eojeol_starts: bool [B, S]: all but special tokens and padding; where eojeols begin.
    pair_labels: int32 [B], see Rows. keys: uint64 [B], what the random numbers of each example depend on.
    """

    batch: dict
    maskable: np.ndarray
    eojeol_starts: np.ndarray
    pair_labels: np.ndarray
    keys: np.ndarray


def mask_examples(examples, recipe, vocabulary):
    """`draw_masks` of Examples, as a Recipe says."""
    rows = {
        **examples.batch,
        "maskable": examples.maskable,
        "continuations": vocabulary.continuations[examples.batch["input_word_ids"]],
        "eojeol_starts": examples.eojeol_starts,
    }
    return draw_masks(
        rows, recipe.masking, examples.keys, recipe.predictions, vocabulary.mask_id, vocabulary.ordinary_ids
    )


def draw_masks(rows, masking, keys, max_predictions, mask_id, ordinary_ids):
    """Draws positions to predict and replaces their ids.

    Args:
      rows: dict of [B, S]: input_word_ids int32; maskable bool (real tokens but [CLS] and [SEP]); continuations and
        eojeol_starts bool, which say where words and eojeols begin.
      keys: uint64 [B], one for each example.
      max_predictions: P.
      ordinary_ids: int [V'], what a random token is taken from.

    Returns:
      dict: input_word_ids int32 [B, S] with the replacements; masked_lm_positions and masked_lm_ids int32 [B, P],
      ascending, 0 where there are less; masked_lm_weights float32 [B, P], 1 for a prediction, 0 for none.
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
    anything = ordinary_ids[(uniforms(keys, RANDOM, width) * len(ordinary_ids)).astype(np.int64)]
    new = np.where(coin < masking.mask_share, mask_id, labels)
    new = np.where((coin >= masking.mask_share) & (coin < masking.mask_share + masking.random_share), anything, new)
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
    shares = masking.shares
    kind = np.searchsorted(np.cumsum(list(shares.values())), uniforms(keys, KIND, 1)[:, 0], "right")
    chosen = np.zeros_like(maskable)
    for i, unit in enumerate(shares):
        here = np.flatnonzero(np.minimum(kind, len(shares) - 1) == i)
        if not len(here):
            continue
        key, allowed, most = keys[here], maskable[here], budget[here]
        if unit == "token":
            order = np.where(allowed, uniforms(key, CHOICE, allowed.shape[1]), 2.0)
            rank = np.argsort(np.argsort(order, axis=1), axis=1)
            chosen[here] = rank < most[:, None]
            continue
        starts = rows["eojeol_starts"][here] if unit == "eojeol" else ~rows["continuations"][here]
        units = unit_numbers(allowed, starts)
        chosen[here] = (choose_spans if unit == "span" else choose_units)(units, key, most)
    return chosen


def unit_numbers(maskable, starts):
    """int [B, S]: the number of the unit that a token belongs to, from 0 in each row; -1 for what may not be masked."""
    before = np.zeros_like(maskable)
    before[:, 1:] = maskable[:, :-1]
    begins = maskable & (starts | ~before)
    return np.where(maskable, np.cumsum(begins, axis=1) - 1, -1)


def choose_units(units, keys, budget):
    """Whole units in random order as long as they fit; one that doesn't is passed over, as in google-research/bert."""
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
    """Some words in a row from a random word on, again and again until the budget is used, never more (SpanBERT)."""
    rows, length = units.shape
    sizes = unit_sizes(units)
    ends = np.cumsum(sizes, axis=1)
    number = (sizes > 0).sum(axis=1)
    starts, widths = uniforms(keys, CHOICE, length), uniforms(keys, LENGTH, length)
    # the length of a span: 1 + geometric, its tail beyond MAX_SPAN left out
    widths = np.log1p(-widths * (1 - (1 - SPAN_P) ** MAX_SPAN)) / np.log1p(-SPAN_P)
    widths = np.clip(np.ceil(widths), 1, MAX_SPAN).astype(np.int64)
    taken, row = np.zeros((rows, length), bool), np.arange(rows)
    columns = np.arange(length)
    for first, width in zip((starts * number[:, None]).astype(np.int64).T, widths.T, strict=True):
        left = budget - (taken * sizes).sum(axis=1)
        if (left <= 0).all():
            break
        before = np.where(first > 0, ends[row, np.maximum(first - 1, 0)], 0)
        whole = (ends <= (before + left)[:, None]).sum(axis=1)  # units up to here fit into what is left
        stop = np.minimum(first + width, np.minimum(whole, number))
        taken |= (columns >= first[:, None]) & (columns < stop[:, None])
    chosen = np.take_along_axis(taken, np.maximum(units, 0), axis=1) & (units >= 0)
    return chosen


def unit_sizes(units):
    """int64 [B, S]: the tokens of unit 0, 1, ... of each row; 0 behind the last."""
    rows, length = units.shape
    flat = np.where(units >= 0, units + length * np.arange(rows)[:, None], rows * length)
    return np.bincount(flat.ravel(), minlength=rows * length + 1)[:-1].reshape(rows, length)
