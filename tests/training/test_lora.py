"""Low-rank adaptation: what is trained, saved and merged."""

import keras
import numpy as np
import pytest
from keras import ops

from tfkor import Albert, AlbertConfig, Bert, BertConfig, TextClassifier, Tokenizer
from tfkor.training.lora import add_lora, load_lora, lora_layers, merge_lora, save_lora

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "좋다", "싫다", "아주"]
SIZES = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)


def encoder(seed=0, **changes):
    keras.utils.set_random_seed(seed)
    return Bert(BertConfig(len(VOCAB), initializer_range=0.1, **SIZES, **changes))


def train(model):
    tokenizer = Tokenizer.from_vocab(VOCAB)
    classifier = TextClassifier(model, labels=["-", "+"], tokenizer=tokenizer, max_length=8)
    texts = ["아주 좋다", "싫다", "좋다", "아주 싫다"] * 10
    classifier.fit(texts, ["+", "-", "+", "-"] * 10, epochs=30, learning_rate=3e-3)
    return classifier, texts


def weights(model):
    return [ops.convert_to_numpy(v) for v in model.variables if "seed" not in v.path]


def inputs():
    return list(Tokenizer.from_vocab(VOCAB)(["아주 좋다", "싫다"]).values())


def test_only_the_small_kernels_are_trained_saved_and_merged(tmp_path):
    model = encoder()
    before = weights(model)
    add_lora(model, rank=2, alpha=4)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 2 * (2 * 16 + 2 * 16 + 2 * 16 + 2 * 32)
    for ours, theirs in zip(model(inputs()), encoder()(inputs())):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)  # the second kernel is zero at first
    classifier, texts = train(model)
    assert classifier.evaluate(texts, ["+", "-", "+", "-"] * 10)["accuracy"] == 1
    frozen = [v for v in model.variables if "lora" not in v.path and "seed" not in v.path]
    for ours, theirs in zip(frozen, before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    save_lora(tmp_path / "lora.npz", model)
    assert (tmp_path / "lora.npz").stat().st_size < 6000
    again = encoder()
    load_lora(tmp_path / "lora.npz", again)
    merged = merge_lora(model)
    assert not lora_layers(merged) and len(merged.variables) < len(model.variables)
    for found in (again, merged):
        for ours, theirs in zip(found(inputs()), model(inputs())):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.abs(ops.convert_to_numpy(merged(inputs())[1]) - ops.convert_to_numpy(encoder()(inputs())[1])).max() > 0.1


def test_shared_layers_have_one_pair_of_kernels():
    model = Albert(AlbertConfig(len(VOCAB), embedding_size=8, **SIZES))
    add_lora(model, rank=2, layers=("query", "attention_output", "intermediate_dense", "output_dense"))
    assert len(lora_layers(model)) == 4
    for ours, theirs in zip(merge_lora(model)(inputs()), model(inputs())):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_what_does_not_fit_is_named(tmp_path):
    model = encoder()
    with pytest.raises(ValueError, match="no LoRA weights"):
        save_lora(tmp_path / "a.npz", model)
    with pytest.raises(ValueError, match="layers has 'key'; expected some of query"):
        add_lora(encoder(), layers=("key",))
    add_lora(model, rank=2)
    with pytest.raises(ValueError, match="already"):
        add_lora(model)
    save_lora(tmp_path / "a.npz", model)
    with pytest.raises(ValueError, match=r"a\.npz: its 8 kernels are not those of this encoder, 12"):
        load_lora(tmp_path / "a.npz", larger())
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_lora(tmp_path / "b.npz", model)


def larger():
    return Bert(BertConfig(len(VOCAB), **{**SIZES, "num_hidden_layers": 3}))
