"""The small layers by themselves."""

import keras
import numpy as np
import pytest
from keras import ops

from tfkor.layers import (
    Embeddings,
    SelfAttention,
    TransformerBlock,
    activation_function,
    attention_bias,
    check_ids,
    dot_product_attention,
    three_inputs,
)
from tfkor.layers.pooling import max_over_tokens, mean_over_tokens
from tfkor.layers.positions import by_distance, log_buckets, relative_rows

X = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], "int32")


def test_attention_equals_its_definition():
    attention = SelfAttention(8, num_attention_heads=2, initializer_range=0.5)
    attention.build()
    context, probabilities = attention(X, attention_bias(MASK))
    kernels = [attention.query.kernel, *ops.split(attention.key_value.kernel, 2, axis=1)]
    query, key, value = (X @ ops.convert_to_numpy(kernel) for kernel in kernels)  # biases are zero
    expected = np.zeros_like(X)
    for row in range(2):
        for head in (slice(0, 4), slice(4, 8)):
            scores = query[row, :, head] @ key[row, :, head].T / np.sqrt(4)
            weights = np.exp(scores) * MASK[row]
            weights /= weights.sum(-1, keepdims=True)
            np.testing.assert_allclose(probabilities[row, head.start // 4], weights, atol=1e-6)
            expected[row, :, head] = weights @ value[row, :, head]
    expected = expected @ ops.convert_to_numpy(attention.output_dense.kernel)
    np.testing.assert_allclose(context, expected, atol=1e-5)


def test_a_mask_for_each_pair_equals_a_mask_for_each_row():
    attention = SelfAttention(8, num_attention_heads=2)
    pairs = np.repeat(MASK[:, None], 5, axis=1)
    np.testing.assert_array_equal(attention(X, attention_bias(MASK))[0], attention(X, attention_bias(pairs))[0])
    causal = np.tril(np.ones((2, 5, 5), "int32"))
    _, probabilities = attention(X, attention_bias(causal))
    assert (np.triu(ops.convert_to_numpy(probabilities), 1) == 0).all()


def test_some_queries_give_the_same_positions_of_the_block():
    block = TransformerBlock(8, num_attention_heads=2, intermediate_size=16, initializer_range=0.5)
    whole, probabilities = block(X, attention_bias(MASK))
    part, part_probabilities = block(X, attention_bias(MASK), queries=X[:, 1:3])
    np.testing.assert_allclose(part, whole[:, 1:3], atol=1e-5)
    np.testing.assert_allclose(part_probabilities, probabilities[:, :, 1:3], atol=1e-6)


def test_the_bias_of_a_mask_is_zero_or_very_negative():
    bias = ops.convert_to_numpy(attention_bias(MASK))
    assert bias.shape == (2, 1, 1, 5) and bias.dtype == "float32"
    np.testing.assert_array_equal(bias[:, 0, 0], np.where(MASK, 0, -1e9).astype("float32"))


def test_texts_that_share_a_row_do_not_attend_to_each_other():
    bias = ops.convert_to_numpy(attention_bias(np.array([[1, 1, 2, 0]]), positions=np.array([[0, 1, 0, 0]])))
    seen = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(bias, np.where(seen, 0, -1e9).astype("float32")[None, None])


def test_attention_is_a_function_of_q_k_v_and_a_bias():
    query, key, value = np.random.default_rng(1).normal(size=(3, 1, 1, 4, 2)).astype("float32")
    context, probabilities = dot_product_attention(query, key, value, dropout=lambda p: 0 * p)
    scores = np.exp(query[0, 0] @ key[0, 0].T / np.sqrt(2))
    np.testing.assert_allclose(probabilities[0, 0], scores / scores.sum(-1, keepdims=True), atol=1e-6)
    assert (ops.convert_to_numpy(context) == 0).all()


def test_embeddings_are_the_normed_sum_of_three_rows():
    embeddings = Embeddings(10, 8, max_position_embeddings=6, type_vocab_size=3, layer_norm_eps=1e-6)
    embeddings.build()
    ids, segments = np.array([[3, 9, 9]]), np.array([[0, 2, 1]])
    x = embeddings.word_embeddings.numpy()[ids] + embeddings.position_embeddings.numpy()[:3]
    x += embeddings.token_type_embeddings.numpy()[segments]
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    found = embeddings.words(ids) + embeddings.positions(3) + embeddings.segments(segments)
    np.testing.assert_allclose(embeddings.norm(found), x, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("gelu", [-0.158655, 0.0, 0.841345, 2.995950]),
        ("gelu_new", [-0.158808, 0.0, 0.841192, 2.996363]),
        ("relu", [0, 0, 1, 3]),
    ],
)
def test_activations(name, values):
    x = np.array([-1.0, 0.0, 1.0, 3.0], "float32")
    np.testing.assert_allclose(activation_function(name)(x), values, atol=2e-6)


def test_three_inputs_come_in_order():
    given = {"segment_ids": 3, "input_word_ids": 1, "input_mask": 2}
    assert three_inputs(given) == three_inputs([1, 2, 3]) == three_inputs((1, 2, 3)) == (1, 2, 3)
    assert three_inputs({"input_type_ids": 3, "input_word_ids": 1, "input_mask": 2}) == (1, 2, 3)
    with pytest.raises(ValueError, match="found 4 of them"):
        three_inputs([1, 2, 3, 4])
    with pytest.raises(ValueError, match="the dict of inputs has the names"):
        three_inputs({"input_word_ids": 1, "positions": 4})


def test_check_ids_names_the_id_and_its_place():
    check_ids(np.array([[0, 9], [3, 1]]), 10)
    check_ids(np.zeros((0, 4), "int32"), 10)
    check_ids([0, 9], 10)
    with pytest.raises(ValueError, match=r"the id 31 in row 1 at position 0; expected 0 to 9\. Use"):
        check_ids([[10, 9], [31, -4]], 10)
    with pytest.raises(ValueError, match="the id -4 in row 1 at position 1"):
        check_ids(np.array([[0, -1], [9, -4]]), 10)
    with pytest.raises(ValueError, match="the id 10 in row 0 at position 2"):
        check_ids([1, 2, 10], 10)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_pooling_leaves_padding_out(dtype):
    x = X.copy()
    x[1, 3:] = 100.0
    largest = ops.convert_to_numpy(ops.cast(max_over_tokens(ops.cast(x, dtype), MASK), "float32"))
    mean = ops.convert_to_numpy(ops.cast(mean_over_tokens(ops.cast(x, dtype), MASK), "float32"))
    near = 1e-5 if dtype == "float32" else 2e-2
    np.testing.assert_allclose(largest, np.stack([x[0].max(0), x[1, :3].max(0)]), atol=near)
    np.testing.assert_allclose(mean, np.stack([x[0].mean(0), x[1, :3].mean(0)]), atol=near)


def test_mean_of_no_token_is_zero():
    assert (ops.convert_to_numpy(mean_over_tokens(ops.convert_to_tensor(X), 0 * MASK)) == 0).all()


def test_layers_of_a_policy_pass_it_on():
    block = TransformerBlock(8, num_attention_heads=2, intermediate_size=16, dtype="mixed_bfloat16")
    layers = [layer for layer in block._flatten_layers() if not isinstance(layer, keras.layers.Dropout)]
    assert {layer.dtype_policy.name for layer in layers} == {"mixed_bfloat16"}


@pytest.mark.parametrize(("rows", "positions"), [(4, 4), (1, 5), (5, 2)])
def test_columns_of_distances_become_columns_of_positions(rows, positions):
    x = np.random.default_rng(0).normal(size=(2, 3, rows, rows + positions - 1)).astype("float32")
    found = ops.convert_to_numpy(by_distance(x))
    assert found.shape == (2, 3, rows, positions)
    for r in range(rows):
        for c in range(positions):
            np.testing.assert_array_equal(found[:, :, r, c], x[:, :, r, rows - 1 - (r - c)])


def test_distances_share_rows_of_a_table():
    assert relative_rows(4, span=2).tolist() == [3, 3, 3, 2, 1, 0, 0]
    near = log_buckets(np.arange(-8, 9), buckets=16, reach=512)
    assert near.tolist() == list(range(-8, 9))  # half of the buckets have one distance each
    far = log_buckets(np.arange(512), buckets=16, reach=512)
    assert far[511] == 15 and (np.diff(far) >= 0).all() and np.diff(np.unique(far)).max() == 1
    assert (log_buckets(-np.arange(512), 16, 512) == -far).all()
    assert relative_rows(512, 16, buckets=16, reach=512).min() == 1
