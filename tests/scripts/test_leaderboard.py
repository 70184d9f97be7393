"""leaderboard: what it finds, runs and shows, with programs that only write results; each command has known flags."""

import importlib
import json
import subprocess
from types import SimpleNamespace

import pytest
from absl import app, flags
from own_flags import own_flags

from tfkor.scripts import _leaderboard_tasks, leaderboard
from tfkor.scripts._published_metrics import published_metrics

TASKS = _leaderboard_tasks.TASKS
FIGURES = ("accuracy", "macro_f1", "spearman", "f1", "entity_f1", "character_f1", "uas", "las")


@pytest.fixture
def board(tmp_path, monkeypatch):
    """A function that runs the program; its programs write results unless their task is in `broken`."""
    commands = []

    def program(words, **options):
        values = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
        folder = tmp_path / "out" / values["model_dir"].rsplit("/", 1)[-1]
        commands.append((words[2], values))
        if folder.name in run.broken:
            return SimpleNamespace(returncode=1)
        folder.mkdir(parents=True, exist_ok=True)
        test = {name: {"mean": 0.5, "std": 0.01} for name in FIGURES}
        one = {"train_examples": 70, "seconds": 2.0, "test": {"examples": 30}}
        results = {"runs": {"seed-0": one, "seed-1": one}, "test": test, "best": "seed-0"}
        (folder / "results.json").write_text(json.dumps(results))
        return SimpleNamespace(returncode=0)

    def run(**values):
        own = flags_of(leaderboard, ["leaderboard"], init_checkpoint="runs/mine", output_dir=tmp_path / "out", **values)
        monkeypatch.setattr(leaderboard, "FLAGS", own)
        commands.clear()
        return leaderboard.job(), list(commands)

    run.broken = set()
    monkeypatch.setattr(subprocess, "run", program)
    monkeypatch.setenv("TFKOR_DATA", str(tmp_path / "data"))
    for name in ("korsts/sts-train.tsv", "korsts/sts-test.tsv.gz", "klue-ner/klue-ner-v1.1_dev.tsv.gz"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return run


def flags_of(module, words, **values):
    """The flags that a module defines, parsed, without touching those of the process."""
    with own_flags() as own:
        module.define_flags()
    own([*words, *(f"--{name}={value}" for name, value in values.items())])
    return own


def test_it_trains_what_it_finds_and_shows_it_beside_published_metrics(board, tmp_path):
    results, commands = board(seeds="0,1", tasks="korsts,klue-ner,klue-dp,intents176", epochs=1)
    assert [name for name, _ in commands] == [f"tfkor.scripts.run_{x}" for x in ("classifier", "tagger", "classifier")]
    assert results["missing"] == ["klue-dp"] and results["failed"] == []
    _, values = commands[1]
    assert values["train_file"].endswith("klue-ner-v1.1_dev.tsv.gz") and values["test_rows"] == "1000"
    assert (values["epochs"], values["seeds"], values["init_checkpoint"]) == ("1", "0,1", "runs/mine")
    text = (tmp_path / "out/leaderboard.md").read_text("utf-8")
    lines = text.splitlines()
    assert "| mine | 50.00 ± 1.00 |" in lines  # korsts
    assert "| KoELECTRA-Base-v3 (KoELECTRA) | 85.53 |" in lines and "| electra-kor-base (LMkor) | 85.46 |" in lines
    assert "| mine | 50.00 ± 1.00 \\* | 50.00 ± 1.00 \\* |" in lines  # klue-ner
    assert "| KLUE-BERT-base (KLUE) | 83.97 | 91.39 |" in lines
    assert any(line.startswith("\\* klue-ner: 1,000 rows of klue-ner-v1.1_dev.tsv scored") for line in lines)
    assert "| model | intents176 accuracy |" in lines
    saved = json.loads((tmp_path / "out/leaderboard.json").read_text("utf-8"))
    assert saved["tasks"]["korsts"]["figures"] == {"spearman": {"mean": 0.5, "std": 0.01}}
    assert {row["source"].split("/")[4] for row in saved["published"]} == {"KoELECTRA", "LMkor", "KLUE"}


def test_what_is_done_is_not_done_again_unless_asked_otherwise(board):
    board(tasks="korsts,klue-ner")
    assert board(tasks="korsts,klue-ner")[1] == []
    board.broken = {"klue-ner"}
    results, commands = board(tasks="korsts,klue-ner", max_train_rows=70)
    assert len(commands) == 2 and results["failed"] == ["klue-ner"]
    assert results["tasks"]["korsts"]["note"] == "trained on 70 rows"
    board.broken = set()
    results, commands = board(tasks="korsts,klue-ner", max_train_rows=71, pooling="mean")
    assert results["tasks"]["korsts"]["note"] == ""  # there are no more
    assert [values.get("pooling") for _, values in commands] == ["mean", None]
    board.broken = {"klue-ner"}
    with pytest.raises(FileNotFoundError, match=r"0 have no data in .*, 1 failed"):
        board(tasks="klue-ner", epochs=7)
    with pytest.raises(app.UsageError, match="--tasks has nothing; expected some of nsmc, paws"):
        board(tasks="nothing")


@pytest.mark.parametrize("seeds", ["", "-1", "0,x", "0,0"])
def test_seeds_that_no_training_takes_are_refused_first(board, tmp_path, seeds):
    with pytest.raises(app.UsageError, match=f"--seeds={seeds}; expected"):
        board(seeds=seeds, tasks="korsts")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["epochs", "batch_size", "max_train_rows"])
def test_a_flag_out_of_range_is_named(board, name):
    with pytest.raises(flags.IllegalFlagValueError, match=f"--{name}=0"):
        board(**{name: 0})


@pytest.mark.parametrize("task", TASKS)
def test_the_program_of_a_task_knows_its_flags(task, monkeypatch, tmp_path):
    own = flags_of(leaderboard, ["leaderboard"], init_checkpoint="runs/mine", output_dir="out", precision="float32")
    monkeypatch.setattr(leaderboard, "FLAGS", own)
    monkeypatch.setattr(leaderboard, "find", lambda name, part: part)
    program = importlib.import_module(f"tfkor.scripts.{TASKS[task].program}")
    for source in TASKS[task].sources:
        words = leaderboard.command(TASKS[task], source, tmp_path)
        read = flags_of(program, words[2:])
        assert read.model_dir == str(tmp_path) and read.seeds == ["0", "1", "2"]
        assert read.dataset == task if TASKS[task].dataset else read.train_file == source.train


def test_published_metrics_are_percentages_of_tasks():
    rows = published_metrics()
    assert len(rows) == 24 and all(0 < value < 100 for *_, row in rows for value in row.values())
    by_model = {model: row for model, _, row in rows}
    assert by_model["KoBERT"]["korquad f1"] == 79.15 and by_model["KLUE-RoBERTa-large"]["klue-re auprc"] == 72.98
    assert "kornli accuracy" not in by_model["funnel-kor-base"]
    columns = {column for *_, row in rows for column in row}
    shown = {f"{task} {metric}" for task, entry in TASKS.items() for metric in entry.metrics}
    assert columns <= shown
