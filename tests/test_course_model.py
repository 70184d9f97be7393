"""The intent classifier of a BERT course on each thing that can be its bert_layer: a tfkor encoder, hub.KerasLayer in
tf_keras (in a process of its own) and tfkor.hub.KerasLayer in Keras 3."""

import json
import os
import subprocess
import sys

import course_model
import keras
import numpy as np
import pytest

from tfkor import Bert, BertConfig, TextClassifier, hub
from tfkor.export import export_classifier, export_encoder


@pytest.fixture(scope="module")
def encoder():
    keras.utils.set_random_seed(3)
    return Bert(BertConfig(60, 32, 2, 4, 64, max_position_embeddings=16))


@pytest.fixture(scope="module")
def handle(encoder, tmp_path_factory):
    return export_encoder(encoder, tmp_path_factory.mktemp("exports") / "encoder")


@pytest.fixture(scope="module")
def classifier_handle(encoder, handle):
    return export_classifier(TextClassifier(encoder, num_classes=5, max_length=16), handle.with_name("classifier"))


@pytest.fixture(scope="module")
def data():
    """32 rows of up to 10 tokens and their labels, and weights for the last layer."""
    random = np.random.default_rng(0)
    mask = (np.arange(10) < random.integers(3, 11, (32, 1))).astype("int32")
    return {
        "input_word_ids": random.integers(1, 60, (32, 10)).astype("int32") * mask,
        "input_mask": mask,
        "segment_ids": np.zeros_like(mask),
        "labels": random.integers(0, 176, 32),
        "kernel": random.normal(scale=0.2, size=(32, 176)).astype("float32"),
        "bias": np.zeros(176, "float32"),
    }


@pytest.fixture(scope="module")
def with_keras_3(handle, data):
    return course_model.train(hub.KerasLayer(handle, trainable=True), data)


@pytest.fixture(scope="module")
def with_tf_keras(handle, classifier_handle, data, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "data.npz"
    np.savez(path, **data)
    command = [sys.executable, course_model.__file__, str(handle), str(classifier_handle), str(path)]
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def with_encoder(encoder, handle, classifier_handle, data):
    """Trains the encoder that the handles were exported from before."""
    return course_model.train(encoder, data)


@pytest.mark.parametrize("bert_layer", ["with_encoder", "with_tf_keras", "with_keras_3"])
def test_the_course_model_trains(request, bert_layer):
    figures = request.getfixturevalue(bert_layer)
    assert np.shape(figures["probabilities"]) == (32, 176)
    assert figures["losses"][-1] < figures["losses"][0] - 0.1
    assert len(figures["changes"]) == 35 and min(figures["changes"]) > 1e-5


def test_the_three_give_the_same_probabilities(with_encoder, with_tf_keras, with_keras_3):
    for other in (with_tf_keras, with_keras_3):
        np.testing.assert_allclose(other["probabilities"], with_encoder["probabilities"], atol=1e-5)


def test_the_hub_layer_of_tf_keras_takes_dicts_and_drops_out(with_tf_keras):
    assert with_tf_keras["names"] == ["default", "encoder_outputs", "pooled_output", "sequence_output"]
    assert with_tf_keras["default"] < 1e-5 and with_tf_keras["sequence_output"] < 1e-5
    assert with_tf_keras["dropout"] > 1e-3


def test_the_hub_layer_of_tf_keras_takes_the_classifier(with_tf_keras, classifier_handle, data):
    layer = hub.KerasLayer(classifier_handle)
    expected = layer([data[name] for name in ("input_word_ids", "input_mask", "segment_ids")])
    assert expected.shape == (32, 5)
    np.testing.assert_allclose(with_tf_keras["classifier"], expected, atol=1e-5)
    assert with_tf_keras["classifier_variables"] == 37
