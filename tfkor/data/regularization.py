"""Regularisation where there is little data: rows that are not the same in each epoch."""

import numpy as np


class TokenDropout:
    """Batches whose tokens are replaced by [MASK] with the probability `rate`, drawn from the seed and the epoch."""

    def __init__(self, batches, rate, mask_id, special_ids, seed=0):
        self.batches, self.rate, self.mask_id, self.special_ids, self.seed = batches, rate, mask_id, special_ids, seed

    def __len__(self):
        return len(self.batches)

    def epoch(self, epoch):
        batches, random = self.batches.epoch(epoch), np.random.default_rng([self.seed, epoch, 1])
        return (self.masked(batch, random) for batch in batches)

    def masked(self, batch, random):
        ids = batch["input_word_ids"]
        drop = (random.random(ids.shape) < self.rate) & ~np.isin(ids, self.special_ids)
        return {**batch, "input_word_ids": np.where(drop, self.mask_id, ids).astype(np.int32)}


class RedrawnBatches:
    """Batches that `draw(epoch)` makes anew for each epoch; their number, `len`, is that of the epoch drawn last."""

    def __init__(self, draw):
        self.draw, self.batches = draw, draw(0)

    def __len__(self):
        return len(self.batches)

    def epoch(self, epoch):
        self.batches = self.draw(epoch)
        return self.batches.epoch(epoch)
