"""KLUE-DST's dialogues and ontology: the official format, and what is wrong in a file."""

import gzip
import json
from pathlib import Path

import pytest

from tfkor.data import DataError, read_klue_wos, read_ontology
from tfkor.data.dialogues import split_state

GOLDEN = Path(__file__).parents[1] / "golden/dialogues.json"
SPLITS = [
    (case["input"]["dom_slot_value"], tuple(case["expected"]))
    for case in json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]
    if case["metric"] == "wos_split_slot"
]
TURNS = [
    {"role": "user", "text": "부산에 있는 식당 알려 줘.", "state": ["식당-지역-부산"]},
    {"role": "sys", "text": "몇 시가 좋으세요?"},
    {"role": "user", "text": "18:00에 예약할게요.", "state": ["식당-지역-부산", "식당-예약 시간-18:00"]},
]
ONTOLOGY = {"식당-지역": ["서울", "부산", "dontcare"], "식당-예약 시간": ["18:00"]}


def dialogue(**changes):
    return {"guid": "made-up-0", "domains": ["식당"], "dialogue": TURNS, **changes}


def turn(number, **changes):
    """A dialogue with another turn, counted from 1."""
    return dialogue(dialogue=[{**t, **changes} if i == number else t for i, t in enumerate(TURNS, 1)])


def write(path, value):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))
    else:
        path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("name", ["wos.json", "wos.json.gz"])
def test_klue_wos(tmp_path, name):
    other = dialogue(guid="made-up-1", dialogue=[{"role": "user", "text": "안녕", "state": []}, TURNS[1]], domains=[])
    path = write(tmp_path / name, [dialogue(), other])
    data = read_klue_wos(path, read_ontology(write(tmp_path / "ontology.json", ONTOLOGY)))
    assert data.ids == ["made-up-0", "made-up-1"] and data.domains == [["식당"], []] and len(data) == 2
    assert data.utterances[0] == [each["text"] for each in TURNS] and len(data.utterances[1]) == 2
    assert data.states == [[["식당-지역-부산"], ["식당-지역-부산", "식당-예약 시간-18:00"]], [[]]]
    assert data.truth() == [*data.states[0], []] and data.slots == ["식당-예약 시간", "식당-지역"]
    one = data.select([1])
    assert one.ids == ["made-up-1"] and one.slots == [] and one.name == str(path)


@pytest.mark.parametrize("text, expected", SPLITS)
def test_states_are_split_as_klue_does(text, expected):
    if text.count("-") >= 2:
        assert split_state(text) == expected
    else:  # KLUE-baseline takes the whole for slot and value, or fails later
        with pytest.raises(ValueError, match="expected domain-slot-value"):
            split_state(text)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ("[{", "not JSON .*line 1.*; expected a JSON list of dialogues"),
        ({"data": []}, "expected a JSON list of dialogues"),
        ([], r"found \[\]; expected a JSON list"),
        ([dialogue(), "x"], "dialogue 2: found 'x'; expected an object with guid, domains and dialogue"),
        ([{"guid": "a"}], "dialogue 1: found .*; expected an object with guid"),
        ([dialogue(dialogue=[])], "dialogue 1: found"),
        ([dialogue(domains="식당")], "dialogue 1: found"),
        ([dialogue(domains=[3])], "dialogue 1: found"),
        ([dialogue(), dialogue()], "the dialogue made-up-0 twice"),
        ([turn(2, role="user")], "dialogue made-up-0, turn 2: the role 'user'; expected 'sys': user and sys alternate"),
        ([turn(1, role="sys")], "turn 1: the role 'sys'; expected 'user'"),
        ([turn(2, text=None)], "turn 2: found .*; expected an object with role, text and state"),
        ([turn(3, state=None)], "turn 3: the state is None; expected a list of domain-slot-value"),
        ([turn(3, state=[1])], r"turn 3: the state is \[1\]"),
        ([turn(1, state=["식당-지역"])], "turn 1: the state has '식당-지역'; expected domain-slot-value"),
        ([turn(1, state=["식당-지역- "])], "turn 1: the state has '식당-지역- '"),
        ([turn(1, state=["식당-가격대-저렴"])], "turn 1: the slot '식당-가격대'; expected one of the 2"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, wrong, words):
    path = write(tmp_path / "wos.json", wrong)
    with pytest.raises(DataError, match=words) as error:
        read_klue_wos(path, ONTOLOGY)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ([], "expected a JSON object of slots and their values"),
        ({"식당": ["서울"]}, "the slot '식당'; expected domain-slot"),
        ({"식당-지역": "서울"}, "slot 식당-지역: found '서울'; expected a list of values"),
        ({"식당-지역": [1]}, r"slot 식당-지역: found \[1\]"),
    ],
)
def test_what_is_wrong_in_an_ontology_is_named(tmp_path, wrong, words):
    with pytest.raises(DataError, match=words):
        read_ontology(write(tmp_path / "ontology.json", wrong))
