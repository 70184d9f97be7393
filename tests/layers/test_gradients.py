"""Gradients written out against those of the plain formulas; dropout from 16 bits."""

import keras
import numpy as np
import pytest
from keras import ops

from tfkor.layers import Dropout
from tfkor.layers.dropout import random_bits
from tfkor.layers.fast.gradients import cross_entropy, gelu, layer_norm
from tfkor.layers.norm import LayerNorm

tf = pytest.importorskip("tensorflow")
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(scale=3, size=(4, 5, 24)).astype("float32")
UPSTREAM = RANDOM.normal(size=X.shape).astype("float32")


def value_and_gradients(fn, inputs, upstream):
    inputs = [tf.convert_to_tensor(x) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = fn(*inputs)
    return [value, *tape.gradient(value, inputs, tf.cast(upstream, value.dtype))]


def assert_like_the_formula(fn, inputs, upstream, compiled, atol=2e-5):
    found, expected = (
        (tf.function(value_and_gradients, jit_compile=compiled) if compiled is not None else value_and_gradients)(
            each, inputs, upstream
        )
        for each in (fn, fn.__wrapped__)
    )
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_allclose(tf.cast(ours, "float32"), tf.cast(theirs, "float32"), atol=atol, rtol=atol)


@pytest.mark.parametrize("compiled", [None, False, True], ids=["eager", "graph", "XLA"])
def test_gradients_are_those_of_the_formulas(compiled):
    assert_like_the_formula(gelu, [X], UPSTREAM, compiled)
    gamma, beta = RANDOM.normal(size=(2, 24)).astype("float32")
    assert_like_the_formula(lambda_of(layer_norm, 1e-12), [X, gamma, beta], UPSTREAM, compiled)
    labels = RANDOM.integers(24, size=(4, 5)).astype("int32")
    assert_like_the_formula(lambda_of(cross_entropy, labels, first=True), [X], UPSTREAM[..., 0], compiled)


def lambda_of(fn, fixed, first=False):
    """`fn` with a fixed argument, and its formula likewise."""

    def bound(each):
        return (lambda *inputs: each(fixed, *inputs)) if first else (lambda *inputs: each(*inputs, fixed))

    both = bound(fn)
    both.__wrapped__ = bound(fn.__wrapped__)
    return both


def test_bfloat16_stays_bfloat16():
    x = tf.cast(X, "bfloat16")
    assert_like_the_formula(gelu, [x], UPSTREAM, None, atol=0.05)
    gamma, beta = RANDOM.normal(size=(2, 24)).astype("float32")
    assert_like_the_formula(lambda_of(layer_norm, 1e-12), [x, gamma, beta], UPSTREAM, None, atol=0.1)


def test_cross_entropy_of_far_apart_logits_is_finite():
    logits = np.array([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0]], "float32")
    found = value_and_gradients(lambda x: cross_entropy(np.array([2, 1], "int32"), x), [logits], np.ones(2, "float32"))
    np.testing.assert_allclose(found[0], [2e4, np.log(3)], rtol=1e-6)
    np.testing.assert_allclose(found[1], [[1, 0, -1], [1 / 3, -2 / 3, 1 / 3]], atol=1e-6)


def test_layer_norm_is_keras_own():
    ours, theirs = LayerNorm(1e-6), keras.layers.LayerNormalization(epsilon=1e-6)
    np.testing.assert_allclose(ours(X), theirs(X), atol=1e-5)
    assert [v.name for v in ours.variables] == [v.name for v in theirs.variables] == ["gamma", "beta"]
    assert LayerNorm.from_config(ours.get_config()).epsilon == 1e-6


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(rate, dtype):
    found = ops.convert_to_numpy(
        ops.cast(Dropout(rate, dtype=dtype)(np.ones((401, 503), dtype), training=True), "float32")
    )
    values = np.unique(found)
    assert len(values) == 2 and values[0] == 0 and values[1] == pytest.approx(1 / (1 - rate), rel=1e-2)
    assert np.mean(found == 0) == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / found.size))
    rows = (found == 0).mean(axis=1)  # neighbours, which come from one 32-bit number, are independent
    assert np.std(rows) == pytest.approx(np.sqrt(rate * (1 - rate) / 503), rel=0.2)
    pairs = np.mean((found[:, 0::2][:, :251] == 0) & (found[:, 1::2][:, :251] == 0))
    assert pairs == pytest.approx(rate**2, abs=5 * rate / np.sqrt(found.size / 2))


def test_all_or_nothing_may_be_dropped():
    np.testing.assert_array_equal(Dropout(1.0)(X, training=True), np.zeros_like(X))
    np.testing.assert_array_equal(Dropout(0.0)(X, training=True), X)
    np.testing.assert_array_equal(Dropout(0.5)(X), X)


def test_random_bits_are_of_any_shape_and_of_a_seed():
    seed = keras.random.SeedGenerator(3).next()
    bits = ops.convert_to_numpy(random_bits(seed, (3, 5, 7)))
    assert bits.shape == (3, 5, 7) and bits.dtype == np.int16 and len(np.unique(bits)) > 90
    np.testing.assert_array_equal(bits, random_bits(seed, (3, 5, 7)))
