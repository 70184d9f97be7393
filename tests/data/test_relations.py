"""KLUE-RE: markers around entities, as symbols of a tokenizer, and what is wrong in a file."""

import json

import keras
import numpy as np
import pytest

from tfkor import Bert, BertConfig, Tokenizer, zoo
from tfkor.data import DataError
from tfkor.data.relations import KLUE_RE_RELATIONS, entity_markers, mark_entities, read_klue_re

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
    assert data.marked().texts[0] == "<subj>홍길동</subj>이 <obj>서울</obj>에 산다."
    assert data.marked().labels == ["per:place_of_residence", "no_relation"]
    assert data.marked(typed=True).texts[0].startswith("<subj:PER>홍길동</subj:PER>")
    assert data.select([1]).examples == data.examples[1:] and data.select([1]).marked().where(0) == f"{path}, line 2"
    assert len(KLUE_RE_RELATIONS) == 30 and KLUE_RE_RELATIONS[0] == "no_relation"
    unlabelled = example()
    del unlabelled["label"]
    path.write_text(json.dumps([unlabelled]), "utf-8")
    assert read_klue_re(path, labelled=False).examples[0].subject == (0, 3)
    assert read_klue_re(path, labelled=False).marked().labels is None


def entity(**changes):
    return {"word": "홍길동", "start_idx": 0, "end_idx": 2, "type": "PER", **changes}


@pytest.mark.parametrize(
    "wrong, words",
    [
        (example(label="per:friend"), r"row 2 \(re-0\): the relation 'per:friend'; expected one of KLUE-RE's 30"),
        (example(label=None), "the row has None as label; expected str"),
        (
            example(subject_entity=entity(word="길동")),
            "subject_entity is '길동', but the sentence has '홍길동' from 0 to 2",
        ),
        (example(sentence="짧다"), "subject_entity is '홍길동', but the sentence has '짧다' from 0 to 2"),
        (example(subject_entity=entity(start_idx=-3)), "but the sentence has '홍길동' from -3|expected a span"),
        (example(subject_entity=entity(type="CITY")), "subject_entity has the type 'CITY'; expected one of PER"),
        (example(subject_entity=entity(start_idx="0")), "subject_entity has '0' as start_idx; expected int"),
        (example(object_entity=entity(word="동", start_idx=2)), "overlap"),
        (example(object_entity=["서울"]), r"the row has \['서울'\] as object_entity; expected dict"),
        ({"guid": "re-0"}, "the row has nothing as sentence; expected str"),
        ("홍길동", "row 2: the row is '홍길동'; expected an object"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_row(tmp_path, wrong, words):
    path = tmp_path / "re.json"
    path.write_text(json.dumps([example(), wrong]), "utf-8")
    with pytest.raises(DataError, match=words) as caught:
        read_klue_re(path)
    assert str(caught.value).startswith(f"{path}, row 2")


def test_a_file_of_another_format_is_named(tmp_path):
    path = tmp_path / "re.json"
    for text, words in (('{"data": []}', "found {.*; expected a JSON list"), ("[]", "found"), ("[", "not JSON")):
        path.write_text(text, "utf-8")
        with pytest.raises(DataError, match=words) as caught:
            read_klue_re(path)
        assert str(caught.value).startswith(str(path))


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
