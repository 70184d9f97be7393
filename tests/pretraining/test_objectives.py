"""Samples of the generator."""

import numpy as np
import pytest
from keras import ops

from tfkor.pretraining.objectives.rtd import sample


@pytest.mark.parametrize("vocab_size", [100, 128, 300])
def test_samples_are_the_inverse_of_the_running_sum(vocab_size):
    random = np.random.default_rng(vocab_size)
    logits = random.normal(scale=2, size=(40, 25, vocab_size)).astype("float32")
    noise = random.random((40, 25), dtype="float32")
    noise[0], noise[1] = 0, np.float32(1 - 2**-24)
    found = ops.convert_to_numpy(sample(ops.convert_to_tensor(logits), ops.convert_to_tensor(noise)))
    shares = np.exp(logits.astype(np.float64))
    reached = np.cumsum(shares / shares.sum(-1, keepdims=True), axis=-1)
    expected = (reached <= noise[..., None]).sum(-1).clip(max=vocab_size - 1)
    assert found.dtype == np.int32 and (found >= 0).all() and (found < vocab_size).all()
    assert np.abs(found - expected).max() <= 1 and (found == expected).mean() > 0.995  # float32 at the borders
    np.testing.assert_array_equal(found[0], 0)


def test_samples_have_the_shares_of_the_distribution():
    logits = np.log(np.array([0.5, 1e-30, 0.3, 0.2], "float32"))
    noise = (np.arange(10_000, dtype="float32") + 0.5) / 10_000
    found = ops.convert_to_numpy(sample(ops.convert_to_tensor(np.tile(logits, (100, 100, 1))), noise.reshape(100, 100)))
    np.testing.assert_allclose(np.bincount(found.ravel(), minlength=4) / 10_000, [0.5, 0, 0.3, 0.2], atol=2e-4)
