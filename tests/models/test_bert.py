"""Bert as a Keras model: inputs, outputs, sizes, precision, saving. That its numbers are right: tests/parity."""

import dataclasses
import json
import re

import keras
import numpy as np
import pytest
from keras import ops

from tfkor import Bert, BertConfig
from tfkor.layers.inputs import INPUT_NAMES

PRECISIONS = ["float32", "mixed_bfloat16", "mixed_float16"]
ON_TENSORFLOW = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="calls TensorFlow itself")
NO_DROPOUT = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def numpy(x):
    return ops.convert_to_numpy(ops.cast(x, "float32"))


def largest_difference(a, b):
    return max(np.abs(numpy(x) - numpy(y)).max() for x, y in zip(a, b, strict=True))


def course_model(encoder, classes=3):
    """The model of a hub course: three inputs, the encoder, dropout, softmax."""
    inputs = [keras.Input((None,), dtype="int32", name=name) for name in INPUT_NAMES]
    pooled_output, sequence_output = encoder(inputs)
    assert sequence_output.shape == (None, None, encoder.config.hidden_size)
    x = keras.layers.Dropout(0.2)(pooled_output)
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax", dtype="float32")(x))


# === Inputs and outputs ===


def test_a_list_gives_a_pair_and_a_dict_gives_a_dict(tiny_encoder, three_arrays):
    pooled, sequence = tiny_encoder(three_arrays)
    assert (pooled.shape, sequence.shape) == ((3, 32), (3, 8, 32))
    for names in (INPUT_NAMES, ("input_word_ids", "input_mask", "input_type_ids")):
        output = tiny_encoder(dict(zip(names, three_arrays)))
        assert set(output) == {"pooled_output", "sequence_output"}
        assert largest_difference([pooled, sequence], [output["pooled_output"], output["sequence_output"]]) == 0


def test_the_order_of_a_dict_does_not_matter(tiny_encoder, three_arrays):
    given = dict(reversed([*zip(INPUT_NAMES, three_arrays)]))
    assert largest_difference([tiny_encoder(three_arrays)[0]], [tiny_encoder(given)["pooled_output"]]) == 0


def test_a_dict_also_holds_hidden_states_and_attentions_on_request(tiny_config, three_arrays):
    encoder = Bert(tiny_config, output_hidden_states=True, output_attentions=True)
    output = encoder(dict(zip(INPUT_NAMES, three_arrays)))
    assert [state.shape for state in output["hidden_states"]] == [(3, 8, 32)] * 3
    assert largest_difference(output["hidden_states"][-1:], [output["sequence_output"]]) == 0
    assert [attention.shape for attention in output["attentions"]] == [(3, 4, 8, 8)] * 2
    for attention in map(numpy, output["attentions"]):
        np.testing.assert_allclose(attention.sum(-1), 1, atol=1e-6)
        assert (attention[2, ..., 3:] == 0).all() and (attention[2, ..., :3] > 0).all()
    assert len(encoder(three_arrays)) == 2


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (lambda a: a[:2], "list of three inputs .* found 2 of them"),
        (lambda a: a[0], "list of three inputs .* found"),
        (lambda a: dict(zip(INPUT_NAMES[:2], a)), r"the names \['input_mask', 'input_word_ids'\]; expected"),
        (lambda a: dict(zip(("input_ids", *INPUT_NAMES[1:]), a)), r"'input_ids'.*; expected \['input_word_ids'"),
        (lambda a: [x[0] for x in a], r"input_word_ids has the shape \(8,\); expected \[B, S\]"),
    ],
)
def test_other_inputs_are_errors_that_say_what_is_expected(tiny_encoder, three_arrays, inputs, message):
    with pytest.raises(ValueError, match=message):
        tiny_encoder(inputs(three_arrays))


def test_rows_may_fill_the_position_table_and_not_exceed_it(tiny_encoder):
    def rows(length):
        return [np.ones((2, length), "int32")] * 3

    assert tiny_encoder(rows(16))[1].shape == (2, 16, 32)
    with pytest.raises(ValueError, match=r"17 tokens a row; the position table holds 16\. Truncate"):
        tiny_encoder(rows(17))
    with pytest.raises(ValueError, match="17 tokens a row"):
        course_model(tiny_encoder)(rows(17))


def test_pooled_equals_the_pooled_output(tiny_encoder, three_arrays):
    pooled, _ = tiny_encoder(three_arrays)
    assert largest_difference([pooled], [tiny_encoder.pooled(three_arrays)]) <= 1e-6
    assert largest_difference([pooled], [tiny_encoder.pooled(dict(zip(INPUT_NAMES, three_arrays)))]) <= 1e-6


@ON_TENSORFLOW
def test_pooled_has_the_gradients_of_the_pooled_output(tiny_encoder, three_arrays):
    import tensorflow as tf

    def gradients(function):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(function(three_arrays) ** 3)
        return [tf.convert_to_tensor(g) for g in tape.gradient(loss, [w.value for w in tiny_encoder.weights])]

    assert largest_difference(gradients(lambda x: tiny_encoder(x)[0]), gradients(tiny_encoder.pooled)) <= 1e-5


@ON_TENSORFLOW
def test_one_graph_takes_every_batch_and_length(tiny_encoder, three_arrays):
    import tensorflow as tf

    call = tf.function(tiny_encoder, input_signature=[[tf.TensorSpec((None, None), tf.int32)] * 3])
    for rows, length in ((3, 8), (1, 3), (2, 1)):
        inputs = [array[:rows, :length] for array in three_arrays]
        assert largest_difference(call([tf.constant(array) for array in inputs]), tiny_encoder(inputs)) <= 1e-6


def test_a_row_does_not_depend_on_its_padding(tiny_encoder, three_arrays):
    pooled, sequence = map(numpy, tiny_encoder(three_arrays))
    wider = [np.pad(array, ((0, 0), (0, 6))) for array in three_arrays]
    wider[0][:, 8:] = 7  # what stands there doesn't matter either
    wide_pooled, wide_sequence = map(numpy, tiny_encoder(wider))
    np.testing.assert_allclose(wide_pooled, pooled, atol=1e-6)
    np.testing.assert_allclose(wide_sequence[:, :8], sequence, atol=1e-6)
    for row, length in enumerate(three_arrays[1].sum(1)):
        alone_pooled, alone_sequence = map(numpy, tiny_encoder([a[row : row + 1, :length] for a in three_arrays]))
        np.testing.assert_allclose(alone_pooled[0], pooled[row], atol=1e-6)
        np.testing.assert_allclose(alone_sequence[0], sequence[row, :length], atol=1e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_row_of_padding_alone_is_finite(tiny_config, three_arrays, precision):
    three_arrays[1][1] = 0
    assert all(np.isfinite(numpy(x)).all() for x in Bert(tiny_config, dtype=precision)(three_arrays))


# === Sizes ===


def test_the_whole_of_tiny_has_its_parameters():
    assert Bert(BertConfig.of("tiny", vocab_size=30_522)).count_params() == 4_385_920


def test_a_config_takes_changes_and_refuses_what_it_does_not_know():
    config = BertConfig.of("small", vocab_size=8000, layer_norm_eps=1e-6)
    assert (config.vocab_size, config.hidden_size, config.layer_norm_eps) == (8000, 512, 1e-6)
    assert BertConfig() == BertConfig.of("base")
    assert BertConfig(**json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.hidden_size = 3
    with pytest.raises(ValueError, match=r"no BERT size 'huge'; expected one of \['tiny', 'mini'"):
        BertConfig.of("huge")
    with pytest.raises(TypeError, match="hidden_sizes"):
        BertConfig.of("tiny", hidden_sizes=3)


def test_impossible_configs_are_errors(tiny_config):
    with pytest.raises(ValueError, match="hidden_size is 32 and num_attention_heads 5; expected a multiple"):
        Bert(dataclasses.replace(tiny_config, num_attention_heads=5))
    with pytest.raises(ValueError, match="hidden_act is 'swish'; expected one of"):
        Bert(dataclasses.replace(tiny_config, hidden_act="swish"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(layer_norm_eps=float("nan")), "layer_norm_eps is nan; expected a number from 0 to less than 1"),
        (dict(hidden_dropout_prob=1.0), "hidden_dropout_prob is 1.0; expected a number from 0"),
        (dict(num_hidden_layers=0), "num_hidden_layers is 0; expected a whole number of at least 1"),
        (dict(vocab_size=10**9), "vocab_size is 1000000000; expected a whole number of at least 1, and no more than"),
        (dict(vocab_size=True), "vocab_size is True; expected a whole number"),
        (dict(hidden_act=3), "hidden_act is 3; expected a string"),
    ],
)
def test_configs_refuse_what_no_model_can_have(tiny_config, changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(tiny_config, **changes)


# === Precision ===


@pytest.mark.parametrize(
    ("precision", "dtype", "near"), [("mixed_bfloat16", "bfloat16", 0.1), ("mixed_float16", "float16", 0.01)]
)
def test_half_precision_is_near_float32(tiny_config, tiny_encoder, three_arrays, precision, dtype, near):
    half = Bert(tiny_config, dtype=precision)
    half.set_weights(tiny_encoder.get_weights())
    outputs = half(three_arrays)
    assert [keras.backend.standardize_dtype(x.dtype) for x in outputs] == [dtype, dtype]
    assert {weight.dtype for weight in half.weights} == {"float32"}
    assert 0 < largest_difference(outputs, tiny_encoder(three_arrays)) < near
    assert largest_difference(outputs[:1], [half.pooled(three_arrays)]) < near


# === Dropout ===


def test_dropout_is_active_in_training_only(tiny_config, tiny_encoder, three_arrays):
    assert largest_difference(tiny_encoder(three_arrays), tiny_encoder(three_arrays, training=False)) == 0
    trained = tiny_encoder(three_arrays, training=True)
    assert largest_difference(trained, tiny_encoder(three_arrays)) > 0.1
    assert largest_difference(trained, tiny_encoder(three_arrays, training=True)) > 0.1
    pooled = tiny_encoder.pooled(three_arrays, training=True)
    assert largest_difference([pooled], [tiny_encoder.pooled(three_arrays)]) > 0.01


def test_training_reaches_the_encoder_inside_another_model(tiny_encoder, three_arrays):
    inputs = [keras.Input((None,), dtype="int32") for _ in range(3)]
    model = keras.Model(inputs, tiny_encoder(inputs)[1])
    assert largest_difference([model(three_arrays)], [model(three_arrays)]) == 0
    assert largest_difference([model(three_arrays, training=True)], [model(three_arrays)]) > 0.1


@pytest.mark.parametrize("field", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_each_dropout_rate_counts(tiny_config, three_arrays, field):
    for rates, is_active in (({field: 0.5}, True), ({}, False)):
        encoder = Bert(dataclasses.replace(tiny_config, **{**NO_DROPOUT, **rates}))
        difference = largest_difference(encoder(three_arrays, training=True), encoder(three_arrays))
        assert (difference > 1e-3) == is_active


# === Saving ===


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_keras_file_gives_the_same_encoder(tiny_config, three_arrays, tmp_path, precision):
    encoder = Bert(tiny_config, output_attentions=True, dtype=precision, name="my_bert")
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    assert (loaded.config, loaded.name, loaded.dtype_policy.name) == (tiny_config, "my_bert", precision)
    assert (loaded.output_hidden_states, loaded.output_attentions) == (False, True)
    assert largest_difference(loaded(three_arrays), encoder(three_arrays)) == 0


def test_a_weights_file_gives_the_same_weights(tiny_config, tiny_encoder, tmp_path):
    tiny_encoder.save_weights(tmp_path / "encoder.weights.h5")
    other = Bert(tiny_config, dtype="mixed_bfloat16")
    other.load_weights(tmp_path / "encoder.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(tiny_encoder.get_weights(), other.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(vocab_size=41), "other sizes: vocab_size 40, here 41. Build it"),
        (
            dict(num_hidden_layers=1, num_attention_heads=2),
            "num_hidden_layers 2, here 1; num_attention_heads 4, here 2",
        ),
        (dict(num_hidden_layers=3), "num_hidden_layers 2, here 3"),
    ],
)
def test_weights_of_other_sizes_are_an_error(tiny_config, tiny_encoder, tmp_path, changes, message):
    tiny_encoder.save_weights(tmp_path / "encoder.weights.h5")
    with pytest.raises(ValueError, match=re.escape(message)):
        Bert(dataclasses.replace(tiny_config, **changes)).load_weights(tmp_path / "encoder.weights.h5")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_course_model_trains_saves_and_loads(tiny_config, three_arrays, tmp_path, precision):
    """In mixed_float16 Keras scales the loss by 2**15 at first; a step that overflows is skipped."""
    keras.utils.set_random_seed(5)
    model = course_model(Bert(tiny_config, dtype=precision))
    before = model.get_weights()
    optimizer = keras.optimizers.Adam(1e-3)
    if precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(optimizer, loss="sparse_categorical_crossentropy")
    losses = [model.train_on_batch(three_arrays, np.array([0, 1, 2])) for _ in range(30)]
    assert np.isfinite(losses).all() and losses[-1] < 0.5 * losses[0]
    after = model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    assert not any(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert largest_difference([loaded(three_arrays)], [model(three_arrays)]) == 0


def test_the_course_model_takes_a_dict(tiny_encoder, three_arrays):
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in INPUT_NAMES}
    output = tiny_encoder(inputs)
    model = keras.Model(inputs, output["pooled_output"])
    found = model(dict(zip(INPUT_NAMES, three_arrays)))
    assert largest_difference([found], tiny_encoder(three_arrays)[:1]) == 0


def test_a_frozen_encoder_stays_as_it_is(tiny_encoder, three_arrays):
    tiny_encoder.trainable = False
    model = course_model(tiny_encoder)
    assert len(model.trainable_weights) == 2
    before = tiny_encoder.get_weights()
    model.compile("adam", loss="sparse_categorical_crossentropy", run_eagerly=True)
    model.train_on_batch(three_arrays, np.array([0, 1, 2]))
    assert all(np.array_equal(a, b) for a, b in zip(before, tiny_encoder.get_weights(), strict=True))


# === Ids out of range ===


@pytest.mark.parametrize("wrong", [40, -1])
def test_ids_out_of_range_are_named(tiny_encoder, three_arrays, wrong):
    three_arrays[0][1, 2] = wrong
    for inputs in (three_arrays, [ops.convert_to_tensor(array) for array in three_arrays]):
        with pytest.raises(ValueError, match=f"input_word_ids holds the id {wrong} in row 1 at position 2; expected 0"):
            tiny_encoder(inputs)
        with pytest.raises(ValueError, match="expected 0 to 39"):
            tiny_encoder.pooled(inputs)
    three_arrays[0][1, 2] = 1
    three_arrays[2][0, 1] = 2
    with pytest.raises(ValueError, match="segment_ids holds the id 2 in row 0 at position 1; expected 0 to 1"):
        tiny_encoder(three_arrays)
