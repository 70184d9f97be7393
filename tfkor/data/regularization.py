"""Regularisation for small data sets: rows that differ from epoch to epoch."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tfkor.data.batching import Batches


class TokenDropout:
    """Batches whose tokens are replaced by [MASK] with the probability `rate`, drawn from the seed and the epoch."""

    def __init__(self, batches: Batches, rate: float, mask_id: int, special_ids: Sequence[int], seed: int = 0):
        self.batches, self.rate, self.mask_id, self.special_ids, self.seed = batches, rate, mask_id, special_ids, seed

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        batches, random = self.batches.epoch(epoch), np.random.default_rng([self.seed, epoch, 1])
        return (self.masked(batch, random) for batch in batches)

    def masked(self, batch: dict[str, np.ndarray], random: np.random.Generator) -> dict[str, np.ndarray]:
        ids = batch["input_word_ids"]
        drop = (random.random(ids.shape) < self.rate) & ~np.isin(ids, self.special_ids)
        return {**batch, "input_word_ids": np.where(drop, self.mask_id, ids).astype(np.int32)}


class RedrawnBatches:
    """Batches that `draw(epoch)` makes for each epoch; `len` is their number in the epoch that was drawn last."""

    def __init__(self, draw: Callable[[int], Batches]):
        self.draw, self.batches = draw, draw(0)

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        self.batches = self.draw(epoch)
        return self.batches.epoch(epoch)
