"""Low-rank adaptation: what is trained, saved, merged and exported."""

import keras
import numpy as np
import pytest
from keras import ops

from tfkor import Albert, AlbertConfig, Bert, BertConfig, Deberta, DebertaConfig, TextClassifier, Tokenizer, zoo
from tfkor.models.lora import add_lora, load_lora, lora_layers, merge_lora, save_lora
from tfkor.tasks import TokenTagger

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "좋다", "싫다", "아주"]
SIZES = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)


def encoder(seed=0, **changes):
    keras.utils.set_random_seed(seed)
    return Bert(BertConfig(len(VOCAB), initializer_range=0.1, **SIZES, **changes))


def train(model, pooling="first"):
    tokenizer = Tokenizer.from_vocab(VOCAB)
    classifier = TextClassifier(model, labels=["-", "+"], tokenizer=tokenizer, max_length=8, pooling=pooling)
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
    classifier, texts = train(model, pooling="mean")
    assert classifier.evaluate(texts, ["+", "-", "+", "-"] * 10)["accuracy"] == 1
    frozen = [v for v in model.variables if "lora" not in v.path and "seed" not in v.path]
    for ours, theirs in zip(frozen, before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    save_lora(tmp_path / "lora.npz", model)
    assert (tmp_path / "lora.npz").stat().st_size < 6000
    again = encoder()
    load_lora(tmp_path / "lora.npz", again)
    merged = merge_lora(model)
    for half in (False, True):
        zoo.save(tmp_path / f"half {half}", model, half=half)
        saved, _ = zoo.load(tmp_path / f"half {half}")
        np.testing.assert_allclose(saved(inputs())[1], model(inputs())[1], atol=2e-3 if half else 1e-5)
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


def test_a_block_says_which_dense_layers_it_has(tmp_path):
    def new():
        keras.utils.set_random_seed(0)
        return Deberta(DebertaConfig(len(VOCAB), initializer_range=0.1, share_att_key=False, **SIZES))

    model = new()
    add_lora(model, rank=2)
    names = ["query", "key", "value", "position_key", "position_query"]
    assert sorted(path.split("/")[-1] for path in lora_layers(model)) == sorted(names * 2)
    for variable in model.trainable_variables:
        variable.assign(np.random.default_rng(0).normal(scale=0.3, size=variable.shape))
    save_lora(tmp_path / "lora.npz", model)
    again = new()
    load_lora(tmp_path / "lora.npz", again)
    for found in (again, merge_lora(model)):
        for ours, theirs in zip(found(inputs()), model(inputs())):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.abs(ops.convert_to_numpy(model(inputs())[1]) - ops.convert_to_numpy(new()(inputs())[1])).max() > 0.01


def test_what_does_not_fit_is_named(tmp_path):
    model = encoder()
    with pytest.raises(ValueError, match="no LoRA weights"):
        save_lora(tmp_path / "a.npz", model)
    with pytest.raises(ValueError, match="layers has 'key'; expected some of query"):
        add_lora(encoder(), layers=("key",))
    add_lora(model, rank=2)
    with pytest.raises(ValueError, match="already"):
        add_lora(model)
    with pytest.raises(ValueError, match="expected one without: add them after"):
        zoo.with_symbols(model, Tokenizer.from_vocab(VOCAB), ["<subj>"])
    save_lora(tmp_path / "a.npz", model)
    with pytest.raises(ValueError, match=r"a\.npz: its 8 kernels are not those of this encoder, 12"):
        load_lora(tmp_path / "a.npz", larger())
    with pytest.raises(ValueError, match=r"a\.npz: trained beside other kernels than this encoder's"):
        load_lora(tmp_path / "a.npz", encoder(seed=1))
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_lora(tmp_path / "b.npz", model)


def larger():
    return Bert(BertConfig(len(VOCAB), **{**SIZES, "num_hidden_layers": 3}))


@pytest.fixture(scope="module")
def trained():
    model = encoder()
    add_lora(model, rank=2)
    return train(model)


def test_a_folder_holds_an_ordinary_model_and_the_small_weights_alone(trained, tmp_path):
    classifier, texts = trained
    classifier.save(tmp_path / "model")
    again = TextClassifier.load(tmp_path / "model")
    assert not lora_layers(again.encoder)
    expected = classifier.predict_proba(texts[:4])
    np.testing.assert_allclose(again.predict_proba(texts[:4]), expected, atol=1e-5)
    start = encoder()
    load_lora(tmp_path / "model/lora.npz", start)  # the pooler too, which this classifier reads
    for ours, theirs in zip(start(inputs()), classifier.encoder(inputs())):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    with pytest.raises(ValueError, match="has the LoRA weights in its kernels already"):
        load_lora(tmp_path / "model/lora.npz", again.encoder)


def test_the_vectors_of_symbols_come_along(tmp_path):
    tokenizer = Tokenizer.from_vocab(VOCAB)
    known, larger_tokenizer = zoo.with_symbols(encoder(), tokenizer, ["<subj>", "<obj>"])
    add_lora(known, rank=2)
    save_lora(tmp_path / "a.npz", known, larger_tokenizer)
    with pytest.raises(ValueError, match="10 word embeddings, this one has 8; expected as many: add the symbols"):
        load_lora(tmp_path / "a.npz", encoder())
    keras.utils.set_random_seed(9)
    again, _ = zoo.with_symbols(encoder(seed=0), tokenizer, ["<subj>", "<obj>"])
    again.word_embeddings.assign(again.word_embeddings + 1)
    load_lora(tmp_path / "a.npz", again)
    np.testing.assert_array_equal(again.word_embeddings[8:], known.word_embeddings[8:])
    np.testing.assert_allclose(again.word_embeddings[:8], known.word_embeddings[:8] + 1)


def test_exports_are_merged(trained, tmp_path):
    import tensorflow as tf

    from tfkor import export, interop

    classifier, texts = trained
    expected = classifier.predict_proba(texts[:2])
    ids = list(classifier.tokenizer(texts[:2]).values())
    merged = classifier.merged()
    assert merged.merged() is merged and not lora_layers(merged.encoder)
    export.export_classifier(classifier, tmp_path / "ids")
    loaded = tf.saved_model.load(tmp_path / "ids")
    assert len(loaded.variables) == len(merged.model.variables)
    np.testing.assert_allclose(loaded([tf.constant(x) for x in ids]), expected, atol=1e-5)
    export.export_encoder(classifier.encoder, tmp_path / "encoder")
    found = tf.saved_model.load(tmp_path / "encoder")([tf.constant(x) for x in ids])
    np.testing.assert_allclose(found[0], classifier.encoder(ids)[0], atol=1e-5)
    interop.save_task(tmp_path / "folder", classifier)
    again = interop.load_task(tmp_path / "folder", max_length=8)
    np.testing.assert_allclose(again.predict_proba(texts[:2]), expected, atol=1e-5)


def test_a_task_with_lora_weights_is_merged_when_saved(tmp_path):
    model = encoder()
    add_lora(model, rank=2)
    for layer in lora_layers(model).values():
        layer.lora_kernel_b.assign(np.full(layer.lora_kernel_b.shape, 0.1, "float32"))
    tagger = TokenTagger(model, ["O", "B-X"], tokenizer=Tokenizer.from_vocab(VOCAB), max_length=8)
    tagger.save(tmp_path / "model")
    expected = tagger.model(inputs())
    for again in (TokenTagger.load(tmp_path / "model"), tagger.merged()):
        assert not lora_layers(again.encoder)
        np.testing.assert_allclose(again.model(inputs()), expected, atol=1e-5)
    assert (tmp_path / "model/lora.npz").is_file()
