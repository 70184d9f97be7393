"""create_pretraining_data from end to end: shards, TFRecords, and what it says of bad input."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tfkor.data.shards import ShardFolder
from tfkor.data.tfrecord import read_tfrecords
from tfkor.text import Tokenizer

SYLLABLES = "가나다라마바사아자차"
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *SYLLABLES, *(f"##{s}" for s in SYLLABLES)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    Tokenizer(VOCAB).save(folder / "tokenizer")
    random = np.random.default_rng(0)
    (folder / "in").mkdir()
    with open(folder / "in/corpus.txt", "w", encoding="utf-8") as file:
        for _ in range(150):
            for _ in range(random.integers(2, 6)):
                words = ("".join(random.choice(list(SYLLABLES), n)) for n in random.integers(1, 4, 6))
                file.write(" ".join(words) + ".\n")
            file.write("\n")
    return folder


def run(files, output, *flags, inputs="in", code=0):
    command = [sys.executable, "-m", "tfkor.scripts.create_pretraining_data", f"--input={files / inputs}"]
    command += [f"--tokenizer={files / 'tokenizer'}", f"--output_dir={output}", "--workers=1", *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.slow
def test_shards_and_tfrecords(files, tmp_path):
    flags = [f"--tfrecord_dir={tmp_path / 'records'}", "--max_seq_length=64", "--max_predictions_per_seq=7"]
    done = run(files, tmp_path / "out", *flags, "--dupe_factor=2", "--shard_mb=0.01", "--tfrecord_style=model_garden")
    results = json.loads(done.stdout.splitlines()[-1])
    shards = ShardFolder(tmp_path / "out")
    shards.check()
    assert results["documents"] == shards.manifest["documents"] == 150
    assert results["shards"] == len(shards) == len(list((tmp_path / "records").iterdir())) > 1
    assert "lines/s" not in done.stderr and "shards: " in done.stderr  # it took less than five seconds

    batches = list(read_tfrecords(f"{tmp_path}/records/*.tfrecord", 10_000))
    assert len(batches) == 1 and len(batches[0]["input_mask"]) == results["examples"] > 100
    batch = batches[0]
    assert batch["input_word_ids"].shape[1] == 64 and batch["masked_lm_positions"].shape[1] == 7
    assert set(batch["masked_lm_weights"].ravel()) == {0.0, 1.0}
    assert 0.3 < batch["next_sentence_labels"].mean() < 0.8
    ids = batch["input_word_ids"].copy()
    assert (ids == 4).any()
    rows, columns = np.nonzero(batch["masked_lm_weights"])
    ids[rows, batch["masked_lm_positions"][rows, columns]] = batch["masked_lm_ids"][rows, columns]
    assert not (ids == 4).any()  # all [MASK] are known
    corpus = "".join(map(chr, np.concatenate([shards.read(i).tokens for i in range(len(shards))])))
    follows = 0
    for row, mask, label in zip(ids, batch["input_mask"], batch["next_sentence_labels"]):
        row = row[mask > 0]
        first_end, second_end = np.flatnonzero(row == 3)
        assert row[0] == 2 and second_end == len(row) - 1
        first, second = ("".join(map(chr, part)) for part in (row[1:first_end], row[first_end + 1 : -1]))
        assert first in corpus and second in corpus
        if label == 0 and len(row) < 64:  # pairs that are too long are cut at both ends
            assert first + second in corpus
            follows += 1
    assert follows > 50

    again = run(files, tmp_path / "out", *flags, code=1)
    assert f"--tfrecord_dir={tmp_path / 'records'} already exists" in again.stderr + again.stdout


@pytest.mark.parametrize(
    "content, message",
    [
        ("한글".encode("cp949"), "in.txt, line 1: not UTF-8: byte 0xc7"),
        (b"", "in.txt: no text that gives a token"),
        (None, "in.txt: no such file; in "),
    ],
)
def test_bad_input_ends_with_a_message(files, tmp_path, content, message):
    path = tmp_path / "in.txt"
    if content is not None:
        path.write_bytes(content)
    done = run(files, tmp_path / "out", inputs=path, code=1)
    assert message in done.stderr and "Traceback" not in done.stderr and done.stdout == ""


def test_wrong_flags(files, tmp_path):
    done = run(files, tmp_path / "out", "--beam_options=--region=here", code=1)
    assert "--beam_options without --runner" in done.stdout + done.stderr
    Tokenizer(VOCAB).save(tmp_path / "tokenizer")
    (tmp_path / "tokenizer/vocab.txt").unlink()
    done = run(files, tmp_path / "out", f"--tokenizer={tmp_path / 'tokenizer'}", code=1)
    assert "vocab.txt: no such file" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
