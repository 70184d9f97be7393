"""The program export_model."""

import json
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the operations of string models
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


def test_a_tagger(make_classifier, tmp_path):
    """Of the tasks that Task.save writes one stands for all: the rest is exporters', which needs no process."""
    from tfkor.tasks import TokenTagger

    classifier = make_classifier()
    tagger = TokenTagger(classifier.encoder, ("O", "B-LC", "I-LC"), tokenizer=classifier.tokenizer, max_length=16)
    tagger.save(tmp_path / "tagger")
    done = export_model(model_dir=tmp_path / "tagger", output_dir=tmp_path / "out")
    assert done.returncode == 0, done.stderr
    exports = json.loads(done.stdout.splitlines()[-1])["exports"]
    assert list(exports) == ["encoder", "strings"]
    answer = tf.saved_model.load(exports["strings"]["path"])(TEXTS)
    tags = [[tag.decode() for tag in row if tag] for row in answer["tags"].numpy()]
    assert tags == tagger.predict(TEXTS)


def test_formats_of_each_task(make_classifier, monkeypatch, tmp_path):
    from tfkor.scripts import export_model
    from tfkor.tasks import DependencyParser, QuestionAnswerer, RelationExtractor, Task

    monkeypatch.setattr(export_model, "FLAGS", types.SimpleNamespace(max_length=None, top_k=1))
    encoder, tokenizer = make_classifier().encoder, make_classifier().tokenizer
    answerer = QuestionAnswerer(encoder, tokenizer=tokenizer, max_length=24, stride=4, max_question=8)
    assert list(export_model.exporters(answerer)) == ["encoder", "strings"]
    parser = DependencyParser(encoder, ["NP"], tokenizer=tokenizer, max_length=24)
    assert list(export_model.exporters(parser)) == ["encoder"]
    relations = RelationExtractor(encoder, tokenizer=tokenizer, max_length=24)
    relations.save(tmp_path / "relations")
    functions = export_model.exporters(Task.load(tmp_path / "relations"))
    assert list(functions) == list(export_model.FORMATS)
    marked = ["<subj:PER>엄마</subj:PER>한테 <obj:NOH>30만</obj:NOH> 원 보내 줘"]
    served = tf.saved_model.load(functions["strings"](tmp_path / "strings"))(tf.constant(marked))
    expected = relations.classifier.predict_proba(marked)
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-5)
    (tmp_path / "relations/task.json").write_text('{"task": "os"}')
    with pytest.raises(ValueError, match=r"task\.json: the task is 'os'; expected one of text_classifier"):
        Task.load(tmp_path / "relations")


def test_bad_flags(model_dir, tmp_path):
    done = export_model(model_dir=model_dir, output_dir=tmp_path, formats="ids,onnx")
    assert done.returncode and "--formats=['ids', 'onnx']: expected some of encoder,ids,strings" in done.stderr
    (tmp_path / "ids").mkdir()
    done = export_model(model_dir=model_dir, output_dir=tmp_path, formats="ids")
    assert done.returncode == 1 and "ids already; expected another folder, or --overwrite" in done.stderr
    done = export_model(model_dir=tmp_path, output_dir=tmp_path / "out")
    assert done.returncode == 1 and f"error: {tmp_path} has no task.json" in done.stderr
    assert "Traceback" not in done.stderr
