"""run_classifier from end to end on a small task: train, evaluate, predict, and what it says of bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from absl import app, flags
from absl.testing import flagsaver

from tfkor.scripts import run_classifier

FLAGS = flags.FLAGS
TOPICS = {"날씨": ["비", "눈", "해"], "음식": ["밥", "국", "빵"]}


def rows(split):
    offset = {"train": 0, "dev": 1, "test": 2}[split]
    count = {"train": 60, "dev": 12, "test": 12}[split]
    for i in range(count):
        topic = list(TOPICS)[i % 2]
        yield topic, f"{'오늘 ' * ((i + offset) % 3)}{TOPICS[topic][(i + offset) % 3]} 좋아"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for split in ("train", "dev", "test"):
        lines = ["topic\tsentence", *("\t".join(row) for row in rows(split))]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module", autouse=True)
def own_flags():
    """The program's flags, which it defines when it starts, for this module alone."""
    before = set(FLAGS)
    run_classifier.define_flags()
    yield
    for name in set(FLAGS) - before:
        delattr(FLAGS, name)


def run(**values):
    with flagsaver.flagsaver():
        FLAGS(["run_classifier", "--model_dir=unset"])
        for name, value in values.items():
            FLAGS[name].value = value
        return run_classifier.job()


COLUMNS = {"text_column": "sentence", "label_column": "topic"}
SMALL = {"size": "tiny", "num_hidden_layers": 1, "vocab_size": 250, "max_length": 16, "hidden_dropout": 0.0}


@pytest.fixture(scope="module")
def model(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "model"
    splits = {f"{split}_file": str(files / f"{split}.tsv") for split in ("train", "dev", "test")}
    options = {"epochs": 12, "batch_size": 12, "learning_rate": 5e-3, **SMALL, **COLUMNS}
    results = run(mode="train", model_dir=str(folder), **splits, **options)
    return folder, results


def test_train_writes_model_and_results(model):
    folder, results = model
    assert results["test"] == {"accuracy": 1.0, "macro_f1": 1.0, "examples": 12}
    results = json.loads((folder / "results.json").read_text("utf-8"))
    assert results["flags"]["learning_rate"] == 5e-3
    assert results["history"][-1]["loss"] < results["history"][0]["loss"]
    assert {p.name for p in folder.iterdir()} == {"encoder", "head.safetensors", "results.json", "task.json"}


def test_evaluate_and_predict(model, files, tmp_path):
    folder, _ = model
    results = run(mode="evaluate", model_dir=str(folder), test_file=str(files / "test.tsv"), **COLUMNS)
    assert results == {"accuracy": 1.0, "macro_f1": 1.0, "examples": 12}
    (tmp_path / "in.txt").write_text("비 좋아\n오늘 밥 좋아\n", encoding="utf-8")
    output = tmp_path / "out.jsonl"
    inputs = dict(input_file=str(tmp_path / "in.txt"), output_file=str(output))
    assert run(mode="predict", model_dir=str(folder), **inputs)["examples"] == 2
    first, second = (json.loads(line) for line in output.read_text("utf-8").splitlines())
    assert first["text"] == "비 좋아" and first["labels"] == ["날씨", "음식"] and second["labels"][0] == "음식"
    assert sum(first["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert isinstance(first["none_of_these"], bool)


def test_the_part_of_a_data_set_that_is_named_is_scored(tmp_path, monkeypatch):
    from tfkor import Bert, BertConfig, TextClassifier, Tokenizer

    folder = tmp_path / "korean-hate-speech"
    folder.mkdir()
    (folder / "dev.tsv").write_text("comments\thate\n가\tnone\n나\thate\n", "utf-8")
    monkeypatch.setenv("TFKOR_DATA", str(tmp_path))
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "가", "나"]
    encoder = Bert(BertConfig.of("tiny", vocab_size=len(vocab)))
    labels = ["none", "offensive", "hate"]
    TextClassifier(encoder, labels=labels, tokenizer=Tokenizer.from_vocab(vocab)).save(tmp_path / "model")
    common = dict(mode="evaluate", model_dir=str(tmp_path / "model"), dataset="hate-speech")
    assert run(**common, test_split="dev")["examples"] == 2
    with pytest.raises(app.UsageError, match="--test_split=test; --dataset=hate-speech has train, dev"):
        run(**common)


def test_what_is_missing_is_named(files, tmp_path):
    with pytest.raises(app.UsageError, match="needs --train_file or --dataset"):
        run(mode="train", model_dir=str(tmp_path / "new"))
    with pytest.raises(app.UsageError, match="already exists"):
        run(mode="train", model_dir=str(tmp_path), train_file=str(files / "train.tsv"))
    with pytest.raises(ValueError, match=r"train\.tsv.*'text'.*'topic', 'sentence'"):
        run(mode="train", model_dir=str(tmp_path / "new"), train_file=str(files / "train.tsv"))
    with pytest.raises(app.UsageError, match="needs --output_file"):
        run(mode="predict", model_dir=str(tmp_path), input_file="in.txt")
    with pytest.raises(FileNotFoundError, match=r"has no task\.json"):
        run(mode="evaluate", model_dir=str(tmp_path), test_file=str(files / "test.tsv"), **COLUMNS)
    assert not (tmp_path / "new").exists()


def test_as_a_program_the_last_line_is_json_and_errors_are_one_line(model, files):
    folder, _ = model
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3"}

    def program(*arguments):
        command = [sys.executable, "-m", "tfkor.scripts.run_classifier", f"--model_dir={folder}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    columns = [f"--{name}={value}" for name, value in COLUMNS.items()]
    done = program("--mode=evaluate", f"--test_file={files / 'test.tsv'}", *columns)
    assert json.loads(done.stdout.splitlines()[-1]) == {"accuracy": 1.0, "macro_f1": 1.0, "examples": 12}
    done = program("--mode=evaluate", f"--test_file={files / 'none.tsv'}", *columns)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "none.tsv" in done.stderr.splitlines()[-1] and done.stderr.splitlines()[-1].startswith("error: ")
    done = program("--help")
    assert "--label_column: Column of the label." in done.stdout


def test_training_starts_from_a_pretrained_encoder(files, tmp_path):
    from tfkor import zoo
    from tfkor.models import Electra, ElectraConfig
    from tfkor.tasks import TextClassifier
    from tfkor.text import Tokenizer

    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"비눈해밥국빵", "오늘", "좋아"]
    sizes = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, embedding_size=16)
    encoder = Electra(ElectraConfig(len(vocab), max_position_embeddings=32, **sizes))
    zoo.save(tmp_path / "run/encoder", encoder, Tokenizer(vocab))
    for name, start in (("run", tmp_path / "run"), ("encoder", tmp_path / "run/encoder")):
        folder = tmp_path / name / "classifier"
        run(
            model_dir=str(folder), init_checkpoint=str(start), max_length=64, epochs=1, learning_rate=0.0,
            weight_decay=0.0, train_file=str(files / "train.tsv"), dev_file=str(files / "dev.tsv"), **COLUMNS,
        )  # fmt: skip
        classifier = TextClassifier.load(folder)
        assert classifier.max_length == 32  # no more than the encoder has positions
        assert classifier.tokenizer.vocab == vocab
        for ours, theirs in zip(classifier.encoder.weights, encoder.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_folds_and_a_teacher(model, files, tmp_path):
    texts = [row.split("\t")[1] for row in (files / "test.tsv").read_text("utf-8").splitlines()[1:]]
    (tmp_path / "more.txt").write_text("\n".join(texts), "utf-8")
    taught = dict(teacher=str(model[0]), distillation=0.9, unlabelled_file=str(tmp_path / "more.txt"))
    taught["dev_file"] = str(files / "dev.tsv")
    options = {"epochs": 12, "batch_size": 12, "learning_rate": 5e-3, **SMALL, **COLUMNS, **taught}
    results = run(model_dir=str(tmp_path / "model"), train_file=str(files / "train.tsv"), folds=2, **options)
    assert list(results["runs"]) == ["fold-0", "fold-1"] and "best" not in results
    rows = [each["train_examples"] for each in results["runs"].values()]
    assert rows == [30, 30]
    assert results["held_out"]["accuracy"]["mean"] > 0.9
    assert sum(each["held_out"]["examples"] for each in results["runs"].values()) == 60
