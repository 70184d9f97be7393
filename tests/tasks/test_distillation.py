"""Distillation: the losses are the formula, the student gets nearer to its teacher, what does not fit is named."""

import keras
import numpy as np
import pytest
from keras import ops

from tfkor import Bert, BertConfig, TextClassifier, Tokenizer
from tfkor.data import DataError, TextData
from tfkor.tasks.distillation import Distillation

WORDS = {"날씨": list("비눈해달별"), "음식": list("밥국빵면떡"), "교통": list("차배길역문")}
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


def examples(rows, seed, words=5):
    """Texts with a word of their topic, one of the first so many."""
    random = np.random.default_rng(seed)
    labels = [list(WORDS)[i % 3] for i in range(rows)]
    texts = [" ".join(["가"] * random.integers(0, 4) + [random.choice(WORDS[name][:words]), "다"]) for name in labels]
    return texts, labels


def classifier(width=32, seed=1, **options):
    keras.utils.set_random_seed(seed)
    sizes = dict(num_hidden_layers=1, num_attention_heads=2, hidden_size=width, intermediate_size=2 * width)
    config = BertConfig(len(VOCAB), max_position_embeddings=16, hidden_dropout_prob=0.0, **sizes)
    options = {"pooling": "max", "dropout": 0.0, "max_length": 16} | options
    return TextClassifier(Bert(config), tokenizer=Tokenizer.from_vocab(VOCAB), **options)


@pytest.fixture(scope="module")
def teacher():
    teacher = classifier(64)
    teacher.fit(*examples(90, 0), epochs=15, batch_size=16, learning_rate=3e-3)
    return teacher


def test_unlabelled_texts_teach_what_few_labels_do_not(teacher):
    few = examples(6, 3, words=1)  # a third of the words is in none of them
    test, truth = examples(60, 4)
    assert teacher.evaluate(test, truth)["accuracy"] > 0.95
    options = dict(epochs=15, batch_size=16, learning_rate=5e-3)
    alone, taught = classifier(), classifier()
    alone.fit(*few, **options | dict(epochs=60))
    taught.fit(*few, teacher=teacher, unlabelled=examples(120, 5)[0], distillation=0.9, **options)
    assert taught.labels == teacher.labels
    right = [each.evaluate(test, truth)["accuracy"] for each in (alone, taught)]
    assert right[1] > 0.9 and right[1] > right[0] + 0.2
    distance = [np.abs(each.predict_proba(test) - teacher.predict_proba(test)).mean() for each in (alone, taught)]
    assert distance[1] < distance[0] / 2


def test_gradient_of_soft_and_hard_labels_at_a_temperature(teacher):
    student = classifier(labels=["음식", "교통", "날씨"])  # in another order than the teacher's
    lessons = Distillation(student, teacher, temperature=3.0, distillation=0.7)
    data = TextData(["비 다", "밥 다"], labels=["날씨", "음식"])
    rows, targets = lessons.targets(data, ["차 다"])
    assert rows.texts == ["비 다", "밥 다", "차 다"]
    order = [teacher.labels.index(label) for label in student.labels]
    log = np.log(teacher.predict_proba(rows.texts)[:, order]) / 3
    soft = np.exp(log) / np.exp(log).sum(1, keepdims=True)
    np.testing.assert_allclose(targets, np.concatenate([[[1, 2], [1, 0], [0, 0]], soft], 1), atol=1e-6)
    logits = np.random.default_rng(0).normal(size=(3, 3)).astype("float32")

    def softmax(x):
        return np.exp(x) / np.exp(x).sum(1, keepdims=True)

    hard = softmax(logits) - np.eye(3)[[2, 0, 0]]
    hard[2] = 0  # has no label
    expected = 0.3 * hard + 0.7 * 3 * (softmax(logits / 3) - soft)  # T^2 / T
    np.testing.assert_allclose(gradient(lessons.loss(), targets, logits), expected, atol=1e-5)
    smooth = np.log(softmax(logits)).mean(1)
    tensors = [ops.convert_to_tensor(x) for x in (targets, logits)]
    plain, found = (np.asarray(lessons.loss(share)(*tensors)) for share in (0, 0.1))
    np.testing.assert_allclose(found, 0.9 * plain - 0.1 * smooth, rtol=1e-4)


def gradient(loss, targets, logits, step=1e-3):
    """d sum of losses / d logits, by differences."""
    out = np.zeros_like(logits)
    for place in np.ndindex(*logits.shape):
        both = []
        for sign in (1, -1):
            moved = logits.astype("float64")
            moved[place] += sign * step
            both.append(float(ops.sum(loss(ops.cast(targets, "float64"), ops.convert_to_tensor(moved)))))
        out[place] = (both[0] - both[1]) / (2 * step)
    return out


@pytest.mark.parametrize("activation", ["sigmoid", "linear"])
def test_losses_of_several_labels_and_of_numbers(activation):
    labels = None if activation == "linear" else ["a", "b"]
    student = classifier(activation=activation, labels=labels)
    other = classifier(activation=activation, labels=labels, seed=2)
    lessons = Distillation(student, other, distillation=0.25)
    names = [0.5, 2.0] if activation == "linear" else [("a",), ("a", "b")]
    _, targets = lessons.targets(TextData(["비 다", "밥 다"], labels=names), ["차"])
    taught = other.predict_proba(["비 다", "밥 다", "차"])
    truth = np.array([[0.5], [2.0], [0]]) if activation == "linear" else np.array([[1, 0], [1, 1], [0, 0]])
    logits = np.random.default_rng(0).normal(size=taught.shape).astype("float32")

    def loss(target):
        if activation == "linear":
            return (logits[:, 0] - target[:, 0]) ** 2
        return (np.log1p(np.exp(logits)) - target * logits).mean(1)

    expected = 0.75 * loss(truth) * [1, 1, 0] + 0.25 * loss(taught)
    found = lessons.loss()(ops.convert_to_tensor(targets), ops.convert_to_tensor(logits))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_it_goes_with_two_views_and_class_weights(teacher):
    student = classifier(labels=list(WORDS))
    texts, labels = examples(30, 0)
    options = dict(teacher=teacher, unlabelled=texts[:10], r_drop=1.0, class_weight="balanced", label_smoothing=0.1)
    history = student.fit(texts, labels, epochs=2, batch_size=8, learning_rate=3e-3, **options)
    assert history[1]["loss"] < history[0]["loss"]


def test_what_does_not_fit_is_named(teacher):
    with pytest.raises(ValueError, match=r"temperature=0, distillation=0\.5; expected more than 0"):
        Distillation(classifier(), teacher, temperature=0)
    with pytest.raises(ValueError, match="activation is 'softmax', the student's 'linear'"):
        Distillation(classifier(activation="linear"), teacher)
    with pytest.raises(ValueError, match=r"not have the same labels; one of them lacks \['교통', '음식'\]"):
        Distillation(classifier(labels=["날씨"]), teacher)
    lessons = Distillation(classifier(labels=list(WORDS)), teacher)
    with pytest.raises(DataError, match="not of one kind"):
        lessons.targets(TextData(["비"], labels=["날씨"]), (["비"], ["눈"]))
