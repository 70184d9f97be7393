"""KLUE-RE: markers around entities, as symbols of a tokenizer, and what is wrong in a file."""

import json

import keras
import numpy as np
import pytest

from tfkor import Bert, BertConfig, TextClassifier, Tokenizer, zoo
from tfkor.data import DataError
from tfkor.data.relations import KLUE_RE_RELATIONS, entity_markers, mark_entities, read_klue_re
from tfkor.metrics import relation_report

TEXT = "홍길동이 서울에 산다."


def example(**changes):
    entities = {
        "subject_entity": {"word": "홍길동", "start_idx": 0, "end_idx": 2, "type": "PER"},
        "object_entity": {"word": "서울", "start_idx": 5, "end_idx": 6, "type": "LOC"},
    }
    return {"guid": "re-0", "sentence": TEXT, **entities, "label": "per:place_of_residence", **changes}


def test_entities_are_marked():
    assert mark_entities(TEXT, (0, 3), (5, 7)) == "<subj>홍길동</subj>이 <obj>서울</obj>에 산다."
    assert mark_entities(TEXT, (5, 7), (0, 3)) == "<obj>홍길동</obj>이 <subj>서울</subj>에 산다."
    assert mark_entities("가나", (1, 2), (0, 1), ("PER", "LOC")) == "<obj:LOC>가</obj:LOC><subj:PER>나</subj:PER>"
    assert entity_markers() == ["<subj>", "</subj>", "<obj>", "</obj>"] and len(entity_markers(typed=True)) == 24
    for subject, object_, words in (
        ((0, 0), (5, 7), "subj is at 0 to 0"),
        ((0, 3), (5, 99), "obj is at 5 to 99"),
        ((0, 3), (2, 4), "overlap"),
    ):
        with pytest.raises(ValueError, match=words):
            mark_entities(TEXT, subject, object_)


def test_klue_re(tmp_path):
    path = tmp_path / "re.json"
    path.write_text(json.dumps([example(), example(guid="re-1", label="no_relation")]), "utf-8")
    data = read_klue_re(path)
    assert data.texts[0] == "<subj>홍길동</subj>이 <obj>서울</obj>에 산다."
    assert data.labels == ["per:place_of_residence", "no_relation"]
    assert read_klue_re(path, typed=True).texts[0].startswith("<subj:PER>홍길동</subj:PER>")
    assert len(KLUE_RE_RELATIONS) == 30 and KLUE_RE_RELATIONS[0] == "no_relation"
    for wrong, words in (
        ([example(label="per:friend")], "re-0: the relation 'per:friend'"),
        ([example(sentence="짧다")], "re-0: subj is at 0 to 3; expected a span inside the text of 2"),
        ([{"guid": "re-0"}], "expected a JSON list of sentences"),
        ({"data": []}, "expected a JSON list of sentences"),
    ):
        path.write_text(json.dumps(wrong), "utf-8")
        with pytest.raises(DataError, match=words):
            read_klue_re(path)


VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "홍길동", "##이", "이", "서울", "에", "산다", "."]


def test_symbols_are_added_to_an_encoder_and_its_tokenizer():
    keras.utils.set_random_seed(0)
    config = BertConfig(len(VOCAB), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    encoder, tokenizer = Bert(config), Tokenizer.from_vocab(VOCAB)
    larger, marked = zoo.with_symbols(encoder, tokenizer, entity_markers())
    assert marked.tokenize(mark_entities(TEXT, (0, 3), (5, 7)))[:4] == ["<subj>", "홍길동", "</subj>", "이"]
    assert (
        larger.config.vocab_size == len(VOCAB) + 4 and marked.ids([TEXT]).to_lists() == tokenizer.ids([TEXT]).to_lists()
    )
    inputs = list(tokenizer([TEXT]).values())
    for ours, theirs in zip(larger(inputs), encoder(inputs)):
        np.testing.assert_array_equal(ours, theirs)
    same, _ = zoo.with_symbols(larger, marked, entity_markers())
    assert same.config.vocab_size == larger.config.vocab_size


@pytest.mark.slow
def test_a_classifier_learns_relations_of_marked_entities():
    keras.utils.set_random_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    config = BertConfig(len(VOCAB), initializer_range=0.1, **sizes)
    encoder, tokenizer = zoo.with_symbols(Bert(config), Tokenizer.from_vocab(VOCAB), entity_markers())
    forth, back = mark_entities(TEXT, (0, 3), (5, 7)), mark_entities(TEXT, (5, 7), (0, 3))
    texts = [forth, back] * 40
    labels = ["per:place_of_residence", "no_relation"] * 40
    classifier = TextClassifier(encoder, labels=list(KLUE_RE_RELATIONS), tokenizer=tokenizer, max_length=32)
    classifier.fit(texts, labels, epochs=30, learning_rate=2e-3)
    truth = [KLUE_RE_RELATIONS.index(label) for label in labels]
    assert relation_report(truth, classifier.predict_proba(texts))["micro_f1"] == 1
