"""run_tracker: trains, evaluates and predicts on a small file in KLUE-DST's format, with an ontology."""

import json

import pytest
from own_flags import run

from tfkor.data import DataError

SMALL = dict(size="tiny", max_length=48, max_value=4, epochs=1, learning_rate=1e-3, vocab_size=300, batch_size=8)
ONTOLOGY = {"식당-지역": ["서울", "부산"], "식당-예약 시간": ["18:00"]}


def dialogue(number, place):
    first = [f"식당-지역-{place}"]
    turns = [
        {"role": "user", "text": f"{place}에 있는 식당 알려 줘.", "state": first},
        {"role": "sys", "text": "몇 시가 좋으세요?"},
        {"role": "user", "text": "18:00에 예약할게요.", "state": [*first, "식당-예약 시간-18:00"]},
    ]
    return {"guid": f"made-up-{number}", "domains": ["식당"], "dialogue": turns}


@pytest.mark.slow
def test_it_trains_evaluates_and_predicts(tmp_path):
    files = {name: tmp_path / name for name in ("train", "ontology", "other", "in", "out", "model")}
    files["train"].write_text(json.dumps([dialogue(i, ("서울", "부산")[i % 2]) for i in range(12)]), "utf-8")
    files["ontology"].write_text(json.dumps(ONTOLOGY), "utf-8")
    files["other"].write_text(json.dumps({"숙소-지역": ["서울"]}), "utf-8")
    files["in"].write_text("서울에 있는 식당 알려 줘.\t몇 시가 좋으세요?\t18:00에 예약할게요.\n부산에 가요.\n", "utf-8")
    given = dict(train_file=files["train"], dev_file=files["train"], model_dir=files["model"])
    with pytest.raises(DataError, match="dialogue made-up-0, turn 1: the slot '식당-지역'; expected one of the 1"):
        run("run_tracker", **given, ontology_file=files["other"], **SMALL)
    trained = run("run_tracker", **given, ontology_file=files["ontology"], test_rows=3, **SMALL)
    assert trained["train_examples"] == 9 and trained["test"]["turns"] == 6
    assert 0 <= trained["dev"]["joint_goal_accuracy"] <= trained["dev"]["slot_f1"] <= 1
    task = json.loads((files["model"] / "task.json").read_text("utf-8"))
    assert task["slots"] == ["식당-예약 시간", "식당-지역"] and task["ontology"] == ONTOLOGY and task["max_value"] == 4
    assert run("run_tracker", mode="evaluate", test_file=files["train"], model_dir=files["model"]) == trained["dev"]
    results = run(
        "run_tracker", mode="predict", input_file=files["in"], output_file=files["out"], model_dir=files["model"]
    )
    lines = [json.loads(line) for line in files["out"].read_text("utf-8").splitlines()]
    assert results["examples"] == 2 and [len(line["states"]) for line in lines] == [2, 1]
    assert lines[1]["utterances"] == ["부산에 가요."]
