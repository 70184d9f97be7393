"""RelationExtractor: it learns who is whose from markers, reports as KLUE-RE does, is saved and loaded."""

import keras
import numpy as np
import pytest

from tfkor import Bert, BertConfig, TextClassifier, Tokenizer
from tfkor.data import DataError
from tfkor.data.relations import KLUE_RE_RELATIONS, RelationData, RelationExample
from tfkor.layers.pooling import First
from tfkor.metrics import relation_report
from tfkor.tasks import RelationExtractor

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCAB = [*SPECIAL, "홍길동", "이순신", "##의", "의", "아들", "##은", "은", "서울", "##에", "에", "산다", "."]
PEOPLE = ["홍길동", "이순신"]


def example(subject, object_, relation, sentence, kinds=("PER", "PER")):
    spans = [(begin := sentence.index(word), begin + len(word)) for word in (subject, object_)]
    return RelationExample("", sentence, *spans, kinds, relation)


def families(count, seed):
    """A의 아들은 B.: A is a parent of B, B a child of A; A은 서울에 산다.: A lives in 서울."""
    random = np.random.default_rng(seed)
    examples = []
    for _ in range(count):
        first, second = random.permutation(PEOPLE).tolist()
        sentence = f"{first}의 아들은 {second}."
        examples += [
            example(first, second, "per:children", sentence),
            example(second, first, "per:parents", sentence),
            example(first, "서울", "per:place_of_residence", f"{first}은 서울에 산다.", ("PER", "LOC")),
            example("서울", first, "no_relation", f"{first}은 서울에 산다.", ("LOC", "PER")),
        ]
    return RelationData(examples)


def make(**options):
    keras.utils.set_random_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    encoder = Bert(BertConfig(len(VOCAB), max_position_embeddings=32, initializer_range=0.1, **sizes))
    return RelationExtractor(encoder, tokenizer=Tokenizer.from_vocab(VOCAB), max_length=32, **options)


@pytest.fixture(scope="module")
def trained():
    extractor = make()
    history = extractor.fit(families(40, 0), families(8, 1), epochs=40, learning_rate=2e-3)
    return extractor, history


def test_markers_are_tokens_and_the_head_sees_the_first_token():
    extractor = make()
    data = RelationData([example("홍길동", "이순신", "per:children", "홍길동의 아들은 이순신.")])
    (batch,) = extractor.batches(data, 1, 1, 0).epoch(0)
    pieces = [extractor.tokenizer.vocab[i] for i in batch["input_word_ids"][0]]
    assert pieces[:6] == ["[CLS]", "<subj:PER>", "홍길동", "</subj:PER>", "의", "아들"] and pieces[-1] == "[SEP]"
    assert batch["labels"].tolist() == [KLUE_RE_RELATIONS.index("per:children")]
    assert isinstance(extractor.classifier, TextClassifier) and extractor.classifier.pooling == First()
    assert extractor.encoder.config.vocab_size == len(VOCAB) + 24
    plain = make(typed=False)
    (batch,) = plain.batches(data, 1, 1, 0).epoch(0)
    assert plain.tokenizer.vocab[batch["input_word_ids"][0, 1]] == "<subj>" and plain.tokenizer.vocab_size == 21


def test_it_learns_and_reports(trained):
    extractor, history = trained
    data = families(5, 2)
    report = extractor.evaluate(data)
    assert {"micro_f1", "auprc", "present_auprc"} <= set(history[0])
    assert report["micro_f1"] == report["accuracy"] == 1 and report["present_auprc"] == pytest.approx(1)
    assert np.isnan(report["auprc"]) and report["examples"] == 20  # most of the 30 relations have no row
    truth = [KLUE_RE_RELATIONS.index(each.relation) for each in data.examples]
    assert report["micro_f1"] == relation_report(truth, extractor.predict_proba(data))["micro_f1"]
    assert extractor.predict(data) == [each.relation for each in data.examples]


def test_it_is_saved_and_loaded(trained, tmp_path):
    extractor, _ = trained
    extractor.save(tmp_path / "re")
    again = RelationExtractor.load(tmp_path / "re")
    data = families(5, 3)
    np.testing.assert_array_equal(again.predict_proba(data), extractor.predict_proba(data))
    assert again.typed and again.relations == list(KLUE_RE_RELATIONS) and again.max_length == 32
    assert again.tokenizer.fingerprint == extractor.tokenizer.fingerprint


def test_labels_are_smoothed():
    losses = {}
    for share in (0.0, 0.5):
        extractor = make(dropout=0.0)
        losses[share] = extractor.fit(families(4, 0), epochs=6, learning_rate=2e-3, label_smoothing=share)[-1]["loss"]
    assert losses[0.5] > losses[0.0]


def test_examples_without_a_known_relation_are_named():
    wrong = RelationData([example("홍길동", "이순신", "친구", "홍길동 이순신")], "re.json", [1])
    with pytest.raises(DataError, match=r"re\.json, line 1: the label '친구' is not"):
        make().fit(wrong)
    with pytest.raises(DataError, match="read without labels"):
        make().evaluate(RelationData([wrong.examples[0]._replace(relation=None)]))
