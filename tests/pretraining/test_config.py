"""Settings check themselves, and a run is resumed with those that it was started with."""

import dataclasses
import json

import pytest

from tfkor.pretraining import MaskedLanguageModel, PretrainingConfig, ReplacedTokenDetection
from tfkor.pretraining.objectives import allowed_objectives, default_objectives
from tfkor.pretraining.plan import read_plan, write_plan
from tfkor.training import ConfigError, TrainingConfig

# plan.json of an older version, as run_pretraining --model=electra --steps=60 wrote it
OLD_SETTINGS = {
    "init_checkpoint": None, "model": "electra", "size": "tiny", "generator_size": None, "max_positions": 64,
    "hidden_dropout": 0.1, "attention_dropout": 0.1, "objectives": None, "masking": ["token"], "mask_rate": 0.15,
    "max_predictions": None, "static_masks": False, "packing": False, "length": 24, "batch_size": 8,
    "long_length": None, "long_batch_size": None, "long_share": 0.1, "optimizer": "adamw", "learning_rate": 0.0005,
    "schedule": "linear", "warmup": 0.1, "power": 2.0, "weight_decay": 0.01, "clip_norm": 1.0, "precision": "float32",
    "seed": 0, "held_out": 0.1, "shards": "SHA-256 2c141f4b146bc15f", "tokenizer": "dae2c88452250402",
}  # fmt: skip
RUN = dict(shards="a", model_dir="b", steps=60)


def electra(**changes):
    values = dict(model="electra", size="tiny", max_positions=64, length=24, batch_size=8, held_out=0.1)
    return PretrainingConfig(**{**RUN, **values, **changes})


def test_every_field_says_what_it_means_and_its_default_is_allowed():
    config = PretrainingConfig(**RUN)
    for field in dataclasses.fields(config):
        assert len(field.metadata["help"]) > 10, field.name
    assert config.objective is MaskedLanguageModel and config.pairs == "nsp" and config.steps == 60


@pytest.mark.parametrize(
    "values, words",
    [
        (dict(steps=0), "steps is 0; expected 1 or more"),
        (dict(steps=None), "steps is None and train_hours is None; expected one of them"),
        (dict(train_hours=1.0), r"steps is 60 and train_hours is 1\.0; expected one of them"),
        (dict(batch_size=8.5), "batch_size is 8.5; expected a whole number"),
        (dict(batch_size=True), "batch_size is True; expected a whole number"),
        (dict(learning_rate=float("nan")), "learning_rate is nan; expected a finite number"),
        (dict(learning_rate="fast"), "learning_rate is 'fast'; expected a number"),
        (dict(hidden_dropout=1.0), r"hidden_dropout is 1\.0; expected 0\.0 to 0\.99"),
        (dict(schedule="cosine"), "schedule is 'cosine'; expected one of linear, triangular, poly"),
        (dict(schedule="poly", power=0.0), r"power is 0\.0; expected more than 0"),
        (dict(masking="token"), "masking is 'token'; expected a list of str"),
        (dict(masking=["word"]), "masking is word: units is 'word'; expected one of"),
        (dict(masking=["span:x"]), "masking is span:x; expected a unit, or unit:weight,unit:weight"),
        (dict(objectives=["rtd"]), "objectives is rtd with model=bert; expected mlm or mlm,nsp or mlm,sop"),
        (dict(length=4), "length is 4 with objectives=mlm,nsp; expected 5 or more"),
        (dict(packing=True), "packing is True with objectives=mlm,nsp; expected no pairs"),
        (dict(tfrecords=["x"]), r"shards is a and tfrecords is \('x',\); expected one of them"),
        (dict(tokenizer_dir="x"), "tokenizer_dir is x; expected .* None for shards"),
        (dict(model_dir=None), "model_dir is None; expected the folder of the run"),
    ],
)
def test_what_a_field_can_not_be_is_named(values, words):
    with pytest.raises(ConfigError, match=words):
        PretrainingConfig(**{**RUN, **values})


def test_an_objective_says_which_architectures_it_is_for():
    assert [default_objectives(name) for name in ("bert", "albert", "roberta", "electra", "unheard_of")] == [
        ["mlm", "nsp"], ["mlm", "sop"], ["mlm"], ["rtd"], ["mlm"]
    ]  # fmt: skip
    assert allowed_objectives("electra") == [["rtd"]]
    assert allowed_objectives("unheard_of") == [["mlm"], ["mlm", "nsp"], ["mlm", "sop"]]
    recipe = electra().recipe(24)
    assert electra().objective is ReplacedTokenDetection and recipe.objective == "rtd"
    assert (recipe.masking.mask_share, recipe.masking.random_share) == (0.85, 0.0)


def test_the_schedule_follows_from_the_fields():
    linear, triangular, poly = (
        TrainingConfig(steps=100, learning_rate=1.0, schedule=name).schedule_of(100).get_config()
        for name in ("linear", "triangular", "poly")
    )
    assert (linear["warmup_steps"], linear["power"]) == (10, 1.0)
    assert (triangular["warmup_steps"], triangular["power"]) == (50, 1.0)
    assert (poly["warmup_steps"], poly["power"]) == (10, 2.0)


def test_an_older_plan_is_read_and_what_differs_is_named(tmp_path):
    data = {name: OLD_SETTINGS[name] for name in ("shards", "tokenizer")}
    for asked in ({"steps": 60, "hours": None}, {"steps": None, "hours": 2.0}):
        plan = {"steps": 60, "asked": asked, "seconds_a_step": None, "settings": OLD_SETTINGS}
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        config = electra(steps=asked["steps"], train_hours=asked["hours"], eval_every=7, keep=1, strategy="mirrored")
        assert read_plan(tmp_path, config.fixed() | data, is_saved=True)["steps"] == 60
        other = electra(train_hours=3.0, steps=None, seed=1).fixed() | data
        with pytest.raises(ValueError, match=r"other values: seed: found 1, expected 0; .*train_hours: found 3\.0"):
            read_plan(tmp_path, other, is_saved=True)
        assert read_plan(tmp_path, other, is_saved=False) is None


def test_a_plan_holds_what_may_not_change(tmp_path):
    config = electra()
    write_plan(tmp_path, 60, config.fixed())
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["asked"] == {"steps": 60, "train_hours": None}
    assert set(plan["settings"]) == set(OLD_SETTINGS) - {"shards", "tokenizer"}
    assert read_plan(tmp_path, config.fixed(), is_saved=True) == plan
