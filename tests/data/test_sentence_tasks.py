"""The public tasks of one sentence or a pair: their files, and what is wrong in one."""

import json

import pytest

from tfkor.data import DataError, load_dataset
from tfkor.data.korean import splits_of_datasets
from tfkor.data.sentence_tasks import TASKS

SIZES = {
    ("klue-nli", "dev"): 3000,
    ("klue-sts", "dev"): 519,
    ("kornli", "dev"): 2490,
    ("kornli", "test"): 5010,
    ("korsts", "train"): 5749,
    ("korsts", "dev"): 1500,
    ("korsts", "test"): 1379,
    ("paws", "dev"): 2000,
    ("paws", "test"): 2000,
    ("question-pair", "train"): 6136,
    ("question-pair", "dev"): 682,
    ("question-pair", "test"): 758,
    ("hate-speech", "train"): 7896,
    ("hate-speech", "dev"): 471,
}


@pytest.mark.parametrize("name, split", SIZES)
def test_the_public_files_are_read(shared_data, monkeypatch, name, split):
    monkeypatch.setenv("TFKOR_DATA", str(shared_data))
    data, task = load_dataset(name, split), TASKS[name]
    assert len(data) == SIZES[name, split] and (data.pairs is None) == (task.pair is None)
    if task.labels:
        assert set(data.labels) == set(task.labels)
    else:
        assert all(0 <= label <= 5 for label in data.labels)


def test_json_and_tsv_are_read(tmp_path):
    nli = {"premise": "가", "hypothesis": "나", "gold_label": "neutral"}
    (tmp_path / "a.json").write_text(json.dumps([nli]), "utf-8")
    data = TASKS["klue-nli"].read(tmp_path / "a.json")
    assert (data.texts, data.pairs, data.labels) == (["가"], ["나"], ["neutral"])
    (tmp_path / "b.tsv").write_text('id\tsentence1\tsentence2\tlabel\n1\t"가\t나\t1\n', "utf-8")
    data = TASKS["paws"].read(tmp_path / "b.tsv")
    assert data.texts == ['"가'] and data.labels == ["paraphrase"]
    sts = {"sentence1": "가", "sentence2": "나", "labels": {"real-label": 2.5}}
    (tmp_path / "c.json").write_text(json.dumps([sts]), "utf-8")
    assert TASKS["klue-sts"].read(tmp_path / "c.json").labels == [2.5]


NLI = {"premise": "가", "hypothesis": "나", "gold_label": "neutral"}
STS = {"sentence1": "가", "sentence2": "나", "labels": {"real-label": 2.5}}


@pytest.mark.parametrize(
    "task, text, words",
    [
        ("klue-nli", "[", ": not JSON .*; expected a JSON list of objects with premise, gold_label, hypothesis"),
        ("klue-nli", "[]", r": found \[\]; expected a JSON list"),
        ("klue-nli", "[3]", ", row 1 is 3; expected an object"),
        ("klue-nli", [NLI, {"premise": "가"}], ", row 2 has nothing as hypothesis; expected str"),
        ("klue-nli", [{**NLI, "premise": None}], ", row 1 has None as premise; expected str"),
        ("klue-nli", [{**NLI, "gold_label": 2.5}], ", row 1 has 2.5 as gold_label; expected str or int"),
        ("klue-nli", [NLI, {**NLI, "gold_label": "maybe"}], ", line 2: the label 'maybe'; expected one of ent"),
        ("klue-sts", [{**STS, "labels": 3}], ", row 1 has 3 as labels; expected dict"),
        ("klue-sts", [{**STS, "labels": {"real-label": "높음"}}], ", row 1 has '높음' as real-label; expected float"),
        ("klue-sts", [{**STS, "labels": {"real-label": float("nan")}}], ", row 1: the label nan is not a finite"),
    ],
)
def test_what_is_wrong_in_json_is_named(tmp_path, task, text, words):
    path = tmp_path / "a.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text), "utf-8")
    with pytest.raises(DataError, match=rf"a\.json{words}"):
        TASKS[task].read(path)


def test_a_file_that_is_nowhere_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("TFKOR_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"ynat: no ynat/ynat-v1\.1_train\.json in .*get it from KLUE"):
        load_dataset("ynat", "train")
    with pytest.raises(DataError, match="hate-speech has no split 'test'; expected one of train, dev"):
        load_dataset("hate-speech", "test")
    assert set(splits_of_datasets()) == {"intents176", "3i4k", "nsmc", *TASKS}
