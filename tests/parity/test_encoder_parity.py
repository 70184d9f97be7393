"""Each encoder equals that of Hugging Face: outputs, hidden states, attention maps and the gradient of every weight."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from encoder_parity import (
    encoder_weights,
    golden_encoder,
    model_and_config,
    new_encoder,
    run_huggingface,
    run_tfkor,
)
from keras import ops
from parity import TOLERANCE, assert_equal, differences, huggingface_class, recipe_inputs
from pretraining_parity import MODELS

from tfkor import AlbertConfig, BertConfig, DebertaConfig, ElectraConfig, RobertaConfig
from tfkor.interop import from_huggingface, to_huggingface
from tfkor.layers import activation_function, attention, positions
from tfkor.models.registry import NAMES as ARCHITECTURES

HERE = Path(__file__).resolve().parent
FILES = [path for name in ARCHITECTURES for path in sorted((HERE.parent / "golden" / name).glob("*.npz"))]
GOLDEN = {f"{path.parent.name}/{path.stem}": path for path in FILES if path.stem not in MODELS}


@pytest.fixture
def golden():
    """A new Bert that equals the reference, the inputs, and what the reference computes."""
    return golden_encoder(GOLDEN["bert/gelu"])


@pytest.mark.parametrize("name", GOLDEN)
def test_an_encoder_equals_its_golden_file(name):
    encoder, inputs, expected = golden_encoder(GOLDEN[name])
    assert_equal(differences(expected, run_tfkor(encoder, inputs)))


def test_the_golden_files_cover_every_weight_and_kind_of_row():
    of_deberta = ["deberta/v2", "deberta/v3"]
    others = ["electra/encoder", "roberta/encoder"]
    assert sorted(GOLDEN) == ["albert/encoder", "bert/gelu", "bert/gelu_new", *of_deberta, *others]
    assert sum(path.stat().st_size for path in FILES) < 800_000
    for path in GOLDEN.values():
        encoder, inputs, expected = golden_encoder(path)
        gradients = {name: array for name, array in expected.items() if name.startswith("gradients/")}
        key_biases = {name for name in gradients if name.endswith(("key.bias", "pos_key_proj.bias"))}  # zero in theory
        assert all(np.abs(gradients[name]).max() > 0.01 for name in set(gradients) - key_biases)
        shared = getattr(encoder.config, "share_att_key", False)  # a bias of keys counts in the term p2c
        assert len(key_biases) == (0 if shared else encoder.config.num_hidden_layers)
        lengths = inputs["input_mask"].sum(1)
        assert lengths.max() == encoder.max_length and lengths.min() < encoder.max_length
        assert set(inputs["segment_ids"].ravel()) == set(range(max(1, encoder.config.type_vocab_size)))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="calls TensorFlow itself")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_encoder_compiled_by_xla_equals_its_golden_file(architecture):
    import tensorflow as tf

    path = next(path for name, path in GOLDEN.items() if name.startswith(architecture))
    encoder, inputs, expected = golden_encoder(path)
    pooled, sequence = tf.function(encoder, jit_compile=True)([tf.constant(array) for array in inputs.values()])
    assert np.abs(pooled - expected["pooled_output"]).max() <= TOLERANCE
    assert np.abs(sequence - expected["sequence_output"]).max() <= TOLERANCE


# === The check fails for a broken encoder ===


def other_bias(encoder, patch, bias):
    """The encoder's file takes `bias` for `attention_bias`."""
    patch.setattr(sys.modules[type(encoder).__module__], "attention_bias", bias)


def ignored_mask(encoder, patch):
    other_bias(encoder, patch, lambda mask, positions: ops.zeros((1, 1, 1, 1)))


def inverted_mask(encoder, patch):
    other_bias(encoder, patch, lambda mask, positions: attention.attention_bias(1 - mask))


def mask_of_minus_one(encoder, patch):
    other_bias(encoder, patch, lambda mask, positions: attention.attention_bias(mask) * 1e-9)


def gelu_by_tanh(encoder, patch):
    for block in encoder.blocks:
        block.activation = activation_function("gelu_new")


def exact_gelu(encoder, patch):
    for block in encoder.blocks:
        block.activation = activation_function("gelu")


def epsilon_of_1e_5(encoder, patch):
    for norm in [encoder.embeddings.norm, *(n for b in encoder.blocks for n in (b.attention_norm, b.output_norm))]:
        norm.epsilon = 1e-5


def epsilon_of_1e_12(encoder, patch):
    for norm in [encoder.embeddings.norm, *(n for b in encoder.blocks for n in (b.attention_norm, b.output_norm))]:
        norm.epsilon = 1e-12


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


def positions_without_offset(encoder, patch):
    encoder.embeddings.position_offset = 0


def positions_that_count_padding(encoder, patch):
    positions = np.arange(12, dtype="int32")[None].repeat(4, axis=0)
    patch.setattr(sys.modules[type(encoder).__module__], "positions_of_tokens", lambda mask: positions)


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


def tanh_on_the_first_token(encoder, patch):
    patch.setattr(encoder, "pooler", ops.tanh)


def projection_without_bias(encoder, patch):
    bias = encoder.embeddings_project.bias
    bias.assign(ops.zeros_like(bias))


def no_c2p(encoder, patch):
    for block in encoder.blocks:
        patch.setattr(block.attention, "c2p", False)


def no_p2c(encoder, patch):
    for block in encoder.blocks:
        patch.setattr(block.attention, "p2c", False)


def no_term(encoder, patch, name):
    """The term is zero, and still counts in the scale."""
    deberta = sys.modules[type(encoder).__module__]
    calls = iter([*"cp" * encoder.config.num_hidden_layers])
    by_distance = deberta.by_distance
    patch.setattr(deberta, "by_distance", lambda x: by_distance(x) * (next(calls) != name))


def zero_c2p(encoder, patch):
    no_term(encoder, patch, "c")


def zero_p2c(encoder, patch):
    no_term(encoder, patch, "p")


def other_rows(encoder, patch, change):
    for block in encoder.blocks:
        patch.setattr(block.attention, "rows", change(block.attention.rows))


def distances_the_other_way(encoder, patch):
    other_rows(encoder, patch, lambda rows: rows[::-1].copy())


def buckets_beyond_one_off(encoder, patch):
    half = encoder.config.position_buckets // 2
    span = encoder.config.span
    other_rows(encoder, patch, lambda rows: rows - (rows > span + half).astype("int32"))


def no_buckets(encoder, patch):
    longest, span = encoder.max_length, encoder.config.span
    other_rows(encoder, patch, lambda rows: positions.relative_rows(longest, span))


def scale_of_one_term(encoder, patch):
    deberta = sys.modules[type(encoder).__module__]
    attend = deberta.dot_product_attention
    patch.setattr(deberta, "dot_product_attention", lambda *inputs: attend(*inputs[:-1]))


def relative_table_without_norm(encoder, patch):
    encoder.relative_norm = None


def one_sided_mask(encoder, patch):
    """Padding attends to the tokens, as in BERT."""
    other_bias(encoder, patch, lambda mask, texts: ops.repeat(attention.attention_bias(mask), mask.shape[1], axis=2))


def one_group(encoder, patch):
    encoder.groups = [encoder.groups[0]] * 2


BROKEN = {
    "bert/gelu": [
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
    ],
    "albert/encoder": [exact_gelu, projection_without_bias, one_group, linear_pooler],
    "deberta/v3": [
        no_c2p,
        no_p2c,
        zero_c2p,
        zero_p2c,
        distances_the_other_way,
        buckets_beyond_one_off,
        no_buckets,
        scale_of_one_term,
        relative_table_without_norm,
        one_sided_mask,
        ignored_mask,
        epsilon_of_1e_5,
        tanh_on_the_first_token,
    ],
    "deberta/v2": [no_positions, no_segments, zero_c2p, zero_p2c, distances_the_other_way, scale_of_one_term],
    "electra/encoder": [gelu_by_tanh, projection_without_bias, swapped_segments, tanh_on_the_first_token],
    "roberta/encoder": [epsilon_of_1e_12, positions_without_offset, positions_that_count_padding, no_segments],
}


@pytest.mark.parametrize(("name", "broken"), [(name, broken) for name in BROKEN for broken in BROKEN[name]])
def test_a_broken_encoder_fails_the_check(monkeypatch, name, broken):
    encoder, inputs, expected = golden_encoder(GOLDEN[name])
    broken(encoder, monkeypatch)
    pooled, sequence = map(ops.convert_to_numpy, encoder(list(inputs.values())))
    differs = np.abs(pooled - expected["pooled_output"]).max(), np.abs(sequence - expected["sequence_output"]).max()
    assert max(differs) > TOLERANCE, differs


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


# === On JAX ===


@pytest.mark.slow
def test_each_pretraining_model_on_jax_equals_its_golden_file(golden, tmp_path):
    """Also the .keras file of an encoder that TensorFlow wrote, read on JAX."""
    pytest.importorskip("jax", reason="JAX is not installed: pip install '.[jax]'")
    golden[0].save(tmp_path / "encoder.keras")
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(HERE.parents[1])}
    files = [*(path for path in FILES if path.stem in MODELS), GOLDEN["deberta/v2"]]
    command = [sys.executable, HERE / "check_golden.py", *files, tmp_path / "encoder.keras", GOLDEN["bert/gelu"]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line.pop("file") for line in lines] == [path.name for path in (*files, GOLDEN["bert/gelu"])]
    assert {line.pop("backend") for line in lines} == {"jax"}
    for largest in lines:
        assert_equal(largest)


# === Against Hugging Face itself ===


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_files_are_what_hugging_face_computes(transformers, name):
    encoder, inputs, expected = golden_encoder(GOLDEN[name])
    architecture = name.split("/")[0]
    weights = encoder_weights(architecture, encoder.config)
    assert_equal(differences(expected, run_huggingface(architecture, encoder.config, weights, inputs)))


@pytest.mark.parametrize(
    ("architecture", "config", "length"),
    [
        ("bert", BertConfig.of("tiny", vocab_size=300), 512),
        ("bert", BertConfig.of("base", vocab_size=1000, num_hidden_layers=2, max_position_embeddings=128), 96),
        ("bert", BertConfig.of("tiny", vocab_size=300, hidden_act="relu", type_vocab_size=1, layer_norm_eps=1e-5), 1),
        ("albert", AlbertConfig.of("mini", vocab_size=300), 64),
        ("albert", AlbertConfig.of("mini", vocab_size=300, num_hidden_groups=2, hidden_act="gelu"), 64),
        ("electra", ElectraConfig.of("mini", vocab_size=300), 64),
        ("electra", ElectraConfig.of("tiny", vocab_size=300), 64),
        ("electra", ElectraConfig.of("base", vocab_size=300, num_hidden_layers=1).generator(), 64),
        ("roberta", RobertaConfig.of("tiny", vocab_size=300), 512),
        ("deberta", DebertaConfig.of("mini", vocab_size=300), 512),
        ("deberta", DebertaConfig.of("tiny", vocab_size=300, position_buckets=32, hidden_act="gelu_new"), 200),
        ("deberta", DebertaConfig.of("tiny", vocab_size=300, position_buckets=-1, max_relative_positions=9), 24),
        ("deberta", DebertaConfig.of("tiny", vocab_size=300, share_att_key=False, norm_rel_ebd="none"), 24),
        ("deberta", DebertaConfig.of("tiny", vocab_size=300, pos_att_type="c2p", type_vocab_size=2), 24),
        ("deberta", DebertaConfig.of("tiny", vocab_size=300, pos_att_type="p2c", share_att_key=False), 24),
        ("deberta", DebertaConfig.of("tiny", vocab_size=300, relative_attention=False, norm_rel_ebd="none"), 24),
        ("deberta", DebertaConfig.of("tiny", vocab_size=300), 1),
    ],
    ids=[
        "bert-512 tokens",
        "bert-2 layers of base",
        "bert-relu, 1 token",
        "albert-mini",
        "albert-2 groups",
        "electra-mini",
        "electra-without projection",
        "electra-generator",
        "roberta-512 tokens",
        "deberta-512 tokens",
        "deberta-32 buckets",
        "deberta-9 distances without buckets",
        "deberta-keys of its own",
        "deberta-c2p alone",
        "deberta-p2c alone",
        "deberta-not relative",
        "deberta-1 token",
    ],
)
def test_an_encoder_equals_hugging_face(transformers, architecture, config, length):
    weights, inputs = encoder_weights(architecture, config), recipe_inputs(config, length)
    expected = run_huggingface(architecture, config, weights, inputs)
    assert_equal(differences(expected, run_tfkor(new_encoder(architecture, config, weights), inputs)))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_go_to_hugging_face_and_back(transformers, architecture):
    import torch

    model, config_class = model_and_config(architecture)
    config = dataclasses.replace(config_class.of("tiny", vocab_size=50), intermediate_size=64)
    reference = huggingface_class(architecture, "Config")(**config.to_dict())
    reference = huggingface_class(architecture, "Model")(reference)
    tensors = {name: tensor.numpy() for name, tensor in reference.state_dict().items()}
    encoder = model(config)
    from_huggingface(encoder, tensors)
    back = to_huggingface(encoder)
    assert set(back) == set(tensors)
    assert all(np.array_equal(back[name], tensors[name]) for name in tensors)
    reference.load_state_dict({name: torch.from_numpy(array) for name, array in back.items()}, strict=True)


@pytest.mark.parametrize(("buckets", "reach"), [(256, 512), (16, 512), (6, 16), (32, 40), (48, 100), (256, 128)])
def test_buckets_of_distances_are_those_of_hugging_face(transformers, buckets, reach):
    import torch
    from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

    distances = np.arange(1 - reach, reach)
    expected = make_log_bucket_position(torch.from_numpy(distances), buckets, reach)
    np.testing.assert_array_equal(positions.log_buckets(distances, buckets, reach), expected.numpy().astype("int64"))
