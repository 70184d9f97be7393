"""The program export_model."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import TEXTS

from tfkor.export import TFLiteClassifier


def export_model(**options):
    command = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "tfkor.scripts.export_model", *command]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def model_dir(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    classifier.save(folder)
    return folder


def test_all_formats(classifier, model_dir, tmp_path):
    formats = ["encoder", "ids", "strings", "tflite", "tflite_float16", "tflite_int8"]
    done = export_model(model_dir=model_dir, output_dir=tmp_path / "out", formats=",".join(formats), top_k=2)
    assert done.returncode == 0, done.stderr
    exports = json.loads(done.stdout.splitlines()[-1])["exports"]
    assert list(exports) == formats
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == [
        *("classifier_float.tflite", "classifier_float16.tflite", "classifier_int8.tflite"),
        *("encoder", "ids", "strings"),
    ]
    assert exports["tflite_int8"]["bytes"] == (tmp_path / "out/classifier_int8.tflite").stat().st_size
    assert exports["ids"]["bytes"] > 4 * classifier.model.count_params()
    assert "[6/6] tflite_int8" in done.stdout
    answer = tf.saved_model.load(exports["strings"]["path"])(TEXTS)
    expected = classifier.predict_proba(TEXTS)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert answer["labels"].shape == (len(TEXTS), 2)
    lite = TFLiteClassifier(exports["tflite"]["path"])
    np.testing.assert_allclose(lite(classifier.tokenizer(TEXTS, max_length=16)), expected, atol=1e-5)


def test_bad_flags(model_dir, tmp_path):
    done = export_model(model_dir=model_dir, output_dir=tmp_path, formats="ids,onnx")
    assert done.returncode and "--formats=['ids', 'onnx']: expected some of encoder,ids,strings" in done.stderr
    (tmp_path / "ids").mkdir()
    done = export_model(model_dir=model_dir, output_dir=tmp_path, formats="ids")
    assert done.returncode == 1 and "ids already; name another folder, or say --overwrite" in done.stderr
    done = export_model(model_dir=tmp_path, output_dir=tmp_path / "out")
    assert done.returncode == 1 and f"error: {tmp_path} has no classifier.json" in done.stderr
    assert "Traceback" not in done.stderr
