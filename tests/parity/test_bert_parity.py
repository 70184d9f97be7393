"""Bert equals Hugging Face's BertModel: outputs, hidden states, attention maps and the gradient of every weight."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from bert_parity import (
    TOLERANCE,
    differences,
    load_golden,
    new_encoder,
    recipe_inputs,
    recipe_weights,
    run_huggingface,
    run_tfkor,
)
from keras import ops

from tfkor import Bert, BertConfig
from tfkor.interop import from_huggingface, to_huggingface
from tfkor.layers import activation_function, attention

HERE = Path(__file__).resolve().parent
GOLDEN = sorted((HERE.parent / "golden/bert").glob("*.npz"))


@pytest.fixture
def transformers():
    def library(name):
        reason = f"compares with {name}, which can't be imported: pip install '.[parity]'"
        return pytest.importorskip(name, reason=reason, exc_type=ImportError)

    library("torch")
    return library("transformers")


@pytest.fixture
def golden():
    """A new encoder that equals the reference, the inputs, and what the reference computes."""
    config, inputs, expected = load_golden(GOLDEN[0])
    return new_encoder(config, recipe_weights(config)), inputs, expected


def assert_equal(largest):
    assert all(difference <= TOLERANCE for difference in largest.values()), largest


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_bert_equals_the_golden_files(path):
    config, inputs, expected = load_golden(path)
    assert_equal(differences(expected, run_tfkor(new_encoder(config, recipe_weights(config)), inputs)))


def test_the_golden_files_cover_every_weight_and_kind_of_row():
    assert [path.stem for path in GOLDEN] == ["gelu", "gelu_new"]
    assert sum(path.stat().st_size for path in GOLDEN) < 300_000
    for path in GOLDEN:
        config, inputs, expected = load_golden(path)
        gradients = {name: array for name, array in expected.items() if name.startswith("gradients/")}
        key_biases = {name for name in gradients if name.endswith("key.bias")}  # zero in theory
        assert all(np.abs(gradients[name]).max() > 0.01 for name in set(gradients) - key_biases)
        assert len(key_biases) == config.num_hidden_layers
        lengths = inputs["input_mask"].sum(1)
        assert lengths.max() == config.max_position_embeddings and lengths.min() < config.max_position_embeddings
        assert set(inputs["segment_ids"].ravel()) == set(range(config.type_vocab_size))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="calls TensorFlow itself")
def test_bert_compiled_by_xla_equals_the_golden_file(golden):
    import tensorflow as tf

    encoder, inputs, expected = golden
    pooled, sequence = tf.function(encoder, jit_compile=True)([tf.constant(array) for array in inputs.values()])
    assert np.abs(pooled - expected["pooled_output"]).max() <= TOLERANCE
    assert np.abs(sequence - expected["sequence_output"]).max() <= TOLERANCE


def ignored_mask(encoder, patch):
    patch.setattr(attention, "mask_to_bias", lambda mask: 0.0)


def inverted_mask(encoder, patch):
    right = attention.mask_to_bias
    patch.setattr(attention, "mask_to_bias", lambda mask: right(1 - mask))


def mask_of_minus_one(encoder, patch):
    right = attention.mask_to_bias
    patch.setattr(attention, "mask_to_bias", lambda mask: right(mask) * 1e-9)


def gelu_by_tanh(encoder, patch):
    for block in encoder.blocks:
        block.activation = activation_function("gelu_new")


def epsilon_of_1e_5(encoder, patch):
    for norm in [encoder.embeddings.norm, *(n for b in encoder.blocks for n in (b.attention_norm, b.output_norm))]:
        norm.epsilon = 1e-5


def swapped_segments(encoder, patch):
    table = encoder.embeddings.token_type_embeddings
    table.assign(ops.flip(table, axis=0))


def no_segments(encoder, patch):
    table = encoder.embeddings.token_type_embeddings
    table.assign(ops.zeros_like(table))


def no_positions(encoder, patch):
    table = encoder.embeddings.position_embeddings
    table.assign(ops.zeros_like(table))


def positions_from_one(encoder, patch):
    table = encoder.embeddings.position_embeddings
    table.assign(ops.roll(table, -1, axis=0))


def kernel_not_transposed(encoder, patch):
    kernel = encoder.blocks[0].attention.query.kernel
    kernel.assign(ops.transpose(kernel))


def value_before_key(encoder, patch):
    kernel = encoder.blocks[0].attention.key_value.kernel
    kernel.assign(ops.roll(kernel, encoder.config.hidden_size, axis=1))


def interleaved_heads(encoder, patch):
    kernel = encoder.blocks[0].attention.query.kernel
    heads = ops.reshape(kernel, (kernel.shape[0], encoder.config.num_attention_heads, -1))
    kernel.assign(ops.reshape(ops.swapaxes(heads, 1, 2), kernel.shape))


def scores_without_scale(encoder, patch):
    patch.setattr(attention, "math", SimpleNamespace(sqrt=lambda head_size: 1.0))


def norm_without_gain(encoder, patch):
    gain = encoder.blocks[1].attention_norm.gamma
    gain.assign(ops.ones_like(gain))


def linear_pooler(encoder, patch):
    encoder.pooler.activation = lambda x: x


BROKEN = [
    ignored_mask,
    inverted_mask,
    mask_of_minus_one,
    gelu_by_tanh,
    epsilon_of_1e_5,
    swapped_segments,
    no_segments,
    no_positions,
    positions_from_one,
    kernel_not_transposed,
    value_before_key,
    interleaved_heads,
    scores_without_scale,
    norm_without_gain,
    linear_pooler,
]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_bert_fails_the_check(golden, monkeypatch, broken):
    encoder, inputs, expected = golden
    broken(encoder, monkeypatch)
    largest = differences(expected, run_tfkor(encoder, inputs))
    assert max(largest["pooled_output"], largest["sequence_output"]) > TOLERANCE, largest


def test_a_wrong_gradient_fails_the_check(golden, monkeypatch):
    encoder, inputs, expected = golden
    softmax = ops.softmax
    halves = lambda x: 0.5 * softmax(x) + 0.5 * ops.stop_gradient(softmax(x))  # noqa: E731
    monkeypatch.setattr(attention, "ops", SimpleNamespace(**{**vars(ops), "softmax": halves}))
    largest = differences(expected, run_tfkor(encoder, inputs))
    assert largest.pop("gradients") > TOLERANCE
    assert_equal(largest)


def test_differences_see_nan_and_other_names():
    arrays = {name: np.zeros(2) for name in ("pooled_output", "sequence_output", "gradients/a", "gradients/b")}
    found = differences(arrays, {**arrays, "gradients/a": np.array([0, np.nan])})
    assert np.isnan(found["gradients"])
    with pytest.raises(AssertionError):
        assert_equal(found)
    with pytest.raises(ValueError, match="gradients/b"):
        differences(arrays, {name: array for name, array in arrays.items() if name != "gradients/b"})


def test_bert_on_jax_equals_the_golden_file(golden, tmp_path):
    """Also the .keras file that TensorFlow wrote, read on JAX."""
    pytest.importorskip("jax", reason="JAX is not installed: pip install '.[jax]'")
    golden[0].save(tmp_path / "encoder.keras")
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(HERE.parents[1])}
    command = [sys.executable, HERE / "bert_parity.py", GOLDEN[0], tmp_path / "encoder.keras"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line.pop("backend") for line in lines] == ["jax", "jax"]
    for largest in lines:
        assert_equal(largest)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_golden_files_are_what_hugging_face_computes(transformers, path):
    config, inputs, expected = load_golden(path)
    assert_equal(differences(expected, run_huggingface(config, recipe_weights(config), inputs)))


@pytest.mark.parametrize(
    ("config", "length"),
    [
        (BertConfig.of("tiny", vocab_size=300), 512),
        (BertConfig.of("base", vocab_size=1000, num_hidden_layers=2, max_position_embeddings=128), 96),
        (BertConfig.of("tiny", vocab_size=300, hidden_act="relu", type_vocab_size=1, layer_norm_eps=1e-5), 1),
    ],
    ids=["tiny, 512 tokens", "2 layers of base", "relu, 1 token"],
)
def test_bert_equals_hugging_face(transformers, config, length):
    weights, inputs = recipe_weights(config), recipe_inputs(config, length)
    expected = run_huggingface(config, weights, inputs)
    assert_equal(differences(expected, run_tfkor(new_encoder(config, weights), inputs)))


def test_weights_go_to_hugging_face_and_back(transformers, tiny_config):
    import torch

    reference = transformers.BertModel(transformers.BertConfig(**tiny_config.to_dict()))
    tensors = {name: tensor.numpy() for name, tensor in reference.state_dict().items()}
    encoder = Bert(tiny_config)
    from_huggingface(encoder, tensors)
    back = to_huggingface(encoder)
    assert set(back) == set(tensors)
    assert all(np.array_equal(back[name], tensors[name]) for name in tensors)
    reference.load_state_dict({name: torch.from_numpy(array) for name, array in back.items()}, strict=True)
