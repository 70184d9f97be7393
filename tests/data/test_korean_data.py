"""intents176, 3i4k and NSMC in their official formats."""

import collections
import gzip
import hashlib
import logging
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import tfkor.data
from tfkor.data import (
    LABELS_3I4K,
    DataError,
    intents176_intents,
    label_names,
    load_dataset,
    load_intents176,
    read_3i4k,
    read_nsmc,
    read_table,
)
from tfkor.data.korean import SOURCES, data_dir

PACKAGE = Path(tfkor.data.__file__).parents[1]
NSMC = 'id\tdocument\tlabel\n1\t재밌다 "진짜"\t1\n2\t\t0\n3\t별로\t0\n'


def needs(name):
    found = any((data_dir() / path).exists() for path in (name, name + ".gz"))
    return pytest.mark.skipif(not found, reason=f"{name} is not in {data_dir()} (set TFKOR_DATA)")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty TFKOR_DATA beside an empty cache, without network."""
    monkeypatch.setenv("TFKOR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TFKOR_CACHE", str(tmp_path / "cache"))
    for name in ("3i4k", "nsmc"):
        for split, source in SOURCES[name].items():
            monkeypatch.setitem(
                SOURCES[name], split, source._replace(url=f"http://127.0.0.1:9/{Path(source.url).name}")
            )
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("split", "count", "sha256"),
    [
        ("train", 32, "5f4a12831d2c49c26781ad871683e42ff748d1d31d78e07e0758d1ac0277457b"),
        ("dev", 3, "7bfbb01de19b7ee94158a1705cdf927806258ab5dd7ddc795a33b57b3e6a19e4"),
        ("test", 5, "52734430404878b6b1d52d548425ac752be74ca551e6b2ea9ade4d9564436c3d"),
    ],
)
def test_intents176(split, count, sha256):
    data = load_intents176(split)
    assert hashlib.sha256((PACKAGE / f"datasets/intents176/{split}.tsv").read_bytes()).hexdigest() == sha256
    assert collections.Counter(data.labels) == dict.fromkeys([row.intent for row in intents176_intents()], count)
    assert data.lines == list(range(2, len(data) + 2)) and all(data.texts)
    assert data == load_dataset("intents176", split)


def test_intents176_intents():
    rows = intents176_intents()
    assert [row.id for row in rows] == list(range(176))
    assert rows[0] == (0, "bank.balance_check", "은행", "계좌 잔액 조회")
    assert len({row.intent for row in rows}) == 176
    assert set(collections.Counter(row.domain for row in rows).values()) == {11}
    assert sorted(row.intent for row in rows) == label_names(load_intents176("train"))


def test_intents176_from_a_zipped_package(tmp_path):
    archive = tmp_path / "tfkor.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("tfkor/__init__.py", "")
        for path in [PACKAGE / "files.py", *PACKAGE.glob("data/*.py"), *PACKAGE.glob("datasets/intents176/*.tsv")]:
            file.write(path, Path("tfkor") / path.relative_to(PACKAGE))
    code = "import tfkor.data as d; print(d.__file__, len(d.load_intents176('test')), d.intents176_intents()[175].id)"
    environment = {**os.environ, "PYTHONPATH": str(archive)}
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.stdout.split()[1:] == ["880", "175"] and str(archive) in run.stdout, run.stderr


def test_unknown_names(folder):
    with pytest.raises(DataError, match="no data set 'nmsc'; expected one of intents176, 3i4k, nsmc"):
        load_dataset("nmsc", "train")
    with pytest.raises(DataError, match="3i4k has no split 'dev'; expected one of train, test"):
        load_dataset("3i4k", "dev")
    for load in (load_intents176, lambda split: load_dataset("intents176", split)):
        with pytest.raises(DataError, match="intents176 has no split 'valid'; expected one of train, dev, test"):
            load("valid")


def test_read_3i4k(tmp_path):
    path = tmp_path / "fci_test.txt"
    path.write_bytes('0\t연두색\r\n4\t누가 "그" 말을 믿어\r\n6\t간다'.encode())
    data = read_3i4k(path)
    assert data.texts == ["연두색", '누가 "그" 말을 믿어', "간다"]
    assert data.labels == ["fragment", "rhetorical question", "intonation-dependent utterance"]
    assert data.lines == [1, 2, 3]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("7\t가", r"line 2: found the label '7', expected 0 to 6"),
        ("질문\t가", r"line 2: found the label '질문', expected 0 to 6"),
        ("1\t ", "line 2: the text is empty"),
        ("1 가", "line 2: 1 column, expected 2"),
        ("1\t가\t나", "line 2: 3 columns, expected 2"),
    ],
)
def test_3i4k_errors(tmp_path, line, message):
    path = tmp_path / "fci_test.txt"
    path.write_text(f"0\t가\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_3i4k(path)


def test_read_nsmc(tmp_path, caplog):
    path = tmp_path / "ratings_test.txt"
    path.write_text(NSMC, encoding="utf-8")
    data = read_nsmc(path)
    assert data.texts == ['재밌다 "진짜"', "", "별로"] and data.labels == ["positive", "negative", "negative"]
    with caplog.at_level(logging.INFO):
        assert read_nsmc(path, drop_blank=True).lines == [2, 4]
    assert "dropped 1 blank documents of 3" in caplog.text
    path.write_text(NSMC + "4\t가\t2\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 5: found the label '2', expected 0 to 1"):
        read_nsmc(path)
    path.write_text("0\t가\n", encoding="utf-8")
    with pytest.raises(DataError, match="no column 'document'"):
        read_nsmc(path)


def test_load_dataset_looks_in_the_data_folder_then_in_the_cache(folder, monkeypatch):
    cached = folder.parent / "cache" / "nsmc" / "ratings_test.txt"
    places = [
        cached,
        folder / "nsmc-rebuilt" / "ratings_test.txt.gz",
        folder / "ratings_test.txt",
        folder / "nsmc" / "ratings_test.txt.gz",
        folder / "nsmc" / "ratings_test.txt",
    ]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        content = NSMC.encode()
        place.write_bytes(gzip.compress(content) if place.suffix == ".gz" else content)
        assert load_dataset("nsmc", "test").source == str(place)


def test_load_dataset_without_file_and_network(folder):
    with pytest.raises(DataError) as error:
        load_dataset("3i4k", "test")
    message = str(error.value)
    assert message.startswith("http://127.0.0.1:9/fci_test.txt: the download failed (")
    assert f"set TFKOR_DATA to the folder that holds 3i4k/fci_test.txt (now {folder})" in message
    assert str(folder.parent / "cache" / "3i4k") in message


def test_load_dataset_downloads_and_checks(folder, monkeypatch):
    original = folder.parent / "fci_test.txt"
    original.write_text("0\t가\n1\t나\n", encoding="utf-8")
    source = SOURCES["3i4k"]["test"]
    monkeypatch.setitem(SOURCES["3i4k"], "test", source._replace(url=original.as_uri()))
    with pytest.raises(DataError, match=f"expected {source.sha256}"):
        load_dataset("3i4k", "test")
    monkeypatch.setitem(SOURCES["3i4k"], "test", source._replace(url=original.as_uri(), sha256=None))
    data = load_dataset("3i4k", "test")
    assert data.labels == ["fragment", "statement"]
    assert data.source == str(folder.parent / "cache" / "3i4k" / "fci_test.txt")


@needs("3i4k/fci_test.txt")
def test_the_whole_of_3i4k():
    counts = {"train": [5409, 16470, 16083, 11672, 1571, 979, 2950], "test": [600, 1830, 1786, 1296, 174, 108, 327]}
    for split, count in counts.items():
        data = load_dataset("3i4k", split)
        assert collections.Counter(data.labels) == dict(zip(LABELS_3I4K, count, strict=True))
        content = Path(data.source).read_bytes()
        content = gzip.decompress(content) if data.source.endswith(".gz") else content
        assert hashlib.sha256(content).hexdigest() == SOURCES["3i4k"][split].sha256


@needs("nsmc-rebuilt/ratings_test.txt")
def test_the_whole_of_the_rebuilt_nsmc():
    for split, rows, blank in (("train", 150_000, 8), ("test", 50_000, 3)):
        path = data_dir() / "nsmc-rebuilt" / f"ratings_{split}.txt.gz"
        assert len(read_nsmc(path)) == rows
        assert len(read_nsmc(path, drop_blank=True)) == rows - blank


@pytest.mark.parametrize(
    ("name", "rows", "options"),
    [
        ("korsts/sts-train.tsv", 5749, ("sentence1", "score", "sentence2", "regression")),
        ("korsts/sts-dev.tsv", 1500, ("sentence1", "score", "sentence2", "regression")),
        ("kornli/xnli.test.ko.tsv", 5010, ("sentence1", "gold_label", "sentence2")),
        ("chatbot/ChatbotData.csv", 11_823, ("Q", "label", "A")),
        ("korean-hate-speech/train.tsv", 7896, ("comments", "hate")),
        ("question-pair/train.tsv", 6136, ("question1", "is_duplicate", "question2")),
    ],
)
def test_other_korean_files(name, rows, options):
    path = next((path for path in (data_dir() / name, data_dir() / (name + ".gz")) if path.exists()), None)
    if path is None:
        pytest.skip(f"{name} is not in {data_dir()} (set TFKOR_DATA)")
    data = read_table(path, *options)
    assert len(data) == rows
    assert len(set(data.labels)) > 1 and all(data.texts)
