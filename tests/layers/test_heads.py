"""The output layers of pretraining, and dropout with a seed that was drawn before. Their numbers: tests/parity."""

import keras
import numpy as np
import pytest
from keras import ops

from tfkor import Bert, BertConfig
from tfkor.layers import DiscriminatorHead, Dropout, MaskedLmHead, PairHead, gather_positions

X = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
TABLE = np.random.default_rng(1).normal(size=(11, 6)).astype("float32")
POSITIONS = np.array([[4, 0, 4], [1, 2, 0]], "int32")


def test_gathered_positions_are_those_vectors():
    np.testing.assert_array_equal(gather_positions(ops.convert_to_tensor(X), POSITIONS), X[[[0], [1]], POSITIONS])


def test_a_masked_lm_head_is_tied_to_the_table():
    head = MaskedLmHead(6, 11, "relu", layer_norm_eps=1e-6, initializer_range=0.5)
    logits = head(X, TABLE)
    assert (logits.shape, len(head.weights)) == ((2, 5, 11), 5)
    head.bias.assign(np.arange(11))
    x = np.maximum(X @ ops.convert_to_numpy(head.dense.kernel), 0)
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(head(X, TABLE), x @ TABLE.T + np.arange(11), atol=1e-4)


def test_a_head_at_gathered_positions_gives_the_logits_of_these_positions():
    head = MaskedLmHead(6, 11, initializer_range=0.5)
    everywhere = ops.convert_to_numpy(head(X, TABLE))
    found = head(gather_positions(ops.convert_to_tensor(X), POSITIONS), TABLE)
    np.testing.assert_allclose(found, everywhere[[[0], [1]], POSITIONS], atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_heads_of_an_encoder_are_built_and_give_float32(tiny_config, three_arrays, dtype):
    encoder = Bert(tiny_config, dtype=dtype)
    heads = [head.of(encoder) for head in (MaskedLmHead, PairHead, DiscriminatorHead)]
    assert [len(head.weights) for head in heads] == [5, 2, 4]
    pooled, sequence = encoder(three_arrays)
    logits = [heads[0](sequence, encoder.word_embeddings), heads[1](pooled), heads[2](sequence)]
    assert [x.shape for x in logits] == [(3, 8, 40), (3, 2), (3, 8)]
    assert {keras.backend.standardize_dtype(x.dtype) for x in logits} == {"float32"}
    assert {head.dtype_policy.name for head in heads} == {dtype}


def test_heads_of_an_encoder_take_its_activation_and_epsilon(tiny_config):
    head = MaskedLmHead.of(Bert(BertConfig(**{**tiny_config.to_dict(), "hidden_act": "relu", "layer_norm_eps": 0.5})))
    assert (head.activation(-1.0), head.norm.epsilon) == (0.0, 0.5)


def test_a_drawn_seed_drops_what_the_next_call_would_drop():
    first, second = (Dropout(0.5, seed=7) for _ in range(2))
    ones = np.ones((4, 50), "float32")
    seed = first.draw_seed()
    dropped = ops.convert_to_numpy(first(ones, training=True, seed=seed))
    np.testing.assert_array_equal(first(ones, training=True, seed=seed), dropped)
    np.testing.assert_array_equal(second(ones, training=True), dropped)
    assert set(np.unique(dropped)) == {0.0, 2.0}
    after = ops.convert_to_numpy(second(ones, training=True))
    assert (after != dropped).any()
    np.testing.assert_array_equal(first(ones, training=True), after)
    np.testing.assert_array_equal(first(ones, seed=seed), ones)


def test_dropout_of_nothing_draws_nothing():
    dropout = Dropout(0.0)
    assert dropout.draw_seed() is None and not dropout.variables
    np.testing.assert_array_equal(dropout(X, training=True), X)
