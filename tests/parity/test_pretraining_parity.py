"""Encoders with heads equal the pretraining models of Hugging Face: logits, losses and the gradient of every weight."""

import keras
import numpy as np
import pytest
from keras import ops
from parity import TOLERANCE, assert_equal, differences, huggingface_class, recipe_inputs
from pretraining_parity import MODELS, golden_model, new_model, recipe_labels, reference, run_tfkor
from test_encoder_parity import FILES

from tfkor import AlbertConfig, BertConfig, DebertaConfig, ElectraConfig, RobertaConfig
from tfkor.interop import from_huggingface, to_huggingface
from tfkor.layers import activation_function

GOLDEN = {path.stem: path for path in FILES if path.stem in MODELS}
CONFIGS = {
    "BertForPreTraining": BertConfig.of("tiny", vocab_size=300),
    "BertForMaskedLM": BertConfig.of("tiny", vocab_size=300, hidden_act="gelu_new"),
    "AlbertForPreTraining": AlbertConfig.of("mini", vocab_size=300),
    "RobertaForMaskedLM": RobertaConfig.of("tiny", vocab_size=300),
    "DebertaV2ForMaskedLM": DebertaConfig.of("tiny", vocab_size=300, position_buckets=16),
    "ElectraForMaskedLM": ElectraConfig.of("small", vocab_size=300, num_hidden_layers=2).generator(),
    "ElectraForPreTraining": ElectraConfig.of("small", vocab_size=300, num_hidden_layers=2),
}


def test_there_is_a_golden_file_for_each_objective():
    assert set(GOLDEN) == set(MODELS) - {"BertForMaskedLM"}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_pretraining_model_equals_its_golden_file(name):
    *model, expected = golden_model(GOLDEN[name])
    assert_equal(differences(expected, run_tfkor(*model)))


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_files_are_what_hugging_face_computes(transformers, name):
    encoder, _, inputs, _, expected = golden_model(GOLDEN[name])
    assert_equal(differences(expected, reference(name, encoder.config, inputs)))


@pytest.mark.parametrize("name", MODELS)
def test_a_pretraining_model_equals_hugging_face(transformers, name):
    config = CONFIGS[name]
    inputs = recipe_inputs(config, 48)
    encoder, heads = new_model(name, config)
    expected = reference(name, config, inputs)
    assert_equal(differences(expected, run_tfkor(encoder, heads, inputs, recipe_labels(config, inputs))))


@pytest.mark.parametrize("name", MODELS)
def test_a_whole_state_dict_goes_out_and_in(transformers, name):
    """With the names that a strict load_state_dict wants, copies of tied weights included."""
    import torch

    encoder, heads = new_model(name, CONFIGS[name])
    tensors = to_huggingface(encoder, heads)
    config = huggingface_class(MODELS[name][0], "Config")(**CONFIGS[name].to_dict())
    model = getattr(transformers, name)(config)
    model.load_state_dict({key: torch.from_numpy(array) for key, array in tensors.items()}, strict=True)
    other, other_heads = new_model(name, CONFIGS[name], {k: t.numpy() for k, t in model.state_dict().items()})
    back = to_huggingface(other, other_heads)
    assert all(np.array_equal(back[key], tensors[key]) for key in tensors)


# === The check fails for a broken head ===


def no_activation(head):
    head.activation = lambda x: x


def other_gelu(head):
    known = [activation_function(name) for name in ("gelu", "gelu_new")]
    head.activation = known[1 - known.index(head.activation)]


def no_bias(head):
    bias = head.bias if hasattr(head, "bias") else head.dense.bias
    bias.assign(ops.zeros_like(bias))


def swapped_classes(head):
    head.dense.kernel.assign(ops.flip(head.dense.kernel, axis=1))


@pytest.mark.parametrize(
    ("name", "number", "broken"),
    [
        ("BertForPreTraining", 0, no_activation),
        ("BertForPreTraining", 0, no_bias),
        ("BertForPreTraining", 1, swapped_classes),
        ("AlbertForPreTraining", 0, other_gelu),
        ("AlbertForPreTraining", 1, no_bias),
        ("ElectraForMaskedLM", 0, no_bias),
        ("ElectraForPreTraining", 0, no_activation),
        ("RobertaForMaskedLM", 0, no_activation),
        ("DebertaV2ForMaskedLM", 0, no_bias),
    ],
)
def test_a_broken_head_fails_the_check(name, number, broken):
    encoder, heads, inputs, labels, expected = golden_model(GOLDEN[name])
    broken(heads[number])
    largest = differences(expected, run_tfkor(encoder, heads, inputs, labels))
    logits = max(value for kind, value in largest.items() if kind.endswith("logits"))
    assert logits > TOLERANCE and largest["gradients"] > TOLERANCE, largest


# === What is not a pretraining model ===


def test_a_model_without_pooler_leaves_the_pooler_as_it_is():
    encoder, heads = new_model("BertForMaskedLM", CONFIGS["BertForMaskedLM"])
    before = encoder.pooler.get_weights()
    tensors = to_huggingface(encoder, heads)
    assert not [name for name in tensors if "pooler" in name]
    from_huggingface(encoder, tensors, heads)
    assert all(np.array_equal(a, b) for a, b in zip(before, encoder.pooler.get_weights(), strict=True))
    kernel, bias = (np.ones(array.shape[::-1]) for array in before)
    from_huggingface(encoder, {**tensors, "bert.pooler.dense.weight": kernel, "bert.pooler.dense.bias": bias}, heads)
    assert (encoder.pooler.get_weights()[0] == 1).all()


def test_tensors_of_a_head_that_do_not_fit_are_listed():
    encoder, heads = new_model("BertForPreTraining", CONFIGS["BertForPreTraining"])
    tensors = to_huggingface(encoder, heads)
    del tensors["cls.predictions.decoder.weight"], tensors["cls.predictions.decoder.bias"]
    from_huggingface(encoder, tensors, heads)  # published files leave copies out
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"] + 1
    del tensors["bert.pooler.dense.bias"]
    tensors["cls.seq_relationship.weight"] = np.zeros((3, 128))
    with pytest.raises(ValueError) as error:
        from_huggingface(encoder, tensors, heads)
    assert [line.strip() for line in str(error.value).splitlines()[1:]] == [
        "missing: bert.pooler.dense.bias (128,)",
        "wrong shape: cls.seq_relationship.weight is (3, 128), expected (2, 128)",
        "not tied: cls.predictions.decoder.weight differs from bert.embeddings.word_embeddings.weight, "
        "and is the same weight here",
    ]


def test_a_head_without_names_is_an_error():
    encoder, _ = new_model("RobertaForMaskedLM", CONFIGS["RobertaForMaskedLM"])
    with pytest.raises(ValueError, match=r"for Dense of Roberta; expected one of \['MaskedLmHead'\]"):
        to_huggingface(encoder, [keras.layers.Dense(2)])
