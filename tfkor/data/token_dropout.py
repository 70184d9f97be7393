"""Regularisation where there is little data: tokens that training does not get to see."""

import numpy as np


class TokenDropout:
    """Batches whose tokens are replaced by [MASK] with the probability `rate`, drawn from the seed and the epoch."""

    def __init__(self, batches, rate, mask_id, special_ids):
        self.batches, self.rate, self.mask_id, self.special_ids = batches, rate, mask_id, special_ids

    def __len__(self):
        return len(self.batches)

    def epoch(self, epoch):
        random = np.random.default_rng([self.batches.seed, epoch, 1])
        for batch in self.batches.epoch(epoch):
            ids = batch["input_word_ids"]
            drop = (random.random(ids.shape) < self.rate) & ~np.isin(ids, self.special_ids)
            yield {**batch, "input_word_ids": np.where(drop, self.mask_id, ids).astype(np.int32)}
