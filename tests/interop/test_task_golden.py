"""Fine-tuned models that Hugging Face wrote (tests/golden/tasks): load_task computes what they do, without PyTorch."""

from pathlib import Path

import numpy as np
import pytest
from keras import ops

from tfkor.interop import load_task, save_task
from tfkor.interop.tensors import read_tensors

FOLDERS = sorted((Path(__file__).parents[1] / "golden/tasks").iterdir())
WINDOWS = dict(stride=4, max_question=8)
CLASSES = {
    "SequenceClassification": "TextClassifier",
    "TokenClassification": "TokenTagger",
    "QuestionAnswering": "QuestionAnswerer",
}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_head_computes_what_the_reference_does(folder, tmp_path):
    architecture, kind = folder.name.partition("-")[0].split("For")
    task = load_task(folder, max_length=24, **(WINDOWS if kind == "QuestionAnswering" else {}))
    assert type(task).__name__ == CLASSES[kind]
    assert type(task.encoder).__name__ == architecture.removeprefix("XLM")

    with np.load(folder / "expected.npz") as expected:
        texts, pairs = expected["texts"].tolist(), expected["pairs"].tolist()
        ids, mask, logits = (expected[name] for name in ("ids", "mask", "logits"))
    inputs = task.tokenizer(texts, pairs)
    np.testing.assert_array_equal(inputs["input_word_ids"], ids)
    np.testing.assert_array_equal(inputs["input_mask"], mask)
    found = ops.convert_to_numpy(task.model(list(inputs.values())))
    shown = mask[..., None] if logits.ndim == 3 else 1
    assert found.shape == logits.shape and np.ptp(logits) > 0.01
    np.testing.assert_allclose(found * shown, logits * shown, atol=1e-4)

    save_task(tmp_path / "back", task)
    ours, theirs = read_tensors(tmp_path / "back"), read_tensors(folder)
    assert sorted(ours) == sorted(theirs)
    assert all(np.array_equal(ours[name].view("u4"), value.view("u4")) for name, value in theirs.items())


@pytest.mark.parametrize(
    "name, labels, activation",
    [
        ("BertForSequenceClassification", ["시간", "장소", "사람"], "softmax"),
        ("BertForSequenceClassification-regression", None, "linear"),
        ("BertForSequenceClassification-several", ["시간", "장소", "사람"], "sigmoid"),
    ],
)
def test_labels_and_kinds_come_along(name, labels, activation):
    (folder,) = [folder for folder in FOLDERS if folder.name == name]
    task = load_task(folder, max_length=24)
    assert (task.labels, task.activation) == (labels, activation)
