"""Encoders in folders."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from tfkor import Bert, BertConfig, Tokenizer, zoo
from tfkor.layers import MaskedLmHead, PairHead

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "가"]


def encoder():
    keras.utils.set_random_seed(0)
    return Bert(BertConfig(len(VOCAB), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16))


@pytest.mark.parametrize("half", [False, True])
def test_what_is_saved_is_loaded(tmp_path, half):
    zoo.save(tmp_path / "a", encoder(), Tokenizer.from_vocab(VOCAB), half=half)
    found, tokenizer = zoo.load(tmp_path / "a", hidden_dropout_prob=0.5)
    assert tokenizer.vocab == VOCAB and found.config.hidden_dropout_prob == 0.5
    for ours, theirs in zip(found.trainable_variables, encoder().trainable_variables):
        np.testing.assert_allclose(ours, theirs, rtol=2**-11 if half else 0, atol=1e-7)
    with pytest.raises(FileExistsError):
        zoo.save(tmp_path / "a", encoder())


def test_heads_are_saved_beside_the_encoder_and_loaded_on_request(tmp_path):
    heads = [MaskedLmHead.of(encoder()), PairHead.of(encoder(), name="sop_head")]
    zoo.save(tmp_path / "a", encoder(), heads=heads)
    zoo.save(tmp_path / "b", encoder())
    assert len(zoo.load(tmp_path / "a")) == 2
    found = zoo.load_with_heads(tmp_path / "a").heads
    assert list(found) == [MaskedLmHead, PairHead] and found[PairHead].name == "sop_head"
    for ours, theirs in zip(heads, found.values(), strict=True):
        for a, b in zip(ours.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(a, b)
    assert zoo.load_with_heads(tmp_path / "b").heads == {}
    config = json.loads((tmp_path / "a/config.json").read_text())
    (tmp_path / "a/config.json").write_text(json.dumps({**config, "heads": {"x": "Lambda"}}))
    with pytest.raises(ValueError, match="the head x is of the kind 'Lambda'; expected one of MaskedLmHead"):
        zoo.load_with_heads(tmp_path / "a")


def test_heads_of_the_same_shapes_are_not_taken_for_each_other(tmp_path):
    """Weights have names: what a file calls the SOP head does not become the NSP head."""
    zoo.save(tmp_path / "a", encoder(), heads=[PairHead.of(encoder(), name="sop_head")])
    config = json.loads((tmp_path / "a/config.json").read_text())
    (tmp_path / "a/config.json").write_text(json.dumps({**config, "heads": {"nsp_head": "PairHead"}}))
    with pytest.raises(ValueError, match=r"heads\.safetensors: .*\n  missing: nsp_head\.dense\.kernel"):
        zoo.load_with_heads(tmp_path / "a")


@pytest.mark.parametrize("half", [False, True])
def test_folders_of_the_first_releases_load(tmp_path, half):
    """Weights by position, in Keras' .h5 or in .npz, heads in heads.npz."""
    ours, head = encoder(), PairHead.of(encoder(), name="sop_head")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "Bert", **ours.config.to_dict()}))
    if half:
        arrays = [ops.convert_to_numpy(variable).astype("float16") for variable in ours.trainable_variables]
        np.savez(tmp_path / "encoder.float16.npz", *arrays)
    else:
        ours.save_weights(tmp_path / "encoder.weights.h5")
    kernel, bias = map(ops.convert_to_numpy, head.variables)
    np.savez(tmp_path / "heads.npz", **{"PairHead.sop_head.0": kernel, "PairHead.sop_head.1": bias})
    found = zoo.load_with_heads(tmp_path)
    for a, b in zip(found.encoder.trainable_variables, ours.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=2**-11 if half else 0, atol=1e-7)
    np.testing.assert_array_equal(found.heads[PairHead].variables[0], kernel)
    np.savez(tmp_path / "heads.npz", **{"PairHead.sop_head.0": np.zeros((3, 2), np.float32)})
    with pytest.raises(ValueError, match=r"heads\.npz: weight 0 of sop_head is \(3, 2\); expected \(8, 2\)"):
        zoo.load_with_heads(tmp_path)
    np.savez(tmp_path / "heads.npz", **{"Lambda.x.0": np.zeros(2)})
    with pytest.raises(ValueError, match="a head of the kind 'Lambda'; expected one of MaskedLmHead"):
        zoo.load_with_heads(tmp_path)
    if half:
        np.savez(tmp_path / "encoder.float16.npz", *arrays[1:])
        with pytest.raises(ValueError, match=r"encoder\.float16\.npz: its \d+ weights are not those of Bert"):
            zoo.load(tmp_path)


def test_half_the_precision_is_half_the_size(tmp_path):
    sizes = {}
    for half in (False, True):
        zoo.save(tmp_path / str(half), encoder(), half=half)
        sizes[half] = sum(path.stat().st_size for path in (tmp_path / str(half)).glob("encoder.*"))
    assert sizes[True] < sizes[False]


def test_a_folder_that_does_not_fit_is_named(tmp_path):
    zoo.save(tmp_path / "a", encoder(), half=True)
    path = tmp_path / "a/config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "vocab_size": 9}))
    with pytest.raises(ValueError, match=r"encoder\.safetensors: .*\n  wrong shape: embeddings\.word_embeddings is"):
        zoo.load(tmp_path / "a")
    path.write_text(json.dumps({**config, "hidden_sise": 9}))
    with pytest.raises(ValueError, match=r"config\.json: .*hidden_sise"):
        zoo.load(tmp_path / "a")
    path.write_text(json.dumps(config))
    weights = bytearray((tmp_path / "a/encoder.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "a/encoder.safetensors").write_bytes(weights)
    with pytest.raises(ValueError, match=r"encoder\.safetensors: SHA-256 is \w+; expected \w+, the file is damaged"):
        zoo.load(tmp_path / "a")
    (tmp_path / "a/encoder.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no encoder\.safetensors"):
        zoo.load(tmp_path / "a")
    path.write_text('{"architecture": "Gpt9"}')
    with pytest.raises(ValueError, match="the architecture is 'Gpt9'; expected one of"):
        zoo.load(tmp_path / "a")
    large = encoder()
    large.trainable_variables[0].assign(1e6 * np.ones(large.trainable_variables[0].shape))
    with pytest.raises(ValueError, match="too large for float16"):
        zoo.save(tmp_path / "large", large, half=True)
    assert not (tmp_path / "large").exists()
