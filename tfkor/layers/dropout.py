"""Dropout whose seed can be drawn before it is applied, from 16 random bits for each value."""

import keras
from keras import ops

from tfkor.layers.inputs import Tensor

STEPS = 2**16  # a rate is a multiple of 1 / STEPS


class Dropout(keras.layers.Dropout):
    """Zeros a fraction of the values in training and scales the others up, which keeps the mean (Srivastava 2014).

    A call with a seed from `draw_seed` drops the same values however often it is computed. Keras' own layer draws 32
    bits for each value, which on a CPU takes longer than a small model's attention.
    """

    def draw_seed(self) -> Tensor | None:
        """Returns the seed that the next call would draw, int [2], and moves on; None if nothing is dropped."""
        return self.seed_generator.next() if self.rate else None

    def call(self, x: Tensor, training: bool = False, seed: Tensor | None = None) -> Tensor:
        if not training or not self.rate:
            return x
        seed = self.seed_generator.next() if seed is None else seed
        dropped = round(self.rate * STEPS)
        if dropped == STEPS:
            return ops.zeros_like(x)
        keep = random_bits(seed, ops.shape(x)) >= dropped - STEPS // 2
        return ops.where(keep, x * (STEPS / (STEPS - dropped)), ops.zeros((), x.dtype))


def random_bits(seed: Tensor, shape: tuple) -> Tensor:
    """Returns int16 of `shape`, each of the 65,536 values as likely as the others, the same for the same seed."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.lax.bitcast_convert_type(jax.random.bits(seed, shape, "uint16"), "int16")
    import tensorflow as tf

    size = tf.reduce_prod(shape)
    pairs = tf.random.stateless_uniform([(size + 1) // 2], tf.cast(seed, "int32"), None, None, "int32")
    return tf.reshape(tf.reshape(tf.bitcast(pairs, "int16"), [-1])[:size], shape)
