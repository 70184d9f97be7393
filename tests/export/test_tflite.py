"""TFLite files give what the model gives, in batches of any size."""

import numpy as np
import pytest
from conftest import TEXTS

from tfkor.export import TFLiteClassifier, export_tflite
from tfkor.layers.inputs import INPUT_NAMES


@pytest.fixture(scope="module")
def rows():
    """The three inputs of 200 rows of 1 to 16 random ids."""
    random = np.random.default_rng(1)
    mask = (np.arange(16) < random.integers(2, 17, (200, 1))).astype("int32")
    return {
        "input_word_ids": random.integers(5, 90, (200, 16)).astype("int32") * mask,
        "input_mask": mask,
        "segment_ids": np.zeros_like(mask),
    }


@pytest.mark.parametrize("quantize, limit, same", [(None, 1e-5, 1), ("float16", 5e-3, 0.99), ("int8", 5e-2, 0.97)])
def test_tflite_agrees_with_the_model(classifier, rows, tmp_path, quantize, limit, same):
    """The weights are random and few; a trained model agrees with its int8 file on more rows than these."""
    path = export_tflite(classifier, tmp_path / "model.tflite", length=16, quantize=quantize)
    expected = np.asarray(classifier.outputs(rows))
    lite = TFLiteClassifier(path)
    scores = lite(rows)
    assert scores.dtype == np.float32 and scores.shape == expected.shape
    assert np.abs(scores - expected).max() <= limit
    assert np.mean(scores.argmax(1) == expected.argmax(1)) >= same
    one_by_one = TFLiteClassifier(path, batch_size=1)([rows[name] for name in INPUT_NAMES])
    np.testing.assert_allclose(one_by_one, scores, atol=1e-5)


def test_int8_has_a_scale_for_each_row_of_the_embeddings(make_classifier, rows, tmp_path):
    """One large row, of an id that isn't used, would make all others coarse."""
    classifier = make_classifier()
    table = classifier.encoder.embeddings.word_embeddings
    weights = table.numpy()
    weights[classifier.tokenizer.mask_id] *= 200
    table.assign(weights)
    expected = np.asarray(classifier.outputs(rows))
    lite = TFLiteClassifier(export_tflite(classifier, tmp_path / "model.tflite", length=16, quantize="int8"))
    assert np.mean(lite(rows).argmax(1) == expected.argmax(1)) >= 0.95


def test_quantised_files_are_smaller(classifier, tmp_path):
    sizes = {}
    for quantize in (None, "float16", "int8"):
        path = export_tflite(classifier, tmp_path / f"{quantize}.tflite", length=16, quantize=quantize)
        sizes[quantize] = path.stat().st_size
    assert sizes["int8"] < sizes["float16"] < sizes[None]


def test_shorter_rows_are_padded_and_longer_ones_an_error(make_classifier, tmp_path):
    classifier = make_classifier(pooling="mean")
    lite = TFLiteClassifier(export_tflite(classifier, tmp_path / "model.tflite", length=16))
    short = classifier.tokenizer(TEXTS[:3], max_length=16)
    assert short["input_word_ids"].shape[1] < 16
    np.testing.assert_allclose(lite(short), classifier.predict_proba(TEXTS[:3]), atol=1e-5)
    assert lite({name: x[:0] for name, x in short.items()}).shape == (0, 5)
    with pytest.raises(ValueError, match="the rows have 17 ids; the TFLite model takes 16"):
        lite([np.ones((1, 17), np.int32)] * 3)


def test_a_keras_model(classifier, rows, tmp_path):
    """The course's model, for example: three inputs, one output."""
    lite = TFLiteClassifier(export_tflite(classifier.model, tmp_path / "model.tflite", length=16))
    logits = classifier.model([rows[name] for name in INPUT_NAMES])
    np.testing.assert_allclose(lite(rows), logits, atol=1e-4)


def test_bad_arguments(classifier, tmp_path):
    path = tmp_path / "model.tflite"
    with pytest.raises(ValueError, match="quantize is 'int4'; expected one of"):
        export_tflite(classifier, path, length=16, quantize="int4")
    with pytest.raises(ValueError, match="length is 25; expected 2 to 24"):
        export_tflite(classifier, path, length=25)
    assert list(tmp_path.iterdir()) == []
    path.write_text("not a model")
    with pytest.raises(FileExistsError, match=r"model.tflite is there already"):
        export_tflite(classifier, path, length=16)
    with pytest.raises(ValueError, match=r"model.tflite: not a TFLite model"):
        TFLiteClassifier(path)
    with pytest.raises(FileNotFoundError, match=r"other.tflite: no such file"):
        TFLiteClassifier(tmp_path / "other.tflite")
