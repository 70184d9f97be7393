"""TextClassifier: raw text in, names and figures out; a tiny encoder on a task that it can learn."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from tfkor import Bert, BertConfig, TextClassifier, Tokenizer
from tfkor.data import DataError, TextData
from tfkor.layers.inputs import INPUT_NAMES
from tfkor.layers.pooling import First, Max, Mean
from tfkor.tasks.batches import training_batches
from tfkor.tasks.losses import CrossEntropy

WORDS = {"날씨": ["비", "눈", "해", "구름"], "음식": ["밥", "국", "빵", "면"], "교통": ["차", "배", "길", "역"]}
VOCAB = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "가",
    "다",
    *(word for words in WORDS.values() for word in words),
]
SUBWORDS = [*VOCAB, *(f"##{word}" for word in VOCAB[5:]), "가가", "##가가"]


def examples(rows=60, seed=0):
    random = np.random.default_rng(seed)
    labels = [list(WORDS)[i % 3] for i in range(rows)]
    texts = [" ".join(["가"] * random.integers(0, 4) + [random.choice(WORDS[label]), "다"]) for label in labels]
    return texts, labels


def new_classifier(**options):
    keras.utils.set_random_seed(1)
    options.setdefault("pooling", "max")  # learns this task in a few steps
    tokenizer = Tokenizer.from_vocab(options.pop("vocab", VOCAB))
    sizes = dict(num_hidden_layers=1, hidden_size=64, intermediate_size=128, max_position_embeddings=16)
    sizes |= dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    config = BertConfig.of("tiny", vocab_size=tokenizer.vocab_size, **sizes)
    encoder = Bert(config, dtype=options.pop("dtype", "float32"))
    return TextClassifier(encoder, tokenizer=tokenizer, max_length=16, **options)


def fit(classifier, *data, **options):
    options = {"epochs": 25, "batch_size": 16, "learning_rate": 3e-3, **options}
    return classifier.fit(*data, **options)


@pytest.fixture(scope="module")
def trained():
    classifier = new_classifier()
    history = fit(classifier, *examples(), validation=examples(30, seed=1))
    return classifier, history


def test_it_learns_and_tells_names(trained):
    classifier, history = trained
    assert classifier.labels == ["교통", "날씨", "음식"]
    assert classifier.evaluate(*examples(30, seed=2)) == {"accuracy": 1.0, "macro_f1": 1.0, "examples": 30}
    assert classifier.predict(["비 다", "가 가 밥 다", "배"]) == ["날씨", "음식", "교통"]
    assert history[-1]["loss"] < history[0]["loss"] and history[-1]["accuracy"] == 1.0
    (best,) = classifier.top(["눈 다"], k=2)
    assert best[0][0] == "날씨" and best[0][1] > best[1][1] and len(best) == 2


def test_probabilities_follow_the_input_order_whatever_the_lengths(trained):
    classifier, _ = trained
    texts, _ = examples(50, seed=3)
    together = classifier.predict_proba(texts, batch_size=7)
    alone = np.concatenate([classifier.predict_proba([text]) for text in texts[:8]])
    np.testing.assert_allclose(together[:8], alone, atol=1e-5)
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-5)
    assert classifier.predict([]) == []


@pytest.mark.parametrize("pooling", ["first", "max", "mean"])
def test_the_model_takes_a_list_or_a_batch_with_more_in_it(pooling):
    classifier = new_classifier(pooling=pooling, labels=["a", "b"])
    batch = classifier.tokenizer(["비 다", "가 가 밥 다"])
    logits = classifier.logits(batch)
    np.testing.assert_allclose(classifier.model([batch[name] for name in INPUT_NAMES]), logits, atol=1e-6)
    np.testing.assert_allclose(classifier.model({**batch, "labels": np.array([0, 1])}), logits, atol=1e-6)
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in INPUT_NAMES}
    np.testing.assert_allclose(keras.Model(inputs, classifier.model(inputs))(batch), logits, atol=1e-6)


@pytest.mark.parametrize("pooling", ["first", "max", "mean"])
def test_no_pooling_sees_the_padding(pooling):
    classifier = new_classifier(pooling=pooling, labels=["a", "b"])
    short, padded = classifier.tokenizer(["비 다"]), classifier.tokenizer(["비 다"], pad_to=12)
    expected = classifier.logits(short, training=False)
    np.testing.assert_allclose(classifier.logits(padded, training=False), expected, atol=1e-5)


@pytest.mark.parametrize("pooling, kind", [("first", First), ("max", Max), ("mean", Mean)])
def test_pooling_is_an_object_that_a_name_stands_for(pooling, kind):
    assert new_classifier(pooling=pooling).pooling == new_classifier(pooling=kind()).pooling == kind()


def test_what_is_saved_is_what_comes_back(trained, tmp_path):
    classifier, _ = trained
    texts, _ = examples(20, seed=4)
    threshold = classifier.calibrate(texts, acceptance=0.9)
    classifier.save(tmp_path / "model")
    again = TextClassifier.load(tmp_path / "model")
    np.testing.assert_allclose(again.predict_proba(texts), classifier.predict_proba(texts), atol=1e-6)
    assert (again.labels, again.none_threshold, again.max_length) == (classifier.labels, threshold, 16)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model"]
    (tmp_path / "model" / "head.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no head\.safetensors"):
        TextClassifier.load(tmp_path / "model")


def test_none_of_these_keeps_the_asked_share_of_known_texts(trained):
    classifier, _ = trained
    texts, _ = examples(200, seed=5)
    classifier.calibrate(texts, acceptance=0.8)
    kept = [label is not None for label in classifier.predict(texts, reject=True)]
    assert np.mean(kept) == pytest.approx(0.8, abs=0.03)
    classifier.none_threshold = None
    with pytest.raises(ValueError, match="call calibrate"):
        classifier.predict(texts, reject=True)


def test_pairs():
    """The label says what the second text is about; a model that sees the first alone can't learn it."""
    random = np.random.default_rng(0)
    first = [random.choice(["비", "밥"]) for _ in range(120)]
    second = [random.choice(["비", "밥"]) for _ in range(120)]
    labels = [{"비": "날씨", "밥": "음식"}[text] for text in second]
    classifier = new_classifier()
    fit(classifier, first, labels, second)
    assert classifier.is_pair
    assert classifier.evaluate(first, labels, second)["accuracy"] > 0.95
    with pytest.raises(DataError, match="the classifier takes pairs of texts"):
        classifier.predict(first)


def test_several_labels_at_once():
    texts, labels = examples(60)
    both = [(label, "다섯") if "가" in text else (label,) for text, label in zip(texts, labels, strict=True)]
    classifier = new_classifier(activation="sigmoid")
    fit(classifier, texts, both)
    assert classifier.labels == ["교통", "날씨", "다섯", "음식"]
    assert classifier.evaluate(texts, both)["micro_f1"] > 0.9
    assert set(classifier.predict(["가 비 다"])[0]) == {"날씨", "다섯"}


def test_numbers():
    texts, labels = examples(60)
    values = [float(list(WORDS).index(label)) for label in labels]
    classifier = new_classifier(activation="linear")
    fit(classifier, texts, values)
    figures = classifier.evaluate(texts, values)
    assert figures["pearson"] > 0.9 and figures["mean_squared_error"] < 0.3
    assert isinstance(classifier.predict(["비"])[0], float)


def test_class_weights():
    texts, labels = ["가"] * 32, ["자주"] * 28 + ["드물게"] * 4
    plain, balanced = new_classifier(dropout=0.0), new_classifier(dropout=0.0)
    fit(plain, texts, labels, epochs=12)
    fit(balanced, texts, labels, epochs=12, class_weight="balanced")
    rare = plain.labels.index("드물게")
    assert plain.predict_proba(["가"])[0, rare] == pytest.approx(4 / 32, abs=0.08)
    assert balanced.predict_proba(["가"])[0, rare] == pytest.approx(1 / 2, abs=0.12)
    with pytest.raises(ValueError, match=r"class_weight names \['없음'\]"):
        fit(plain, texts, labels, class_weight={"없음": 2.0})


def test_a_data_frame():
    pandas = pytest.importorskip("pandas")
    texts, labels = examples(30)
    frame = pandas.DataFrame({"utterance": texts, "intent": labels})
    classifier = new_classifier()
    columns = {"text_column": "utterance", "label_column": "intent"}
    fit(classifier, frame, validation=frame, epochs=1, **columns)
    assert classifier.evaluate(frame, **columns)["examples"] == 30
    assert len(classifier.predict(frame["utterance"])) == 30


def test_the_same_seed_gives_the_same_model():
    weights = []
    for _ in range(2):
        classifier = new_classifier()
        fit(classifier, *examples(), epochs=2, token_dropout=0.1, seed=3)
        weights.append(classifier.model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_token_dropout_masks_words_and_nothing_else():
    from tfkor.data import TokenDropout

    class Rows:
        def epoch(self, epoch):
            yield {"input_word_ids": np.tile(np.array([2, 5, 6, 3, 0], np.int32), (2000, 1))}

    (batch,) = TokenDropout(Rows(), 0.25, mask_id=4, special_ids=[0, 2, 3]).epoch(0)
    masked = (batch["input_word_ids"] == 4).mean(0)
    np.testing.assert_allclose(masked, [0, 0.25, 0.25, 0, 0], atol=0.04)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "linear"])
def test_r_drop_adds_the_divergence_of_two_passes(activation):
    def divergence(p, q, axis):
        return (p * np.log(p / q)).sum(axis)

    classifier = new_classifier(num_classes=3, activation=activation)
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 4, classifier.num_classes)).astype("float32")
    found = ops.convert_to_numpy(
        classifier.loss_function.disagreement(ops.convert_to_tensor(first), ops.convert_to_tensor(second))
    )
    assert found.shape == (8,)
    p, q = (ops.convert_to_numpy(classifier.activate(ops.convert_to_tensor(x))) for x in (first, second))
    if activation == "softmax":
        expected = (divergence(p, q, axis=1) + divergence(q, p, axis=1)) / 2
    elif activation == "sigmoid":
        p, q = np.stack([p, 1 - p]), np.stack([q, 1 - q])
        expected = (divergence(p, q, axis=0) + divergence(q, p, axis=0)).mean(1) / 2
    else:
        expected = (first - second)[:, 0] ** 2 / 2
    np.testing.assert_allclose(found, np.tile(expected, 2), rtol=1e-4)


def test_r_drop_without_dropout_is_the_loss_itself():
    classifier = new_classifier(num_classes=3, dropout=0.0)
    ids = np.array([[2, 7, 6, 3], [2, 11, 6, 3]], "int32")
    batch = dict(zip(INPUT_NAMES, (ids, np.ones_like(ids), np.zeros_like(ids))), labels=np.array([0, 2], "int32"))
    batch["sample_weight"] = np.array([1, 0], "float32")
    twice = {name: np.concatenate([column, column]) for name, column in batch.items()}
    plain, doubled = float(classifier.loss(batch)[0]), float(classifier.loss(twice, r_drop=3.0)[0])
    assert plain == pytest.approx(doubled, abs=1e-6)
    classifier = new_classifier(num_classes=3, dropout=0.5)
    assert classifier.loss(twice, r_drop=50.0)[0] > 2 * classifier.loss(batch)[0]


def test_label_smoothing_spreads_a_share_over_all_classes():
    classifier = new_classifier(num_classes=3, dropout=0.0)
    ids = np.array([[2, 7, 6, 3], [2, 11, 6, 3]], "int32")
    batch = dict(zip(INPUT_NAMES, (ids, np.ones_like(ids), np.zeros_like(ids))), labels=np.array([0, 2], "int32"))
    batch["sample_weight"] = np.ones(2, "float32")
    logits = ops.convert_to_numpy(classifier.logits(batch, training=False))
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -(0.9 * log[[0, 1], batch["labels"]] + 0.1 * log.mean(-1)).mean()
    assert float(classifier.loss(batch, CrossEntropy(0.1))[0]) == pytest.approx(expected, abs=1e-5)
    assert float(classifier.loss(batch)[0]) != pytest.approx(expected, abs=1e-3)
    with pytest.raises(ValueError, match=r"label_smoothing works with .*; the activation is 'linear'"):
        fit(new_classifier(activation="linear"), ["비", "눈"], [0.5, 1.0], label_smoothing=0.1)
    with pytest.raises(ValueError, match="and its own loss; loss is CrossEntropy"):
        fit(new_classifier(), *examples(), label_smoothing=0.1, loss=CrossEntropy(0.2))


def test_batches_of_two_views():
    classifier = new_classifier(num_classes=3, vocab=SUBWORDS)
    texts, labels = examples(20)
    data = TextData([text.replace(" ", "") for text in texts], labels=labels)  # one word, of other pieces in each epoch
    classifier.labels = sorted(set(labels))
    options = dict(batch_size=20, max_buckets=1, two_views=True, seed=3)
    (batch,) = training_batches(classifier, data, **options).epoch(0)
    for name in ("input_word_ids", "input_mask", "labels", "sample_weight"):
        first, second = np.split(batch[name], 2)
        assert len(first) == 20 and np.array_equal(first, second)
    redrawn = training_batches(classifier, data, subword_dropout=0.5, **options)
    seen = []
    for epoch in (0, 1, 0):
        (batch,) = redrawn.epoch(epoch)
        plain, other = np.split(batch["input_word_ids"], 2)
        order = np.argsort(np.random.default_rng([3, epoch]).permutation(20))  # of the rows, to compare epochs
        seen.append(other[order])
        assert np.array_equal(plain[order][:, :6], classifier.tokenizer(data.texts)["input_word_ids"][:, :6])
    assert np.array_equal(seen[0], seen[2]) and not np.array_equal(seen[0], seen[1])


def test_it_learns_with_all_regularisation():
    classifier = new_classifier(vocab=SUBWORDS)
    options = dict(token_dropout=0.1, subword_dropout=0.3, r_drop=1.0, patience=None)
    options |= dict(layer_decay=0.9, unfreeze_epochs=0.5, label_smoothing=0.05)
    history = fit(classifier, *examples(), validation=examples(30, seed=1), **options)
    assert classifier.evaluate(*examples(30, seed=2))["accuracy"] >= 0.9
    assert all(round(h["examples_per_second"] * h["seconds"]) == 60 for h in history)  # a row counts once


def test_bad_input_is_named():
    texts, labels = examples(9)
    classifier = new_classifier()
    with pytest.raises(DataError, match="'모름' is not in the training data"):
        fit(classifier, texts, labels, validation=(["비"], ["모름"]))
    with pytest.raises(DataError, match="all 3 rows have the label"):
        fit(new_classifier(), texts[:3], ["a"] * 3)
    with pytest.raises(DataError, match="num_classes=176"):
        fit(new_classifier(num_classes=176), texts, labels)
    with pytest.raises(ValueError, match="num_classes is 5, and there are 2 labels"):
        new_classifier(num_classes=5, labels=["a", "b"])
    with pytest.raises(ValueError, match="the classifier has no tokenizer"):
        TextClassifier(classifier.encoder, 2, max_length=16).predict(["비"])
    with pytest.raises(ValueError, match="the encoder's position table holds 16"):
        TextClassifier(classifier.encoder, 2, max_length=17)
    with pytest.raises(ValueError, match="pooling is 'last'; expected one of"):
        TextClassifier(classifier.encoder, 2, max_length=16, pooling="last")
    small = Bert(BertConfig.of("tiny", vocab_size=9, max_position_embeddings=16))
    with pytest.raises(ValueError, match="the encoder's vocab_size is 9"):
        TextClassifier(small, 2, tokenizer=classifier.tokenizer, max_length=16)


def test_long_texts_are_cut_with_a_warning(caplog):
    texts, labels = examples(12)
    fit(new_classifier(), [texts[0] + " 가" * 30, *texts[1:]], labels, epochs=1)
    assert "1 of 12 rows have more than max_length=16 tokens" in caplog.text


def test_mixed_precision_trains():
    for dtype in ("mixed_bfloat16", "mixed_float16"):
        classifier = new_classifier(dtype=dtype)
        history = fit(classifier, *examples(), epochs=4)
        assert history[-1]["loss"] < history[0]["loss"]
        assert classifier.predict_proba(["비"]).dtype == np.float32


def test_settings_are_json(trained, tmp_path):
    classifier, _ = trained
    classifier.save(tmp_path / "model")
    settings = json.loads((tmp_path / "model" / "task.json").read_text("utf-8"))
    assert settings["labels"] == classifier.labels and settings["pair"] is False and settings["pooling"] == "max"
    assert settings["task"] == "text_classifier" and "head.safetensors" in settings["sha256"]
    with pytest.raises(FileExistsError, match="is there already"):
        classifier.save(tmp_path / "model", overwrite=False)
    assert isinstance(classifier.text_data(["비"]), TextData)
