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
    for text, words in (
        (json.dumps([{**nli, "gold_label": "maybe"}]), "the label 'maybe'; expected one of entailment, contradiction"),
        (json.dumps([{"premise": "가"}]), "expected a JSON list of objects with premise, gold_label, hypothesis"),
        ("[", "expected a JSON list"),
    ):
        (tmp_path / "a.json").write_text(text, "utf-8")
        with pytest.raises(DataError, match=words):
            TASKS["klue-nli"].read(tmp_path / "a.json")


def test_a_file_that_is_nowhere_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("TFKOR_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"ynat: no ynat/ynat-v1\.1_train\.json in .*get it from KLUE"):
        load_dataset("ynat", "train")
    with pytest.raises(DataError, match="hate-speech has no split 'test'; expected one of train, dev"):
        load_dataset("hate-speech", "test")
    assert set(splits_of_datasets()) == {"intents176", "3i4k", "nsmc", *TASKS}
