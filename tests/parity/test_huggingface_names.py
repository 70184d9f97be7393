"""The names that Hugging Face gives the weights of an encoder."""

import keras
import numpy as np
import pytest

import tfkor
from tfkor import Bert
from tfkor.interop import from_huggingface, to_huggingface


def test_every_weight_has_a_name(tiny_encoder):
    tensors = to_huggingface(tiny_encoder)
    assert sum(tensor.size for tensor in tensors.values()) == tiny_encoder.count_params()
    assert len(tensors) == 5 + 2 * 16 + 2
    assert all(tensor.dtype == "float32" and tensor.flags.c_contiguous for tensor in tensors.values())


def test_kernels_are_transposed_and_key_comes_before_value(tiny_encoder):
    tensors = to_huggingface(tiny_encoder)
    block = tiny_encoder.blocks[1]
    layer = "encoder.layer.1."
    assert tensors[layer + "intermediate.dense.weight"].shape == (64, 32)
    np.testing.assert_array_equal(
        tensors[layer + "intermediate.dense.weight"], block.intermediate_dense.kernel.numpy().T
    )
    key_value = block.attention.key_value.kernel.numpy()
    np.testing.assert_array_equal(tensors[layer + "attention.self.key.weight"], key_value[:, :32].T)
    np.testing.assert_array_equal(tensors[layer + "attention.self.value.weight"], key_value[:, 32:].T)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_weights_go_out_and_in(tiny_encoder, tiny_config, three_arrays, dtype):
    random = np.random.default_rng(1)
    tensors = {name: random.normal(size=t.shape).astype("float32") for name, t in to_huggingface(tiny_encoder).items()}
    other = Bert(tiny_config, dtype=dtype)
    from_huggingface(other, tensors)
    for name, tensor in to_huggingface(other).items():
        np.testing.assert_array_equal(tensor, tensors[name])


def test_half_precision_tensors_are_read(tiny_encoder):
    tensors = {name: tensor.astype("float16") for name, tensor in to_huggingface(tiny_encoder).items()}
    from_huggingface(tiny_encoder, tensors)
    np.testing.assert_array_equal(tiny_encoder.pooler.kernel.numpy(), tensors["pooler.dense.weight"].T)


def test_tensors_that_do_not_fit_are_all_listed_and_none_is_assigned(tiny_encoder):
    tensors = {name: tensor + 1 for name, tensor in to_huggingface(tiny_encoder).items()}
    del tensors["encoder.layer.0.attention.self.value.bias"]
    tensors["encoder.layer.2.output.dense.bias"] = np.zeros(32)
    tensors["embeddings.word_embeddings.weight"] = np.zeros((41, 32))
    tensors["encoder.layer.1.intermediate.dense.weight"] = np.zeros((32, 64))
    before = tiny_encoder.get_weights()
    with pytest.raises(ValueError) as error:
        from_huggingface(tiny_encoder, tensors)
    first, *lines = str(error.value).splitlines()
    assert "Bert" in first and "vocab_size=40" in first and "4 of their tensors" in first
    assert [line.strip() for line in lines] == [
        "missing: encoder.layer.0.attention.self.value.bias (32,)",
        "not expected: encoder.layer.2.output.dense.bias (32,)",
        "wrong shape: embeddings.word_embeddings.weight is (41, 32), expected (40, 32)",
        "wrong shape: encoder.layer.1.intermediate.dense.weight is (32, 64), expected (64, 32)",
    ]
    assert all(np.array_equal(a, b) for a, b in zip(before, tiny_encoder.get_weights(), strict=True))


def test_an_architecture_without_names_is_an_error():
    with pytest.raises(ValueError, match="Dense is not an architecture of tfkor; expected one of bert, albert"):
        to_huggingface(keras.layers.Dense(2))


@pytest.mark.parametrize("architecture", ["Albert", "Deberta", "Electra", "Roberta"])
def test_every_weight_of_the_other_architectures_has_a_name(architecture):
    sizes = dict(vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    encoder = getattr(tfkor, architecture)(getattr(tfkor, f"{architecture}Config")(**sizes))
    tensors = to_huggingface(encoder)
    assert sum(tensor.size for tensor in tensors.values()) == encoder.count_params()
    blocks = 1 if architecture == "Albert" else 2
    pooler = 0 if architecture in ("Deberta", "Electra") else 2
    projection = 2 if architecture in ("Albert", "Electra") else 0
    around = 3 + 3 if architecture == "Deberta" else 5  # words and norm, and the same of relative positions
    assert len(tensors) == around + projection + blocks * 16 + pooler
