"""A SavedModel as a Keras 3 layer: what it takes, what it trains, how it is saved."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkor import Bert, hub
from tfkor.export import export_encoder
from tfkor.layers.inputs import INPUT_NAMES

HUB_NAMES = ("input_word_ids", "input_mask", "input_type_ids")
VARIABLES = 21  # of an encoder with one block


@pytest.fixture(scope="module")
def encoder():
    from tfkor import BertConfig

    keras.utils.set_random_seed(3)
    return Bert(BertConfig(40, 32, 1, 4, 64, max_position_embeddings=16))


@pytest.fixture(scope="module")
def handle(encoder, tmp_path_factory):
    return export_encoder(encoder, tmp_path_factory.mktemp("exports") / "encoder")


class Line(tf.Module):
    """w x + b of a number, and a loss on w."""

    def __init__(self):
        self.w, self.b = tf.Variable(3.0), tf.Variable(1.0, trainable=False)

    @tf.function(input_signature=[tf.TensorSpec((None, 1))])
    def __call__(self, x):
        return {"line": self.w * x + self.b, "twice": 2 * x}

    @tf.function(input_signature=[])
    def loss(self):
        return 10 * self.w**2


def course_model(bert_layer, as_dict=False, length=None):
    inputs = [keras.Input((length,), dtype="int32", name=name) for name in INPUT_NAMES]
    if as_dict:
        pooled_output = bert_layer(dict(zip(HUB_NAMES, inputs)))["pooled_output"]
    else:
        pooled_output, _ = bert_layer(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(pooled_output))


def changed(layer, before):
    return [np.abs(v.numpy() - old).max() > 0 for v, old in zip(layer.trainable_variables, before, strict=True)]


def train(model, inputs, epochs=3, optimizer="adam", **options):
    model.compile(optimizer, "sparse_categorical_crossentropy", **options)
    return model.fit(inputs, np.array([0, 1, 2]), epochs=epochs, verbose=0).history["loss"]


def test_list_and_dict_and_shapes(encoder, handle, three_arrays):
    layer = hub.KerasLayer(handle)
    pooled_output, sequence_output = encoder(three_arrays)
    np.testing.assert_allclose(layer(three_arrays)[1], sequence_output, atol=1e-5)
    np.testing.assert_allclose(layer(tuple(three_arrays))[0], pooled_output, atol=1e-5)
    for names in (INPUT_NAMES, HUB_NAMES):
        outputs = layer(dict(zip(names, three_arrays)))
        np.testing.assert_allclose(outputs["encoder_outputs"][0], sequence_output, atol=1e-5)
    symbolic = layer([keras.Input((10,), dtype="int32", name=name) for name in INPUT_NAMES])
    assert [tuple(x.shape) for x in symbolic] == [(None, 32), (None, 10, 32)]
    only = hub.KerasLayer(handle, output_key="default")(dict(zip(HUB_NAMES, three_arrays)))
    np.testing.assert_allclose(only, pooled_output, atol=1e-5)


@pytest.mark.parametrize("as_dict", [False, True])
@pytest.mark.parametrize("optimizer, jit_compile", [("adam", False), ("sgd", True)])  # SGD compiles in half the time
def test_fit_trains_all_variables(handle, three_arrays, as_dict, optimizer, jit_compile):
    layer = hub.KerasLayer(handle, trainable=True)
    model = course_model(layer, as_dict)
    before = [v.numpy() for v in layer.trainable_variables]
    losses = train(model, three_arrays, 5, optimizer, jit_compile=jit_compile)
    assert losses[-1] < losses[0]
    assert len(before) == VARIABLES and all(changed(layer, before))


def test_a_frozen_layer_does_not_move_and_has_no_dropout(handle, three_arrays):
    layer = hub.KerasLayer(handle)
    model = course_model(layer)
    assert layer.trainable_variables == [] and len(model.trainable_variables) == 2
    before = layer.get_weights()
    train(model, three_arrays)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(layer(three_arrays, training=True)[0], layer(three_arrays)[0])
    layer.trainable = True
    assert len(layer.trainable_variables) == VARIABLES
    a, b = (layer(three_arrays, training=True)[0] for _ in range(2))
    assert np.abs(a - b).max() > 1e-3


def test_saved_and_loaded_and_trained_further(handle, three_arrays, tmp_path):
    shutil.copytree(handle, tmp_path / "encoder")
    model = course_model(hub.KerasLayer(tmp_path / "encoder", trainable=True))
    train(model, three_arrays)
    expected = model.predict(three_arrays, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(three_arrays, verbose=0), expected, atol=1e-6)

    (tmp_path / "encoder").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match=r"encoder: no such folder; .*tfkor.hub.load_model"):
        keras.models.load_model(tmp_path / "model.keras")
    moved = hub.load_model(tmp_path / "model.keras", tmp_path / "moved")
    np.testing.assert_allclose(moved.predict(three_arrays, verbose=0), expected, atol=1e-6)
    layer = next(layer for layer in moved.layers if isinstance(layer, hub.KerasLayer))
    before = [v.numpy() for v in layer.trainable_variables]
    moved.fit(three_arrays, np.array([0, 1, 2]), verbose=0)
    assert len(before) == VARIABLES and all(changed(layer, before))
    moved.save(tmp_path / "again.keras")
    keras.models.load_model(tmp_path / "again.keras")


def test_found_from_the_working_directory(handle, three_arrays, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    shutil.copytree(handle, tmp_path / "here" / "encoder")
    monkeypatch.chdir(tmp_path / "here")
    model = course_model(hub.KerasLayer("encoder"))
    model.save("model.keras")
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    loaded = keras.models.load_model("model.keras")
    np.testing.assert_allclose(loaded(three_arrays), model(three_arrays), atol=1e-6)


def test_exported_again(handle, three_arrays, tmp_path):
    model = course_model(hub.KerasLayer(handle, trainable=True))
    train(model, three_arrays)
    model.export(tmp_path / "again", verbose=False)
    again = tf.saved_model.load(tmp_path / "again")
    served = again.serve([tf.constant(x) for x in three_arrays])
    np.testing.assert_allclose(served, model.predict(three_arrays, verbose=0), atol=1e-5)


def test_signature(encoder, handle, three_arrays):
    inputs = dict(zip(INPUT_NAMES, three_arrays))
    layer = hub.KerasLayer(handle, signature="serving_default", signature_outputs_as_dict=True)
    assert set(layer(inputs)) == {"pooled_output", "sequence_output"}
    layer = hub.KerasLayer(handle, signature="serving_default", output_key="pooled_output")
    np.testing.assert_allclose(layer(inputs), encoder(three_arrays)[0], atol=1e-5)
    with pytest.raises(ValueError, match="signature_outputs_as_dict=True or output_key"):
        hub.KerasLayer(handle, signature="serving_default")
    with pytest.raises(ValueError, match="a signature can't be trained"):
        hub.KerasLayer(handle, trainable=True, signature="serving_default", output_key="pooled_output")
    with pytest.raises(ValueError, match=r"no signature 'tokens'; .*serving_default"):
        hub.KerasLayer(handle, signature="tokens", output_key="pooled_output")


@pytest.mark.parametrize("hub_format", [True, False])
def test_models_of_others(tmp_path, hub_format):
    """The hub format has variables and regularization losses; a plain tf.Module is trained all the same."""
    root = line = Line()
    if hub_format:
        root = tf.train.Checkpoint(variables=[line.w, line.b], trainable_variables=[line.w])
        root.__call__, root.regularization_losses = line.__call__, [line.loss]
    tf.saved_model.save(root, str(tmp_path / "line"))
    layer = hub.KerasLayer(tmp_path / "line", trainable=True, output_key="line", dtype="mixed_bfloat16")
    assert [len(layer.trainable_variables), len(layer.variables)] == [1, 2]
    inputs = keras.Input((1,))
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.SGD(0.01), "mse")
    loss = model.evaluate(np.ones((4, 1)), np.ones((4, 1)), verbose=0)
    assert loss == pytest.approx(9 + 90 * hub_format)
    model.fit(np.ones((4, 1)), np.ones((4, 1)), verbose=0)
    assert layer.trainable_variables[0].numpy() == pytest.approx(3 - 0.06 - 0.6 * hub_format)


def test_an_object_as_the_handle(encoder, handle, three_arrays):
    layer = hub.KerasLayer(tf.saved_model.load(handle))
    np.testing.assert_allclose(layer(three_arrays)[0], encoder(three_arrays)[0], atol=1e-5)
    with pytest.raises(ValueError, match="was made from an object"):
        layer.get_config()


def test_what_is_no_saved_model(handle, three_arrays, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such folder; expected the folder of a SavedModel"):
        hub.KerasLayer(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ValueError, match=r"holds notes.txt; expected the folder of a SavedModel, with saved_model.pb"):
        hub.KerasLayer(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"notes.txt: a file; expected the folder"):
        hub.KerasLayer(tmp_path / "notes.txt")
    shutil.copytree(handle, tmp_path / "half")
    shutil.rmtree(tmp_path / "half" / "variables")
    with pytest.raises(ValueError, match=r"half: TensorFlow can't load this SavedModel"):
        hub.KerasLayer(tmp_path / "half")
    (tmp_path / "half" / "saved_model.pb").write_bytes(b"half of a graph")
    with pytest.raises(ValueError, match=r"half: TensorFlow can't load this SavedModel"):
        hub.KerasLayer(tmp_path / "half")
    tf.saved_model.save(tf.train.Checkpoint(v=tf.Variable(1.0)), str(tmp_path / "mute"))
    with pytest.raises(ValueError, match="can't be called itself; give one of its signatures"):
        hub.KerasLayer(tmp_path / "mute")
    with pytest.raises(ValueError, match=r"output_key is 'pooled'; .*'pooled_output', 'sequence_output'"):
        hub.KerasLayer(handle, output_key="pooled")(dict(zip(HUB_NAMES, three_arrays)))
