"""The program train_tokenizer, and the reports on tokenizers."""

import json
import subprocess
import sys

import pytest

from tfkor.text import SPECIAL_TOKENS, Tokenizer, tokenizer_report, train_tokenizer, train_wordpiece
from tfkor.text.training.report import covered_syllables, markdown

TEXTS = ["한국어를 공유합니다.", "한국어를 배웁니다!", "한국 사람입니다. ABC abc", "공유합니다 한국어"] * 5


def program(*flags):
    command = [sys.executable, "-m", "tfkor.scripts.train_tokenizer", *flags]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_program(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    folder = tmp_path / "out"
    flags = [f"--input={tmp_path}/*.txt", "--vocab_size=600", "--lowercase", f"--output_dir={folder}"]
    result = program(*flags)
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout.splitlines()[-1])
    tokenizer = Tokenizer.load(folder)
    assert figures["texts"] == len(TEXTS) and figures["unk_share"] == 0 and figures["output_dir"] == str(folder)
    assert figures["vocab_size"] == tokenizer.vocab_size and tokenizer.config["lowercase"]
    assert tokenizer.vocab == train_wordpiece(TEXTS, 600, lowercase=True)

    assert json.loads((folder / "report.json").read_text()) == tokenizer_report(tokenizer, TEXTS) | {
        "characters_per_second": figures["characters_per_second"]
    }
    again = program(*flags)
    assert again.returncode and "holds a tokenizer already; expected a new folder" in again.stderr + again.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--input=none.txt"], "none.txt: no such file"),
        (["--input=none*.txt"], "--input=none*.txt: no file matches"),
        ([], "found neither of --input and --dataset"),
        (["--dataset=intents176", "--vocab_size=200"], "vocab_size is 200, but special tokens (5)"),
        (["--dataset=intents176", "--model=bpe", "--min_frequency=3"], "found --min_frequency and --model=bpe"),
        (["--dataset=intents176", "--compare=a,b"], "found --output_dir and --compare; expected one of them"),
        (["--dataset=intents176", "--report=a.md"], "found --report without --compare"),
        (["--dataset=intents176", "--special_tokens=pad"], "--special_tokens has 'pad'; expected role=token"),
        (["--dataset=intents176", "--special_tokens=bos=<s>"], "special_tokens has the role 'bos'; expected some of"),
    ],
)
def test_the_program_refuses(tmp_path, flags, message):
    result = program(*flags, f"--output_dir={tmp_path}")
    assert result.returncode == 1 and message in result.stderr + result.stdout
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_program_trains_and_compares(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    texts, folders = f"--input={tmp_path}/a.txt", [str(tmp_path / name) for name in ("wordpiece", "unigram")]
    options = dict(alphabet="jamo", unused_slots=2, user_symbols=["<url>", "<이름>"])
    flags = ["--alphabet=jamo", "--unused_slots=2", "--user_symbols=<url>,<이름>", "--vocab_size=400", texts]
    for folder, kind in zip(folders, ("wordpiece", "unigram"), strict=True):
        result = program(*flags, f"--model={kind}", f"--output_dir={folder}")
        assert result.returncode == 0, result.stderr
        expected = train_tokenizer(TEXTS, 400, kind, **options)
        assert Tokenizer.load(folder).fingerprint == expected.fingerprint and expected.type == kind
    report = tmp_path / "report.md"
    result = program(texts, f"--compare={','.join(folders)}", f"--report={report}")
    assert result.returncode == 0, result.stderr
    table, figures = report.read_text(), json.loads(result.stdout.splitlines()[-1])
    assert list(figures) == folders and table in result.stdout
    assert f"|  | {folders[0]} | {folders[1]} |" == table.splitlines()[0]
    assert "| type | wordpiece | unigram |" in table and "| syllables | 11,172 | 11,172 |" in table


def test_the_program_takes_special_tokens(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    special = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
    flag = "--special_tokens=" + ",".join(f"{role}={token}" for role, token in special.items())
    result = program(f"--input={tmp_path}/a.txt", "--vocab_size=300", flag, f"--output_dir={tmp_path / 'out'}")
    assert result.returncode == 0, result.stderr
    tokenizer = Tokenizer.load(tmp_path / "out")
    assert tokenizer.vocab[:5] == list(special.values()) and tokenizer.special_tokens == special
    assert tokenizer.fingerprint == train_tokenizer(TEXTS, 300, special_tokens=special).fingerprint


# === The report ===


def test_the_figures_of_a_report():
    tokenizer = Tokenizer([*SPECIAL_TOKENS, "가", "##나", "나", ".", "x"])
    report = tokenizer_report(tokenizer, ["가나 나.", "", "뷁뷁 가가가 x"])
    assert report.pop("characters_per_second") > 0
    assert report == {
        "type": "wordpiece",
        "vocab_size": 10,
        "alphabet": "syllable",
        "morphemes": "none",
        "texts": 3,
        "eojeols": 5,
        "tokens": 7,  # 가 ##나 | 나 . | [UNK] | [UNK] | x
        "unk_share": round(2 / 7, 6),
        "eojeols_with_unk": 0.4,
        "tokens_per_eojeol": 1.4,
        "characters_per_token": round(10 / 7, 3),
        "whole_eojeols": 0.6,
        "syllables": 1,  # 나나
        "vocab_used": 0.6,
    }
    assert covered_syllables(Tokenizer([*SPECIAL_TOKENS, "가", "##가", "나", "##다", "라라"])) == 2
    with pytest.raises(ValueError, match="2 texts without a word; expected some to report on"):
        tokenizer_report(tokenizer, ["", " "])


def test_the_table():
    table = markdown({"a": {"vocab_size": 12345, "unk_share": 0.5}, "b": {"vocab_size": 7, "unk_share": 0.25}})
    assert table == "|  | a | b |\n| --- | --: | --: |\n| vocab size | 12,345 | 7 |\n| unk share | 0.5 | 0.25 |\n"
