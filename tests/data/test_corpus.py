"""Reading a corpus in blocks: every document once, whole, wherever the blocks end, and what is said of bad input."""

import gzip
import json
import os

import numpy as np
import pytest

from tfkor.data.corpus import corpus_files, read_blocks, read_lines
from tfkor.data.text_data import DataError


def documents_of(files, block_bytes, **options):
    """[[line, ...], ...] and how many blocks they came in."""
    documents, blocks = [], list(read_blocks(files, block_bytes))
    for block in blocks:
        lines, numbers = read_lines(block, **options)
        found = {}
        for line, number in zip(lines, numbers, strict=True):
            found.setdefault(number, []).append(line)
        documents += found.values()
    return documents, len(blocks)


@pytest.fixture
def corpus(tmp_path):
    """Paths of three files with the same 60 documents, and the documents."""
    random = np.random.default_rng(0)
    documents = [[f"문서 {i} 문장 {j}." for j in range(random.integers(1, 6))] for i in range(60)]
    text = "\n\n".join("\n".join(document) for document in documents) + "\n"
    rows = "".join(json.dumps({"text": "\n".join(d), "id": 7}, ensure_ascii=False) + "\n" for d in documents)
    (tmp_path / "a.txt").write_text(text, "utf-8")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "c.jsonl").write_text(rows, "utf-8")
    return [str(tmp_path / name) for name in ("a.txt", "b.txt.gz", "c.jsonl")], documents


@pytest.mark.parametrize("block_bytes", [150, 500, 2_000, 10**6])
def test_every_document_is_read_once_and_whole(corpus, block_bytes):
    files, documents = corpus
    for path in files:
        found, count = documents_of([path], block_bytes)
        assert found == documents
        assert (count > 5) == (block_bytes < 1_000)
    found, count = documents_of(files, block_bytes)
    assert found == 3 * documents
    assert block_bytes < 10**6 or count == 1  # small files share a block


def test_the_same_blocks_whether_gzipped_or_not(corpus):
    files, _ = corpus
    plain, packed = ([block.sha256 for block in read_blocks([path], 300)] for path in files[:2])
    assert plain == packed and len(set(plain)) == len(plain) > 5


def test_blocks_tell_how_far_they_are(corpus):
    files, _ = corpus
    positions = [block.position for block in read_blocks(files, 300)]
    assert positions == sorted(positions)
    assert positions[-1] == sum(map(os.path.getsize, files))


def test_blank_lines_line_ends_and_byte_order_mark(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeff\r\n하나 \r\n 둘\r\n \t\r\n\r\n셋\u3000\n\u3000\n넷".encode())
    for block_bytes in (16, 1_000):
        assert documents_of([str(path)], block_bytes)[0] == [["하나", "둘"], ["셋"], ["넷"]]


def test_a_document_too_long_for_a_block_is_cut_between_lines(tmp_path):
    path = tmp_path / "a.txt"
    lines = [f"긴 문서의 문장 {i}" for i in range(100)]
    path.write_text("\n".join(lines) + "\n\n짧은 문서", "utf-8")
    blocks = list(read_blocks([str(path)], 400))
    found = documents_of([str(path)], 400)[0]
    assert [line for document in found[:-1] for line in document] == lines and found[-1] == ["짧은 문서"]
    assert sum(part.cut for block in blocks for part in block.parts) == len(found) - 2 > 1
    assert max(len(part.data) for block in blocks for part in block.parts) <= 800
    path.write_text("가" * 1_000, "utf-8")
    with pytest.raises(DataError, match=r"a\.txt, line 1: a line of more than 800 bytes"):
        list(read_blocks([str(path)], 400))


def test_an_empty_file_among_others(tmp_path):
    (tmp_path / "a.txt").write_text("하나\n", "utf-8")
    (tmp_path / "b.txt").write_text("", "utf-8")
    (tmp_path / "c.txt").write_text("둘\n", "utf-8")
    assert documents_of(corpus_files([tmp_path]), 100) == ([["하나"], ["둘"]], 1)
    assert list(read_blocks([str(tmp_path / "b.txt")], 100)) == []


def test_folders_and_patterns(tmp_path):
    for name in ("b.txt", "a.jsonl.gz", "sub/c.NDJSON", ".hidden/d.txt", "README.md", "e.txt.bak"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}", "utf-8")
    folder = str(tmp_path)
    assert corpus_files([folder]) == [f"{folder}/{name}" for name in ("a.jsonl.gz", "b.txt", "sub/c.NDJSON")]
    assert corpus_files([f"{folder}/*.txt", f"{folder}/README.md"]) == [f"{folder}/b.txt", f"{folder}/README.md"]
    with pytest.raises(DataError, match=r"b\.txt: named twice"):
        corpus_files([f"{folder}/b.txt", folder])
    with pytest.raises(DataError, match=r"none\.txt: no such file; in .*: .*README\.md"):
        corpus_files([f"{folder}/none.txt"])
    with pytest.raises(DataError, match=r"\*\.csv: no file matches"):
        corpus_files([f"{folder}/*.csv"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no \.txt, .* below it; it holds: nothing"):
        corpus_files([f"{folder}/empty"])
    with pytest.raises(DataError, match="no input"):
        corpus_files([])


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("a.txt", "하나\n\n둘\n".encode() + b"\xc7\xd1\n", r"a\.txt, line 4: not UTF-8: byte 0xc7 at byte 1 "),
        ("a.txt.gz", gzip.compress("가나다\n".encode() * 999, mtime=0)[:-12], r"a\.txt\.gz: cut short or damaged gzip"),
        ("a.txt.gz", b"plain", r"a\.txt\.gz: not gzip, in spite of its ending \(it begins with 70 6c\)"),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": \n', r"a\.jsonl, line 3: not JSON"),
        ("a.jsonl", b'{"text": "a"}\n[1]\n', r"a\.jsonl, line 2: found \[1\], expected an object"),
        ("a.jsonl", b'{"body": "a"}\n', r"a\.jsonl, line 1: no key 'text'; there are 'body'; set text_column"),
        ("a.jsonl", b'{"text": 3}\n', r"a\.jsonl, line 1, key 'text': found 3, expected a string"),
    ],
)
def test_bad_input_is_named(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError, match=message):
        documents_of([str(path)], 12)
