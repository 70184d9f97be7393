"""Apache Beam's direct runner gives the documents that one machine gives."""

import collections
import gzip
import json

import numpy as np
import pytest

from tfkor.data.beam import make_shards_with_beam
from tfkor.data.encoding import ShardRecipe
from tfkor.data.make_shards import make_shards
from tfkor.data.shards import ShardFolder
from tfkor.data.text_data import DataError
from tfkor.text import Tokenizer

SYLLABLES = "가나다라마바사아자차"
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *SYLLABLES, *(f"##{s}" for s in SYLLABLES)]
DIRECT = ["--runner=DirectRunner"]


@pytest.fixture(autouse=True)
def beam():
    return pytest.importorskip("apache_beam")


@pytest.fixture
def files(tmp_path):
    """A tokenizer, and a folder of plain text, gzipped text and JSON lines, in which documents and lines repeat."""
    random = np.random.default_rng(0)

    def line():
        words = ("".join(random.choice(list(SYLLABLES), n)) for n in random.integers(1, 6, random.integers(5, 12)))
        return " ".join(words) + "."

    documents = [[line() for _ in range(random.integers(1, 6))] for _ in range(120)]
    documents += [documents[i] for i in (3, 5)] + [[documents[7][0][:-3] + "가나.", line()] for _ in range(2)]
    text = "\n\n".join("\n".join(document) for document in documents)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text(text, "utf-8")
    (tmp_path / "in/b.txt.gz").write_bytes(gzip.compress(("\n\n".join("\n".join(d) for d in documents[:20])).encode()))
    rows = [json.dumps({"text": "\n".join([line(), *document])}) for document in documents[30:40]]
    (tmp_path / "in/c.jsonl").write_text("\n".join(rows), "utf-8")
    (tmp_path / "in/README.md").write_text("no text")
    Tokenizer(VOCAB).save(tmp_path / "tokenizer")
    return tmp_path


def records(folder):
    """How often each document is in a folder of shards."""
    shards = ShardFolder(folder)
    shards.check()
    found = collections.Counter()
    for i in range(len(shards)):
        found.update(tuple(tuple(s.tolist()) for s in document) for document in shards.read(i).documents())
    return found


@pytest.mark.parametrize("duplicates", ["none", "exact", "near"])
def test_the_same_multiset_of_documents(files, duplicates):
    recipe = ShardRecipe(duplicates=duplicates, split_sentences="rule", shard_mb=0.002)
    expected = make_shards([files / "in"], files / "tokenizer", files / "one", recipe, workers=1, say=lambda line: None)
    found = make_shards_with_beam([files / "in"], files / "tokenizer", files / "beam", recipe, 3, DIRECT)
    assert records(files / "beam") == records(files / "one")
    assert {k: found[k] for k in ("documents", "sentences", "tokens")} == {
        k: expected[k] for k in ("documents", "sentences", "tokens")
    }
    assert found["shards"] == 3
    assert (expected["lines_dropped"] > 50) == (duplicates != "none")
    assert ShardFolder(files / "beam").tokenizer.vocab == VOCAB
    names = {path.name for path in (files / "beam").iterdir()}
    assert names == {"manifest.json", "tokenizer", *(f"shard-{i:05d}.npz" for i in range(3))}


def test_errors(files):
    with pytest.raises(DataError, match=r"none\.txt: no such file"):
        make_shards_with_beam([files / "none.txt"], files / "tokenizer", files / "out", None, 1, DIRECT)
    (files / "bad.txt").write_bytes(b"\xff\n")
    with pytest.raises((DataError, ChildProcessError), match=r"bad\.txt, line 1: not UTF-8"):
        make_shards_with_beam([files / "bad.txt"], files / "tokenizer", files / "out", None, 1, DIRECT)
    (files / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match="no text that gives a token"):
        make_shards_with_beam([files / "empty.txt"], files / "tokenizer", files / "out", None, 1, DIRECT)
    (files / "out/manifest.json").write_text("{}")
    with pytest.raises(DataError, match="out: there are shards already"):
        make_shards_with_beam([files / "in"], files / "tokenizer", files / "out", None, 1, DIRECT)
