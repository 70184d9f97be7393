"""Dropout whose seed can be drawn before it is applied."""

import keras


class Dropout(keras.layers.Dropout):
    """Keras' dropout. A call with a seed from `draw_seed` drops the same values however often it is computed."""

    def draw_seed(self):
        """Returns the seed that the next call would draw, int [2], and moves on; None if nothing is dropped."""
        return self.seed_generator.next() if self.rate else None

    def call(self, x, training=False, seed=None):
        if not training or not self.rate:
            return x
        return keras.random.dropout(x, self.rate, seed=self.seed_generator if seed is None else DrawnSeed(seed))


class DrawnSeed(keras.random.SeedGenerator):
    """A generator that gives one seed, and has no state: keras.random takes generators and ints, no tensors."""

    def __init__(self, seed):
        self.seed = seed

    def next(self, ordered=True):
        return self.seed
