"""Shards: what is written is what is read, and damage is named."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tfkor.data import shards as shards_module
from tfkor.data.shards import Shard, ShardFolder, join_shards, write_manifest, write_shard
from tfkor.text import Tokenizer

VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "한국", "##어", "를", "공유", "합니다", "."]


def make_shard(seed, vocab_size=11, documents=7):
    random = np.random.default_rng(seed)
    per_document = random.integers(1, 5, documents)
    per_sentence = random.integers(1, 9, per_document.sum())
    tokens = random.integers(0, vocab_size, per_sentence.sum()).astype(np.int32)
    splits = [np.append(0, np.cumsum(counts)) for counts in (per_sentence, per_document)]
    return Shard(tokens, random.random(len(tokens)) < 0.5, *splits)


def assert_equal(found, expected):
    for name, array in expected._asdict().items():
        np.testing.assert_array_equal(getattr(found, name), array, err_msg=name)


@pytest.fixture
def written(tmp_path):
    made = [make_shard(seed) for seed in range(3)]
    entries = [write_shard(tmp_path / f"shard-{i:05d}.npz", shard, len(VOCAB)) for i, shard in enumerate(made)]
    write_manifest(tmp_path, Tokenizer(VOCAB), entries, made_by="a test")
    return tmp_path, made


def test_reads_what_was_written(written):
    folder, made = written
    shards = ShardFolder(folder)
    assert len(shards) == 3
    for i, shard in enumerate(made):
        found = shards.read(i)
        assert_equal(found, shard)
        assert [found.tokens.dtype, found.eojeol_starts.dtype] == [np.int32, bool]
        assert found.sentence_splits.dtype == found.document_splits.dtype == np.int64
    shards.check()
    manifest = shards.manifest
    assert manifest["tokens"] == sum(len(shard.tokens) for shard in made)
    assert manifest["documents"] == 21 and manifest["made_by"] == "a test"
    assert shards.tokenizer.vocab == VOCAB
    with pytest.raises(IndexError, match="shard 3; expected 0 to 2"):
        shards.read(3)


def test_numpy_alone_reads_a_shard(written):
    folder, made = written
    with np.load(folder / "shard-00001.npz") as arrays:
        assert sorted(arrays) == sorted(Shard._fields)
        assert arrays["tokens"].dtype == np.uint16
        np.testing.assert_array_equal(arrays["tokens"], made[1].tokens)
        bits = np.unpackbits(arrays["eojeol_starts"])[: len(made[1].tokens)]
        np.testing.assert_array_equal(bits, made[1].eojeol_starts)


def test_large_vocabularies_take_four_bytes(tmp_path):
    shard = make_shard(0, vocab_size=100_000)
    write_shard(tmp_path / "shard-00000.npz", shard, 100_000)
    with np.load(tmp_path / "shard-00000.npz") as arrays:
        assert arrays["tokens"].dtype == np.uint32
        np.testing.assert_array_equal(arrays["tokens"], shard.tokens)


def test_the_same_shard_gives_the_same_bytes(tmp_path):
    first, second = (write_shard(tmp_path / name, make_shard(5), 11) for name in ("a.npz", "b.npz"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert first["sha256"] == second["sha256"] != write_shard(tmp_path / "c.npz", make_shard(6), 11)["sha256"]


def test_documents_and_joining():
    made = [make_shard(seed) for seed in range(3)]
    joined = join_shards(made)
    expected = [[s.tolist() for s in document] for shard in made for document in shard.documents()]
    assert [[s.tolist() for s in document] for document in joined.documents()] == expected
    assert sum(map(len, expected)) == joined.counts["sentences"]
    np.testing.assert_array_equal(joined.eojeol_starts, np.concatenate([shard.eojeol_starts for shard in made]))
    assert join_shards([]).counts == {"documents": 0, "sentences": 0, "tokens": 0}


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "swap"])
def test_a_damaged_shard_is_named(written, damage):
    folder, _ = written
    path = folder / "shard-00001.npz"
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[:-10])
    elif damage == "swap":
        path.write_bytes((folder / "shard-00002.npz").read_bytes())
    else:
        path.unlink()
    shards = ShardFolder(folder)
    shards.read(0)
    with pytest.raises(ValueError, match=r"shard-00001\.npz: (damaged: found|can't be read).*expected"):
        shards.read(1)
    (folder / "shard-00002.npz").unlink()
    with pytest.raises(ValueError, match=r"(?s)shard-00001\.npz.*\n.*shard-00002\.npz"):
        shards.check()


def test_a_file_with_a_right_checksum_that_is_no_shard(written):
    folder, _ = written
    path = folder / "shard-00000.npz"
    np.savez(path, tokens=np.zeros(3, np.uint16))
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["shards"][0]["sha256"] = shards_module.hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(ValueError, match=r"not a shard .*eojeol_starts"):
        ShardFolder(folder).read(0)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(tokens=np.array([1, 2, 11])), "id 11; expected 0 to 10"),
        (dict(tokens=np.array([1, 2, -1])), "id -1; expected 0 to 10"),
        (dict(eojeol_starts=np.zeros(2, bool)), "2 eojeol_starts; expected one for each of the 3"),
        (dict(sentence_splits=np.array([0, 2])), "sentence_splits do not increase from 0 to 3"),
        (dict(sentence_splits=np.array([0, 3, 3])), "sentence_splits do not increase"),
        (dict(document_splits=np.array([0, 2])), "document_splits do not increase from 0 to 1"),
    ],
)
def test_wrong_arrays_are_not_written(tmp_path, change, message):
    good = Shard(np.array([1, 2, 3]), np.ones(3, bool), np.array([0, 3]), np.array([0, 1]))
    write_shard(tmp_path / "good.npz", good, 11)
    with pytest.raises(ValueError, match=message):
        write_shard(tmp_path / "bad.npz", good._replace(**change), 11)
    assert [p.name for p in tmp_path.iterdir()] == ["good.npz"]


def test_a_folder_that_is_none(tmp_path, written):
    folder, _ = written
    with pytest.raises(FileNotFoundError, match=r"none/manifest\.json: no such file; expected a folder"):
        ShardFolder(tmp_path / "none")
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    for text, message in (
        ("{", "not JSON"),
        ("[]", "the format is None"),
        (json.dumps({**manifest, "format": "tfkor shards 9"}), "the format is 'tfkor shards 9'"),
        (json.dumps({key: manifest[key] for key in manifest if key != "tokens"}), "no tokens; expected a complete"),
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(ValueError, match=message):
            ShardFolder(folder)


def test_another_tokenizer_is_named(written):
    folder, _ = written
    Tokenizer([*VOCAB, "##들"]).save(folder / "tokenizer")
    with pytest.raises(ValueError, match=r"tokenizer: found a tokenizer with the fingerprint .* expected"):
        ShardFolder(folder).tokenizer  # noqa: B018


def test_reading_needs_no_tensorflow(written):
    code = """
import sys
from tfkor.data.shards import ShardFolder
shards = ShardFolder(sys.argv[1])
print(len(shards.read(0).tokens), [m for m in ("tensorflow", "keras", "jax") if m in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(written[0])], capture_output=True, text=True, env=dict(os.environ), check=True
    )
    assert done.stdout == f"{len(written[1][0].tokens)} []\n"
