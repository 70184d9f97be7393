"""The table of published checkpoints: sources, sizes, options, its program, names that are nearly right."""

import dataclasses
import json
import re
import subprocess
import sys

import pytest

from tfkor import zoo
from tfkor.interop import load_pretrained
from tfkor.interop.configs import config_from_huggingface
from tfkor.known import did_you_mean

ALL = zoo.known_checkpoints()
READ = {name: known for name, known in ALL.items() if known.readable != "no"}


@pytest.mark.parametrize("known", ALL.values(), ids=ALL)
def test_every_fact_has_a_source_or_a_mark(known):
    for source in known.source.split(", "):
        assert re.fullmatch(r"[\w-]+/[\w.-]+@[0-9a-f]{7}", source), source
    assert known.licence and known.normalisation
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", known.name)
    attributes = {field.name for field in dataclasses.fields(known)} | set(known.config)
    assert set(known.unverified) <= attributes - {"name", "source", "unverified", "note"}
    assert len(set(known.unverified)) == len(known.unverified)
    assert known.readable in ("yes", "weights", "no") and (known.readable == "yes" or known.note)


@pytest.mark.parametrize("known", READ.values(), ids=READ)
def test_sizes_make_a_config(known):
    encoder_class, config = config_from_huggingface(known.config, known.name)
    assert encoder_class.__name__ == known.architecture
    assert config.max_position_embeddings - config.position_offset == known.max_length
    assert config.hidden_size % config.num_attention_heads == 0
    assert all(getattr(config, name) == value for name, value in known.config.items() if hasattr(config, name))
    embeds = known.architecture in ("Albert", "Electra")
    assert (known.embedding_size is not None) == embeds
    assert known.generator == (known.architecture == "Electra" and "generator" in known.name)


def test_no_class_reads_a_checkpoint_that_is_marked_so():
    unread = [known for known in ALL.values() if known.readable == "no"]
    assert unread
    for known in unread:
        with pytest.raises(ValueError, match="model_type is"):
            config_from_huggingface(known.config, known.name)


def test_names_and_architectures():
    assert {"klue/bert-base", "monologg/koelectra-base-v3-discriminator", "skt/kobert-base-v1"} <= set(ALL)
    assert len([name for name in ALL if name.startswith("monologg/koelectra")]) == 12
    assert set(zoo.known_checkpoints("electra")) == {n for n, known in ALL.items() if known.architecture == "Electra"}
    with pytest.raises(ValueError, match="architecture is 'gpt9'; expected one of Albert, Bert"):
        zoo.known_checkpoints("gpt9")


def test_options_say_what_is_known_of_a_tokenizer():
    assert ALL["kykim/bert-kor-base"].options == {"nfc": False, "lowercase": True}
    assert ALL["monologg/koelectra-base-discriminator"].options == {"nfc": False, "lowercase": False}
    assert ALL["klue/bert-base"].options == {"nfc": False}  # its case is in no source: its own file says it
    assert len(ALL["beomi/KcELECTRA-base"].options["revision"]) == 40
    assert ALL["google-bert/bert-base-multilingual-uncased"].options == {}


def test_options_are_those_of_load_pretrained(tmp_path):
    """A folder as kykim's whose tokenizer_config.json is lost."""
    from tfkor import Bert, BertConfig, Tokenizer
    from tfkor.interop import save_huggingface

    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "한국", "##어", "bert"]
    sizes = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    save_huggingface(tmp_path / "kykim", Bert(BertConfig(len(vocab), **sizes)), Tokenizer.from_vocab(vocab, nfc=False))
    (tmp_path / "kykim/tokenizer_config.json").unlink()
    with pytest.raises(ValueError, match="strips accents"):
        zoo.load(tmp_path / "kykim")
    _, tokenizer = zoo.load(tmp_path / "kykim", **ALL["kykim/bert-kor-base"].options)
    assert tokenizer.tokenize("한국어 BERT") == ["한국", "##어", "bert"]
    assert not tokenizer.normalizer.nfc


@pytest.mark.parametrize(
    "name, expected",
    [
        ("klue-bert-base", ["klue/bert-base"]),
        ("KLUE/BERT-base", ["klue/bert-base"]),
        ("kobert", ["monologg/kobert"]),
        ("kcbert", ["beomi/kcbert-base", "beomi/kcbert-large"]),
        ("xlm-roberta-base", ["FacebookAI/xlm-roberta-base"]),
        ("monologg/koelectra-base-v1-discriminator", ["monologg/koelectra-base-discriminator"]),
        ("klue/bert-base", []),
        ("runs/intents", []),
        ("t5", []),
    ],
)
def test_a_name_that_is_nearly_right_is_guessed(name, expected):
    told = did_you_mean(name)
    assert all(each in told for each in expected) and bool(told) == bool(expected)


def test_errors_guess(monkeypatch):
    for load in (load_pretrained, zoo.load):
        with pytest.raises(FileNotFoundError, match=r"klue-bert-base: no such folder.*did you mean klue/bert-base\?"):
            load("klue-bert-base")
    hub = pytest.importorskip("huggingface_hub")

    def nothing(*arguments, **options):
        raise OSError("404")

    monkeypatch.setattr(hub, "snapshot_download", nothing)
    with pytest.raises(ConnectionError, match=r"did you mean beomi/kcbert-base\?"):
        load_pretrained("beomi/kc-bert-base")


def listed(*arguments):
    command = [sys.executable, "-m", "tfkor.scripts.list_checkpoints", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_program_prints_a_table_and_json():
    *lines, figures = listed("--architecture=roberta")
    names = list(zoo.known_checkpoints("roberta"))
    assert json.loads(figures) == {"checkpoints": len(names)}
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == names
    assert len({line.replace("---", " | ").count("|") for line in lines if not line.startswith("|--")}) == 1
    small = lines[2].split(" | ")
    assert small[5] == "512?" and small[2] == "768, 6, 12" and small[11] == "nfc=False"

    (line,) = listed("--json")
    found = json.loads(line)["checkpoints"]
    assert [row["name"] for row in found] == list(ALL)
    assert all(row["config"] == ALL[row["name"]].config for row in found)
    assert all(row["options"] == ALL[row["name"]].options for row in found)
