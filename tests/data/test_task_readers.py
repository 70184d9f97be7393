"""Readers of tagged texts, questions and trees: the official formats, and what is wrong in a file."""

import gzip
import json

import pytest

from tfkor.data import DataError
from tfkor.data.questions import read_questions
from tfkor.data.tagging import KLUE_NER_LABELS, TaggedData, read_klue_ner, read_naver_ner, read_tagged
from tfkor.data.trees import KLUE_DP_RELATIONS, KLUE_DP_TAGS, read_conllu, read_klue_dp

KLUE_NER = """## 컬럼명 : CHAR\tNE_TAG
## klue-ner-0\t<이:PS>가 <서울:LC>
이\tB-PS
가\tO
 \tO
서\tB-LC
울\tI-LC

## klue-ner-1\t감
감\tO
"""
KLUE_DP = """## 칼럼명 : INDEX\tWORD_FORM\tLEMMA\tPOS\tHEAD\tDEPREL
## klue-dp-0\t나는 간다.
1\t나는\t나 는\tNP+JX\t2\tNP_SBJ
2\t간다.\t가 ㄴ다 .\tVV+EF+SF\t0\tVP

## klue-dp-1\t끝
1\t끝\t끝\tNNG\t0\tNP
"""
CONLLU = """# sent_id = 1
1-2\t나는\t_\t_\t_\t_\t_\t_\t_\t_
1\t나\t나\tPRON\tNP\t_\t2\tnsubj\t_\t_
2\t간다\t가\tVERB\tVV\t_\t0\troot\t_\t_
"""


def write(tmp_path, text, name="file.tsv"):
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))
    else:
        path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
def test_klue_ner(tmp_path, name):
    data = read_klue_ner(write(tmp_path, KLUE_NER, name))
    assert data.texts == ["이가 서울", "감"] and data.lines == [3, 10]
    assert data.units == [[(0, 1), (1, 2), (3, 4), (4, 5)], [(0, 1)]]
    assert data.tags == [["B-PS", "O", "B-LC", "I-LC"], ["O"]]
    assert len(KLUE_NER_LABELS) == 13 and KLUE_NER_LABELS[-1] == "O"
    assert data.select([1]).texts == ["감"] and data.select([1]).where(0).endswith("line 10")


@pytest.mark.parametrize(
    "wrong, words",
    [
        ("이\tB-XX\n", r"line 3: '이\\tB-XX'; expected a character"),
        ("이가\tB-PS\n", "line 3"),
        ("이\n", "line 3"),
        ("이\tO\tO\n", "line 3"),
        ("## 나\n이\tO\n## 다\n이\n", "line 6"),
    ],
)
def test_a_wrong_line_of_klue_ner_is_named(tmp_path, wrong, words):
    with pytest.raises(DataError, match=words):
        read_klue_ner(write(tmp_path, "## 가\n가\tO\n" + wrong))


def test_naver_ner(tmp_path):
    data = read_naver_ner(write(tmp_path, "이순신 장군은  서울에\tPER-B O LOC-B\n\n끝 .\tO O\n"))
    assert data.texts == ["이순신 장군은 서울에", "끝 ."] and data.lines == [1, 3]
    assert [data.texts[0][a:b] for a, b in data.units[0]] == ["이순신", "장군은", "서울에"]
    assert data.tags[0] == ["PER-B", "O", "LOC-B"]
    for wrong, words in (
        ("가 나\tO\n", r"file\.tsv, line 1: 2 words and 1 tags; expected as many"),
        ("가 나 O O\n", "line 1: 1 columns; expected sentence and tags"),
        ("가\tB-PER\n", "line 1: the tag 'B-PER'; expected O, or one such as PER-B"),
    ):
        with pytest.raises(DataError, match=words):
            read_naver_ner(write(tmp_path, wrong))


def test_columns(tmp_path):
    words = read_tagged(write(tmp_path, "이순신\tB-PER\n장군\tO\n\n끝\tO\n"))
    assert words.texts == ["이순신 장군", "끝"] and words.units[0] == [(0, 3), (4, 6)]
    characters = read_tagged(write(tmp_path, "이\tB\n \tO\n가\tO\n"))
    assert characters.texts == ["이 가"] and characters.tags == [["B", "O"]]
    for number, wrong in ((1, "이순신\n"), (1, "이순신\tB\tB\n"), (1, "이순신\t\n"), (3, "이\tB\n## 가\n이\n")):
        with pytest.raises(DataError, match=rf"line {number}: .*expected a word or a character, a tab and a tag"):
            read_tagged(write(tmp_path, wrong))


def test_units_must_lie_in_their_text():
    for units, tags, words in (
        ([(0, 3)], ["O"], "do not follow one another inside the text"),
        ([(1, 2), (0, 1)], ["O", "O"], "do not follow one another"),
        ([(0, 1)], ["O", "O"], "row 0: 2 tags for 1 units"),
    ):
        with pytest.raises(DataError, match=words):
            TaggedData(["가나"], [units], [tags])


def questions(*qas, context="서울은 대한민국의 수도이다. 서울에 산다."):
    return json.dumps({"data": [{"title": "서울", "paragraphs": [{"context": context, "qas": list(qas)}]}]})


def test_questions(tmp_path):
    korquad = {"id": "a", "question": "수도는?", "answers": [{"text": "서울", "answer_start": 0}]}
    klue = {"guid": "b", "question": "왜?", "answers": [], "is_impossible": True, "question_type": 3}
    data = read_questions(write(tmp_path, questions(korquad, klue), "q.json"))
    assert data.ids == ["a", "b"] and data.answers == [[("서울", 0)], []]
    assert data.truth() == {"a": ["서울"], "b": []} and data.contexts[0] == data.contexts[1]
    assert data.select([1]).ids == ["b"]


def test_a_wrong_question_is_named(tmp_path):
    good = {"id": "a", "question": "수도는?", "answers": [{"text": "서울", "answer_start": 0}]}
    for qas, words in (
        ([good, good], "the question a twice"),
        ([{**good, "answers": [{"text": "부산", "answer_start": 0}]}], "question a, answer 1 is '부산' at 0; the"),
        ([{**good, "answers": [{"text": "서울", "answer_start": 3}]}], "answer 1 is '서울' at 3"),
        ([{**good, "answers": [{"text": ".", "answer_start": -1}]}], r"answer 1 is '\.' at -1; the context has ''"),
        ([{**good, "answers": []}], "question a: no answer; expected one, or is_impossible"),
    ):
        with pytest.raises(DataError, match=words):
            read_questions(write(tmp_path, questions(*qas), "q.json"))
    moved = questions({**good, "answers": [{"text": "서울", "answer_start": 15}]})
    assert read_questions(write(tmp_path, moved, "q.json"), check=False).answers == [[("서울", 16)]]
    with pytest.raises(DataError, match="question a, answer 1 is '부산'"):
        text = questions({**good, "answers": [{"text": "부산", "answer_start": 0}]})
        read_questions(write(tmp_path, text, "q.json"), check=False)
    for text in ("[]", "{", "{}", "[" * 100_000):
        with pytest.raises(DataError, match=r"q\.json: .*; expected JSON with data, paragraphs, context and qas"):
            read_questions(write(tmp_path, text, "q.json"))


GOOD = {"id": "a", "question": "수도는?", "answers": [{"text": "서울", "answer_start": 0}]}
WHERE = "article 1, paragraph 1"


def without(key):
    return [{name: value for name, value in GOOD.items() if name != key}]


@pytest.mark.parametrize(
    "found, words",
    [
        ({"data": 3}, " has 3 as data; expected list"),
        ({"data": []}, ": no question; expected one or more"),
        ({"data": ["x"]}, ", article 1 is 'x'; expected an object"),
        ({"data": [{}]}, ", article 1 has nothing as paragraphs; expected list"),
        ([GOOD, 5], f", {WHERE}, question 2 is 5; expected an object"),
        ("x", f", {WHERE} has 'x' as qas; expected list"),
        (without("id"), f", {WHERE}, question 1 has nothing as id; expected str or int"),
        (without("question"), ", question a has nothing as question; expected str"),
        ([{**GOOD, "question": None}], ", question a has None as question; expected str"),
        ([{**GOOD, "is_impossible": "no"}], ", question a has 'no' as is_impossible; expected bool"),
        (without("answers"), ", question a has nothing as answers; expected list"),
        ([{**GOOD, "answers": None}], ", question a has None as answers; expected list"),
        ([{**GOOD, "answers": ["서울"]}], ", question a, answer 1 is '서울'; expected an object"),
        ([{**GOOD, "answers": [{"text": 3, "answer_start": 0}]}], ", question a, answer 1 has 3 as text; expected str"),
        ([{**GOOD, "answers": [{"text": "서울"}]}], ", question a, answer 1 has nothing as answer_start; expected int"),
        ([{**GOOD, "answers": [{"text": "서울", "answer_start": "0"}]}], " has '0' as answer_start; expected int"),
    ],
)
def test_a_wrong_type_in_a_file_of_questions_is_named(tmp_path, found, words):
    text = json.dumps(found) if isinstance(found, dict) else questions(*found)
    if found == "x":
        text = json.dumps({"data": [{"paragraphs": [{"context": "서울", "qas": "x"}]}]})
    path = write(tmp_path, text, "q.json")
    for check in (True, False):
        with pytest.raises(DataError) as caught:
            read_questions(path, check)
        assert str(caught.value).startswith(str(path)) and words in str(caught.value)


def test_a_context_that_is_no_text_is_named(tmp_path):
    with pytest.raises(DataError, match=r"q\.json, article 1, paragraph 1 has 5 as context; expected str"):
        read_questions(write(tmp_path, questions(GOOD, context=5), "q.json"))


def test_klue_dp(tmp_path):
    data = read_klue_dp(write(tmp_path, KLUE_DP))
    assert data.words == [["나는", "간다."], ["끝"]] and data.lines == [3, 7]
    assert data.heads == [[2, 0], [0]] and data.relations == [["NP_SBJ", "VP"], ["NP"]]
    assert data.tags == [["JX", "SF"], ["NNG"]]
    assert len(KLUE_DP_RELATIONS) == 38 and len(KLUE_DP_TAGS) == 45 and data.select([1]).lines == [7]


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("\t2\tNP_SBJ", "\t3\tNP_SBJ", "line 3: the head 3; the sentence has 2 words"),
        ("NP_SBJ", "NP_XXX", "line 3: the relation 'NP_XXX'"),
        ("NP+JX", "NP+XX", "line 3: the tag 'XX'"),
        ("\t2\tNP_SBJ", "\tx\tNP_SBJ", "line 3: the word 1 with the head 'x'"),
        ("2\t간다", "3\t간다", "line 4: the word 3"),
        ("나 는\t", "나 는 ", "line 3: 5 columns; expected 6"),
        ("\t2\tNP_SBJ", "\t²\tNP_SBJ", "line 3: the word 1 with the head '²'; expected numbers"),
        ("2\t간다", "x\t간다", "line 4: the word x with the head '0'; expected numbers"),
    ],
)
def test_a_wrong_line_of_klue_dp_is_named(tmp_path, old, new, words):
    with pytest.raises(DataError, match=words):
        read_klue_dp(write(tmp_path, KLUE_DP.replace(old, new, 1)))


def test_conllu(tmp_path):
    data = read_conllu(write(tmp_path, CONLLU))
    assert data.words == [["나", "간다"]] and data.tags == [["PRON", "VERB"]] and data.heads == [[2, 0]]
    assert data.relations == [["nsubj", "root"]]


def test_the_public_files_are_read(shared_data):
    from tfkor.metrics import entities_of

    ner = read_klue_ner(shared_data / "klue-ner/klue-ner-v1.1_dev.tsv.gz")
    assert len(ner) == 5000 and max(map(len, ner.units)) == 121
    assert sum(tags[-1] != "O" for tags in ner.tags) == 21
    naver = read_naver_ner(shared_data / "naver-ner/test.tsv.gz")
    assert len(naver) == 9000 and entities_of(naver.tags[0], suffix=True) == [("NUM", 1, 2)]
    assert len(read_questions(shared_data / "korquad1/KorQuAD_v1.0_dev.json.gz").truth()) == 5774
    trees = read_klue_dp(shared_data / "klue-dp/klue-dp-v1.1_dev.tsv.gz")
    assert len(trees) == 2000 and sum(map(len, trees.words)) == 22_496
    assert len({relation for relations in trees.relations for relation in relations}) == 32
    for name, count, words in (("kaist/ko_kaist", 2066, 25_278), ("gsd/ko_gsd", 950, 11_958)):
        trees = read_conllu(shared_data / f"ud-korean-{name}-ud-dev.conllu.gz")
        assert len(trees) == count and sum(map(len, trees.words)) == words
