"""Text to shards: what is in them, on one worker and several, killed and started again, in bounded memory."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tfkor.data import make_shards as make_shards_module
from tfkor.data.corpus import Lines
from tfkor.data.encoding import ShardRecipe, encode_lines
from tfkor.data.make_shards import make_shards
from tfkor.data.sentences import sentence_splitter
from tfkor.data.shards import ShardFolder
from tfkor.data.text_data import DataError
from tfkor.text import Tokenizer

SYLLABLES = "가나다라마바사아자차"
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *SYLLABLES, *(f"##{s}" for s in SYLLABLES), "가나"]


def silent(line):
    pass


def corpus_text(documents, seed=0):
    random = np.random.default_rng(seed)
    for _ in range(documents):
        for _ in range(random.integers(1, 8)):
            words = ("".join(random.choice(list(SYLLABLES), n)) for n in random.integers(1, 6, random.integers(3, 12)))
            yield " ".join(words) + ".\n"
        yield "\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A tokenizer and a corpus of 2,000 documents."""
    folder = tmp_path_factory.mktemp("files")
    Tokenizer(VOCAB).save(folder / "tokenizer")
    (folder / "corpus.txt").write_text("".join(corpus_text(2_000)), "utf-8")
    return folder


def make(files, output, recipe=None, inputs=None, **options):
    options = {"workers": 1, "say": silent, **options}
    inputs = inputs or [files / "corpus.txt"]
    return make_shards(inputs, files / "tokenizer", output, recipe or ShardRecipe(shard_mb=0.1), **options)


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def decoded(folder):
    """The documents of a folder of shards, as lists of lists of ids."""
    shards = ShardFolder(folder)
    shards.check()
    return [[s.tolist() for s in d] for i in range(len(shards)) for d in shards.read(i).documents()]


def test_documents_sentences_and_eojeols(files, tmp_path):
    figures = make(files, tmp_path / "out")
    tokenizer = Tokenizer(VOCAB)
    documents = (files / "corpus.txt").read_text("utf-8").strip().split("\n\n")
    expected = [tokenizer.ids(document.split("\n")).to_lists() for document in documents]
    assert decoded(tmp_path / "out") == expected
    assert figures["documents"] == 2_000 and figures["shards"] > 3
    assert figures["sentences"] == figures["lines"] == sum(map(len, expected))
    assert figures["tokens"] == sum(len(s) for d in expected for s in d)
    shard = ShardFolder(tmp_path / "out").read(0)
    text = " ".join(documents[: len(shard.document_splits) - 1])
    assert shard.eojeol_starts.sum() == len(text.split())
    assert {p.name for p in (tmp_path / "out").iterdir()} - set(contents(tmp_path / "out")) == {"tokenizer"}
    assert not list((tmp_path / "out").rglob("*tmp*"))


def test_any_number_of_workers_gives_the_same_bytes(files, tmp_path):
    for workers in (1, 2):
        make(files, tmp_path / str(workers), ShardRecipe(duplicates="near", shard_mb=0.1), workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_sentences_without_a_token_are_left_out():
    tokenizer = Tokenizer(VOCAB)
    lines = Lines(["가 나", "\u200b", "\u200b", "다가. 라."], [0, 0, 1, 2])
    shard = encode_lines(lines, tokenizer, sentence_splitter("rule"))
    assert [[s.tolist() for s in d] for d in shard.documents()] == [[[6, 7]], [[8, 16, 5], [9, 5]]]
    assert shard.eojeol_starts.tolist() == [True, True, True, False, False, True, False]
    shard = encode_lines(lines, tokenizer, sentence_splitter("none"), [0])
    assert [[s.tolist() for s in d] for d in shard.documents()] == [[[8, 16, 5, 9, 5]]]
    assert encode_lines(Lines([], []), tokenizer, sentence_splitter("none")).counts["documents"] == 0


@pytest.mark.parametrize("method", ["exact", "near"])
def test_duplicates_are_dropped_across_shards(files, tmp_path, method):
    text = "".join(corpus_text(300, seed=1))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text(text, "utf-8")
    (tmp_path / "in" / "b.txt").write_text(text.replace(".\n", ". \n" if method == "exact" else "..\n"), "utf-8")
    (tmp_path / "in" / "c.txt").write_text("가나다 라마바 사아자차 가나다.\n", "utf-8")
    recipe = ShardRecipe(duplicates=method, shard_mb=0.01)
    figures = make(files, tmp_path / "out", recipe, [tmp_path / "in"], memory_mb=1)
    lines = text.replace("\n\n", "\n").split("\n")[:-1]
    assert figures["lines"] == 2 * len(lines) + 1
    assert len(lines) <= figures["lines_dropped"] <= len(lines) + 10  # some random lines are alike by themselves
    assert figures["sentences"] == figures["lines"] - figures["lines_dropped"]
    found = decoded(tmp_path / "out")
    assert found[-1] == Tokenizer(VOCAB).ids(["가나다 라마바 사아자차 가나다."]).to_lists()
    assert not (tmp_path / "out/duplicates").exists()
    assert make(files, tmp_path / "out", recipe, [tmp_path / "in"])["lines_dropped"] == figures["lines_dropped"]


def start(files, output, *flags):
    command = [sys.executable, "-m", "tfkor.scripts.create_pretraining_data", f"--input={files / 'corpus.txt'}"]
    command += [f"--tokenizer={files / 'tokenizer'}", f"--output_dir={output}", "--shard_mb=0.005", *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("duplicates", ["none", pytest.param("near", marks=pytest.mark.slow)])
def test_killed_and_started_again_it_gives_the_same_bytes(files, tmp_path, duplicates):
    recipe = ShardRecipe(duplicates=duplicates, shard_mb=0.005)
    make(files, tmp_path / "whole", recipe)
    expected = contents(tmp_path / "whole")
    out = tmp_path / "killed"
    for wanted in ("duplicates/block-00002" if duplicates == "near" else "shard-00002.npz", "shard-00005.npz"):
        process = start(files, out, "--workers=1", f"--drop_duplicates={duplicates}")
        while not (out / wanted).exists() and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
        assert not (out / "manifest.json").exists()
    (out / ".shard-00001.npz.tmp-x").write_bytes(b"half")  # what a kill may leave
    (out / "shard-00003.npz").write_bytes(b"damaged")
    figures = make(files, out, recipe, workers=2)
    assert figures["shards_that_were_there"] >= 4
    assert contents(out) == expected
    (out / "shard-00004.npz").unlink()
    assert make(files, out, recipe)["shards_that_were_there"] == figures["shards"] - 1
    again = make(files, out, recipe)
    assert again["shards_that_were_there"] == again["shards"] and contents(out) == expected
    assert {k: again[k] for k in ("tokens", "lines", "lines_dropped")} == {
        k: figures[k] for k in ("tokens", "lines", "lines_dropped")
    }


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the processes in /proc")
def test_workers_end_with_their_parent(files, tmp_path):
    process = start(files, tmp_path / "out", "--workers=2")
    while not (tmp_path / "out/shard-00002.npz").exists() and process.poll() is None:
        time.sleep(0.002)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) >= 2
    process.kill()
    process.communicate()  # ends when the last process that holds its standard output has ended
    deadline = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{child}") for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_worker_that_dies_is_an_error_and_what_is_whole_stays(files, tmp_path, monkeypatch):
    out, recipe = tmp_path / "out", ShardRecipe(shard_mb=0.02)

    def kill_a_worker(progress, lines, position):
        if (out / "shard-00001.npz").exists():
            multiprocessing.active_children()[0].kill()

    monkeypatch.setattr(make_shards_module._Progress, "show", kill_a_worker)
    with pytest.raises(ChildProcessError, match=r"a worker died.*the shards that are complete stay"):
        make(files, out, recipe, workers=2)
    monkeypatch.undo()
    assert make(files, out, recipe)["shards_that_were_there"] >= 1  # the second may lack its entry


def test_a_corrected_input_may_use_the_folder_as_long_as_it_holds_no_shard(files, tmp_path):
    text = tmp_path / "a.txt"
    text.write_bytes(b"\xff\n")
    with pytest.raises(DataError, match="not UTF-8"):
        make(files, tmp_path / "out", inputs=[text])
    text.write_text("가나 다.\n", "utf-8")
    assert make(files, tmp_path / "out", inputs=[text])["documents"] == 1


def test_another_input_tokenizer_or_recipe_is_an_error(files, tmp_path):
    out, text = tmp_path / "out", tmp_path / "a.txt"
    text.write_text("가나 다.\n\n라마.\n", "utf-8")
    make(files, out, inputs=[text])
    with pytest.raises(DataError, match=r"begun with another shard_mb: found 0\.1 there, now it is 0\.2"):
        make(files, out, ShardRecipe(shard_mb=0.2), [text])
    with pytest.raises(DataError, match='begun with another split_sentences: found "none" there, now it is "rule"'):
        make(files, out, ShardRecipe(split_sentences="rule", shard_mb=0.1), [text])
    text.write_text("가나 다.\n\n라바.\n", "utf-8")
    with pytest.raises(DataError, match=r"a\.txt, from line 1: the text has changed since .* was begun"):
        make(files, out, inputs=[text])
    text.write_text("가나 다.\n", "utf-8")
    with pytest.raises(DataError, match=r"begun with another input: found .*a\.txt.* there"):
        make(files, out, inputs=[text])
    Tokenizer([*VOCAB, "라마"]).save(tmp_path / "other")
    with pytest.raises(DataError, match="begun with another tokenizer"):
        make_shards([text], tmp_path / "other", out, workers=1, say=silent)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.doc").write_text("mine")
    with pytest.raises(DataError, match=r"full: not empty, it holds thesis\.doc; expected a new folder"):
        make(files, tmp_path / "full", inputs=[text])


def test_no_text(files, tmp_path):
    text = tmp_path / "a.txt"
    for content in ("", "\n \n", "\u200b\n"):
        text.write_text(content, "utf-8")
        with pytest.raises(DataError, match=r"a\.txt: no text that gives a token"):
            make(files, tmp_path / f"out{len(content)}", inputs=[text])


def test_an_error_in_a_worker_names_the_line(files, tmp_path):
    text = tmp_path / "a.txt"
    text.write_bytes("가나 다.\n\n".encode() * 2_000 + "가".encode("cp949"))
    with pytest.raises(DataError, match=r"a\.txt, line 4001: not UTF-8"):
        make(files, tmp_path / "out", ShardRecipe(shard_mb=0.01), [text], workers=2)


def test_wrong_recipes():
    for wrong, message in (
        (dict(split_sentences="x"), "split_sentences='x'; expected one of none, rule, kiwi"),
        (dict(duplicates="x"), "duplicates='x'; expected one of none, exact, near"),
        (dict(shard_mb=0), "shard_mb is 0; expected more than 0"),
    ):
        with pytest.raises(ValueError, match=message):
            ShardRecipe(**wrong)


MEASURE = """
import re, sys
from tfkor.data.encoding import ShardRecipe
from tfkor.data.make_shards import make_shards
recipe = ShardRecipe(duplicates=sys.argv[4], shard_mb=0.25)
make_shards([sys.argv[1]], sys.argv[2], sys.argv[3], recipe, workers=1, memory_mb=4, say=str)
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of the memory from /proc")
@pytest.mark.parametrize("duplicates", ["none", "near"])
def test_memory_does_not_grow_with_the_corpus(files, tmp_path, duplicates):
    text = "".join(corpus_text(2_000, seed=2))
    peaks = []
    for times in (2, 12):
        path = tmp_path / f"{times}.txt"
        path.write_text("".join(f"{i}번.\n{text}" for i in range(times)), "utf-8")
        out = tmp_path / str(times)
        command = [sys.executable, "-c", MEASURE, str(path), str(files / "tokenizer"), str(out), duplicates]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    size = (tmp_path / "12.txt").stat().st_size / 1024
    assert size > 6_000
    assert peaks[1] - peaks[0] < size / 2, f"{peaks} kB for a corpus of {size / 6:.0f} and of {size:.0f} kB"
