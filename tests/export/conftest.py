"""A small classifier of each kind, with a tokenizer of syllables."""

import pytest

TEXTS = [
    "내일 비 와?",
    "엄마한테 30만 원 보내 줘",
    "불 좀 꺼 줄래 ㅋㅋㅋㅋ",
    "",
    "[MASK]는 그냥 글자",
    "거실 " * 40,
    "lower UPPER 漢字 🙂",
]
LABELS = ["날씨", "송금", "조명", "알람", "기타"]


@pytest.fixture(scope="session")
def make_classifier():
    import keras
    import numpy as np

    from tfkor import Bert, BertConfig, TextClassifier, Tokenizer

    syllables = sorted({c for text in TEXTS for c in text if not c.isspace()} - set("[]"))
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[", "]", *syllables, *(f"##{c}" for c in syllables)]

    def make(activation="softmax", dtype="float32", **options):
        keras.utils.set_random_seed(7)
        config = BertConfig(len(vocab), 32, 2, 4, 64, max_position_embeddings=24)
        labels = None if activation == "linear" else LABELS
        tokenizer = Tokenizer.from_vocab(vocab)
        encoder = Bert(config, dtype=dtype)
        options = {"tokenizer": tokenizer, "labels": labels, "max_length": 16, "activation": activation, **options}
        classifier = TextClassifier(encoder, **options)
        random = np.random.default_rng(0)  # larger than at initialisation, so that the labels differ
        for v in classifier.model.trainable_variables:
            v.assign_add(random.normal(scale=0.2, size=v.shape))
        return classifier

    return make


@pytest.fixture(scope="session")
def classifier(make_classifier):
    classifier = make_classifier()
    classifier.calibrate(TEXTS, acceptance=0.5)
    return classifier
