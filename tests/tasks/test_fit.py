"""What `fit` has in common for all tasks: callbacks, a loss in place of the task's own, nothing left behind."""

import keras
import numpy as np
import pytest

from tfkor import Bert, BertConfig, TextClassifier, Tokenizer
from tfkor.data import TextData
from tfkor.data.questions import QuestionData
from tfkor.data.relations import RelationData, RelationExample
from tfkor.data.trees import TreeData
from tfkor.tasks import DependencyParser, QuestionAnswerer, RelationExtractor, TokenTagger
from tfkor.tasks.losses import CrossEntropy
from tfkor.tasks.tagger import tagged

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "나", "너", "##는", "간다", "온다", "."]
TEXTS, LABELS = ["나는 간다", "너는 온다"] * 4, ["a", "b"] * 4
EXAMPLES = [RelationExample("", "나는 너", (0, 1), (3, 4), ("PER", "PER"), "per:children")] * 8
CASES = {
    "classifier": (TextClassifier, dict(labels=["a", "b"]), TextData(TEXTS, labels=LABELS), "accuracy"),
    "tagger": (TokenTagger, dict(labels=["a", "b"]), tagged(TEXTS, [["a", "b"]] * 8, unit="word"), "accuracy"),
    "answerer": (
        QuestionAnswerer,
        dict(stride=2, max_question=3),
        QuestionData([str(i) for i in range(8)], ["나는."] * 8, TEXTS, [[(text[:2], 0)] for text in TEXTS]),
        "f1",
    ),
    "parser": (
        DependencyParser,
        dict(relations=["a", "b"]),
        TreeData([text.split() for text in TEXTS], [["x", "y"]] * 8, [[2, 0]] * 8, [["a", "b"]] * 8),
        "las",
    ),
    "relations": (RelationExtractor, {}, RelationData(EXAMPLES), "micro_f1"),
}


def make(name, **options):
    kind, own, data, _ = CASES[name]
    keras.utils.set_random_seed(0)
    sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    sizes |= dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    encoder = Bert(BertConfig(len(VOCAB), max_position_embeddings=16, **sizes))
    return kind(encoder, tokenizer=Tokenizer.from_vocab(VOCAB), max_length=12, **own | options), data


def test_a_tokenizer_without_the_special_tokens_of_a_row_is_refused():
    tokenizer = Tokenizer.from_vocab(VOCAB, special_tokens={"unk": "[UNK]", "pad": "[PAD]", "sep": "[SEP]"})
    encoder = make("classifier")[0].encoder
    with pytest.raises(ValueError, match="a task needs a cls token, but special_tokens has pad, unk, sep"):
        TextClassifier(encoder, labels=["a", "b"], tokenizer=tokenizer, max_length=12)


class Recorder:
    def __init__(self):
        self.calls = []

    def on_epoch_end(self, epoch, metrics):
        self.calls.append((epoch, dict(metrics)))


@pytest.mark.parametrize("name", CASES)
def test_callbacks_are_called_and_nothing_is_left_behind(name):
    task, data = make(name)
    if name == "tagger":  # which takes from the data what its tags are of
        task.unit = "word"
    before = {key: value for key, value in vars(task).items() if key != "encoder"}
    recorder = Recorder()
    smoothing = {"label_smoothing": 0.1} if name in ("classifier", "tagger", "relations") else {}
    history = task.fit(data, validation=data, callbacks=[recorder, object()], epochs=2, batch_size=8, **smoothing)
    np.testing.assert_equal(recorder.calls, [(1, history[0]), (2, history[1])])  # NaN equals NaN here
    assert task.monitor == CASES[name][3] and task.monitor in history[0]
    after = {key: value for key, value in vars(task).items() if key != "encoder"}
    assert after.keys() == before.keys()
    assert all(after[key] is before[key] or after[key] == before[key] for key in before)


@pytest.mark.parametrize("name", ["answerer", "classifier"])
def test_a_loss_may_take_the_place_of_the_task_s_own(name):
    class Doubled(CrossEntropy):
        def __call__(self, labels, logits):
            return 2 * super().__call__(labels, logits)

    options = dict(epochs=1, batch_size=8)
    changes = {"dropout": 0.0} if name == "classifier" else {}
    losses = []
    for loss in (None, Doubled()):
        task, data = make(name, **changes)
        losses.append(task.fit(data, loss=loss, **options)[0]["loss"])
    assert losses[1] == pytest.approx(2 * losses[0], rel=1e-5)
