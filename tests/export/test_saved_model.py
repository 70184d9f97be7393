"""The SavedModels equal the models they were made from, train, and are never half written."""

import json
import subprocess
import sys
import unicodedata

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import LABELS, TEXTS

from tfkor import hub
from tfkor.export import export_classifier, export_encoder, export_string_classifier
from tfkor.layers.inputs import INPUT_NAMES

HUB_NAMES = ("input_word_ids", "input_mask", "input_type_ids")


@pytest.fixture(scope="module")
def encoder_path(classifier, tmp_path_factory):
    return export_encoder(classifier.encoder, tmp_path_factory.mktemp("exports") / "encoder")


@pytest.fixture(scope="module")
def ids_path(classifier, tmp_path_factory):
    return export_classifier(classifier, tmp_path_factory.mktemp("exports") / "ids")


@pytest.fixture(scope="module")
def strings_path(classifier, tmp_path_factory):
    return export_string_classifier(classifier, tmp_path_factory.mktemp("exports") / "strings")


def arrays(rows=3, length=8, vocab=40):
    lengths = np.arange(length, length - rows, -1)[:, None]
    mask = (np.arange(length) < lengths).astype("int32")
    word_ids = np.random.default_rng(0).integers(1, vocab, (rows, length)).astype("int32") * mask
    return [tf.constant(x) for x in (word_ids, mask, (np.arange(length) > lengths // 2).astype("int32") * mask)]


def close(a, b, limit=1e-5):
    return np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=limit, rtol=0)


@pytest.mark.parametrize("rows, length", [(1, 1), (3, 8), (5, 24)])
def test_encoder_takes_lists_and_dicts_of_any_size(classifier, encoder_path, rows, length):
    model, inputs = tf.saved_model.load(encoder_path), arrays(rows, length)
    pooled_output, sequence_output = classifier.encoder(inputs)
    outputs = model(inputs)
    close(outputs[0], pooled_output)
    close(outputs[1], sequence_output)
    for names in (INPUT_NAMES, HUB_NAMES):
        outputs = model(dict(zip(names, inputs)))
        assert set(outputs) == {"pooled_output", "sequence_output", "default", "encoder_outputs"}
        close(outputs["default"], pooled_output)
        assert len(outputs["encoder_outputs"]) == 2
        close(outputs["encoder_outputs"][-1], sequence_output)
        assert np.abs(outputs["encoder_outputs"][0] - sequence_output).max() > 0.1
    served = model.signatures["serving_default"](**dict(zip(INPUT_NAMES, inputs)))
    assert set(served) == {"pooled_output", "sequence_output"}
    close(served["sequence_output"], sequence_output)


def test_encoder_is_left_as_it_was(classifier, encoder_path):
    assert set(classifier.encoder(dict(zip(INPUT_NAMES, arrays())))) == {"pooled_output", "sequence_output"}


def test_encoder_trains_with_a_dropout_that_is_new_at_each_call(encoder_path):
    model, inputs = tf.saved_model.load(encoder_path), arrays()
    close(model(inputs)[0], model(inputs, training=False)[0], 0)
    calls = [model(inputs, training=True)[0] for _ in range(3)]
    assert all(np.abs(a - b).max() > 1e-3 for a, b in ((calls[0], calls[1]), (calls[1], calls[2])))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(inputs, training=True)[0] ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert len(gradients) == 35 and all(g is not None for g in gradients)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_exported_in_float32(make_classifier, tmp_path, dtype):
    mixed, exact = make_classifier(dtype=dtype, pooling="mean"), make_classifier(pooling="mean")
    ids = mixed.tokenizer(TEXTS, max_length=16)
    model = tf.saved_model.load(export_classifier(mixed, tmp_path / "ids"))
    close(model.signatures["serving_default"](**ids)["probabilities"], exact.predict_proba(TEXTS))
    assert mixed.encoder.compute_dtype == dtype.removeprefix("mixed_")
    assert np.abs(mixed.predict_proba(TEXTS) - exact.predict_proba(TEXTS)).max() > 1e-4


def test_classifier_from_ids(classifier, ids_path):
    model, ids = tf.saved_model.load(ids_path), classifier.tokenizer(TEXTS, max_length=16)
    expected = classifier.predict_proba(TEXTS)
    close(model.signatures["serving_default"](**ids)["probabilities"], expected)
    close(model([tf.constant(ids[name]) for name in INPUT_NAMES]), expected)
    close(model({name: tf.constant(ids[name]) for name in INPUT_NAMES}, training=False), expected)
    names = model.signatures["label_names"]()["labels"].numpy()
    assert [name.decode() for name in names] == LABELS
    assert len(model.trainable_variables) == len(classifier.model.trainable_variables)


def test_bad_ids_are_an_error(ids_path, encoder_path):
    for path in (ids_path, encoder_path):
        model, inputs = tf.saved_model.load(path), arrays()
        with pytest.raises(tf.errors.InvalidArgumentError, match="position table, which holds 24"):
            model.signatures["serving_default"](**dict(zip(INPUT_NAMES, arrays(1, 25))))
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=r"25 and 24|holds 24"):
            model(arrays(1, 25))
        for wrong in (-1, 10_000):
            with pytest.raises(tf.errors.InvalidArgumentError, match="outside the vocabulary: expected 0 to"):
                model([tf.fill((3, 8), wrong), *inputs[1:]])


def test_strings_give_labels(classifier, strings_path):
    model, expected = tf.saved_model.load(strings_path), classifier.predict_proba(TEXTS)
    served = model.signatures["serving_default"](text=tf.constant(TEXTS))
    assert set(served) == {"probabilities", "labels", "top_probabilities", "is_none"}
    close(served["probabilities"], expected)
    top = classifier.top(TEXTS, k=3)
    assert [[x.decode() for x in row] for row in served["labels"].numpy()] == [[x for x, _ in row] for row in top]
    close(served["top_probabilities"], [[p for _, p in row] for row in top])
    assert served["is_none"].numpy().tolist() == [x is None for x in classifier.predict(TEXTS, reject=True)]
    assert {True, False} == set(served["is_none"].numpy().tolist())
    decomposed = tf.constant([unicodedata.normalize("NFD", text) for text in TEXTS])
    for inputs in (tf.constant(TEXTS), [tf.constant(TEXTS)], {"text": tf.constant(TEXTS)}, decomposed):
        close(model(inputs)["probabilities"], expected)
    close(model.signatures["serving_default"](decomposed)["probabilities"], expected)
    assert model(tf.constant([], tf.string))["labels"].shape == (0, 3)


def test_a_process_without_tfkor_serves_strings(classifier, strings_path, tmp_path):
    program = """
import json, sys
import tensorflow as tf, tensorflow_text
model = tf.saved_model.load(sys.argv[1])
answer = model.signatures["serving_default"](text=tf.constant(json.loads(sys.argv[2])))
names = model.signatures["label_names"]()["labels"].numpy()
loaded = [name for name in sys.modules if name.split(".")[0] in ("tfkor", "tf_keras", "tensorflow_hub")]
print(json.dumps([answer["probabilities"].numpy().tolist(), [name.decode() for name in names], loaded]))
"""
    command = [sys.executable, "-I", "-c", program, str(strings_path), json.dumps(TEXTS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    probabilities, names, loaded = json.loads(done.stdout.splitlines()[-1])
    close(probabilities, classifier.predict_proba(TEXTS))
    assert names == LABELS
    assert loaded == []


def test_strings_in_a_keras_model(classifier, strings_path, tmp_path):
    text = keras.Input((), dtype="string")
    keras.Model(text, hub.KerasLayer(strings_path, output_key="probabilities")(text)).save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    close(model.predict(tf.constant(TEXTS), verbose=0), classifier.predict_proba(TEXTS))
    outputs = keras.Model(text, hub.KerasLayer(strings_path)(text))(tf.constant(TEXTS))
    assert outputs["labels"].dtype == tf.string and outputs["is_none"].dtype == tf.bool


def test_pairs(make_classifier, tmp_path):
    classifier = make_classifier(pair=True)
    pairs = TEXTS[::-1]
    model = tf.saved_model.load(export_string_classifier(classifier, tmp_path / "strings", top_k=9))
    expected = classifier.predict_proba(TEXTS, pairs)
    served = model.signatures["serving_default"](text=tf.constant(TEXTS), pair=tf.constant(pairs))
    assert set(served) == {"probabilities", "labels", "top_probabilities"}
    assert served["labels"].shape == (len(TEXTS), len(LABELS))
    for outputs in (served, model([TEXTS, pairs]), model({"text": tf.constant(TEXTS), "pair": tf.constant(pairs)})):
        close(outputs["probabilities"], expected)
    assert np.abs(expected - classifier.predict_proba(TEXTS, TEXTS)).max() > 1e-3


def test_multi_label(make_classifier, tmp_path):
    classifier = make_classifier("sigmoid", pooling="max")
    expected = classifier.predict_proba(TEXTS)
    assert np.abs(expected.sum(1) - 1).max() > 0.1
    served = tf.saved_model.load(export_string_classifier(classifier, tmp_path / "strings"))(TEXTS)
    close(served["probabilities"], expected)
    close(served["top_probabilities"], -np.sort(-expected)[:, :3])


def test_regression(make_classifier, tmp_path):
    classifier = make_classifier("linear")
    expected = classifier.predict_proba(TEXTS)
    strings = tf.saved_model.load(export_string_classifier(classifier, tmp_path / "strings"))
    ids = tf.saved_model.load(export_classifier(classifier, tmp_path / "ids"))
    served = strings(TEXTS)
    assert set(served) == {"values"} and list(strings.signatures) == list(ids.signatures) == ["serving_default"]
    close(served["values"], expected)
    inputs = classifier.tokenizer(TEXTS, max_length=16)
    close(ids.signatures["serving_default"](**inputs)["values"], expected)


def test_max_length_of_strings(make_classifier, tmp_path):
    classifier = make_classifier()
    long = tf.saved_model.load(export_string_classifier(classifier, tmp_path / "long", max_length=24))
    short = classifier.predict_proba(TEXTS)
    classifier.max_length = 24
    close(long(TEXTS)["probabilities"], classifier.predict_proba(TEXTS))
    assert np.abs(short - classifier.predict_proba(TEXTS)).max() > 1e-3
    with pytest.raises(ValueError, match="max_length is 25; the encoder's position table holds 24"):
        export_string_classifier(classifier, tmp_path / "longer", max_length=25)


@pytest.mark.parametrize(
    "options, message",
    [(dict(tokenizer=None), "no tokenizer"), (dict(labels=None, num_classes=5), "no label names")],
)
def test_what_strings_need(make_classifier, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export_string_classifier(make_classifier(**options), tmp_path / "strings")
    assert list(tmp_path.iterdir()) == []


def test_an_export_replaces_another_only_when_it_is_whole(make_classifier, tmp_path, monkeypatch):
    first, second = make_classifier(), make_classifier(pooling="max")
    path = export_classifier(first, tmp_path / "ids")
    inputs = first.tokenizer(TEXTS, max_length=16)

    def check(expected):
        signature = tf.saved_model.load(path).signatures["serving_default"]
        close(signature(**inputs)["probabilities"], expected.predict_proba(TEXTS))
        assert [entry.name for entry in tmp_path.iterdir()] == ["ids"]

    with pytest.raises(FileExistsError, match=r"ids is there already; .*overwrite"):
        export_classifier(second, path)
    check(first)
    with monkeypatch.context() as patch:
        patch.setattr(tf.saved_model, "save", half_written)
        with pytest.raises(OSError, match="the disk is full"):
            export_classifier(second, path, overwrite=True)
    check(first)
    export_classifier(second, path, overwrite=True)
    check(second)


def half_written(root, folder, signatures):
    with open(f"{folder}/saved_model.pb", "wb") as file:
        file.write(b"half")
    raise OSError("the disk is full")


def test_other_backends(classifier, encoder_path, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="exports need KERAS_BACKEND=tensorflow; found jax"):
        export_classifier(classifier, tmp_path / "ids")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="KerasLayer needs KERAS_BACKEND=tensorflow; found jax"):
        hub.KerasLayer(encoder_path)


def test_overwrite_leaves_folders_of_other_things_alone(classifier, tmp_path):
    (tmp_path / "notes.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="no SavedModel; overwrite replaces SavedModels only"):
        export_encoder(classifier.encoder, tmp_path, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "keep"


def test_where_nothing_can_be_written(classifier, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PermissionError, match=r"can't write .*file/encoder"):
        export_encoder(classifier.encoder, tmp_path / "file" / "encoder")
