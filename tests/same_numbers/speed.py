"""Turns of the speed measurement; what is loaded and compiled stays between them."""

import functools
import time
from pathlib import Path

import adapter
import keras
import stored

STEPS, LINES = 4, 20_000


def turn(what, folder):
    work = MAKERS[what](Path(folder))
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}


@functools.cache
def training_step(folder):
    """Steps of MLM on a mini BERT, 32 rows of 64 ids."""
    encoder, _ = adapter.load_encoder(stored.MINI)
    step = adapter.training_step(adapter.new_objective("mlm", encoder))
    batch = next(adapter.pretraining_batches(folder / "mini-shards", length=64, batch_size=32))

    def work():
        for _ in range(STEPS):
            loss = step(batch)
        float(loss)

    return work


@functools.cache
def classifier_of(labels):
    keras.utils.set_random_seed(0)
    encoder, tokenizer = adapter.load_encoder(stored.MINI)
    options = dict(labels=list(labels), max_length=64, tokenizer=tokenizer)
    return adapter.task_class("TextClassifier")(encoder, **options)


@functools.cache
def fine_tuning(folder):
    """An epoch of 640 short texts."""
    texts = stored.utterances()[:640]
    data = adapter.task_data("TextClassifier", (texts, [str(i % 8) for i in range(640)]))
    classifier = classifier_of(tuple(map(str, range(8))))
    return lambda: adapter.fit(classifier, data, epochs=1)


@functools.cache
def prediction(folder):
    """2,000 texts -> labels."""
    texts = stored.utterances()[1000:3000]
    classifier = classifier_of(tuple("abcdefgh"))
    return lambda: classifier.predict(texts)


@functools.cache
def tokenizer(folder):
    """20,000 lines of a few sentences each -> ids, WordPiece."""
    texts = stored.utterances()
    lines = [f"{texts[i % len(texts)]} {texts[i * 7 % len(texts)]} {i}" for i in range(LINES)]
    loaded = adapter.load_tokenizer(stored.MINI / "tokenizer")
    return lambda: loaded.ids(lines)


MAKERS = {
    "training_step": training_step,
    "fine_tuning": fine_tuning,
    "prediction": prediction,
    "tokenizer": tokenizer,
}
