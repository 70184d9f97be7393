"""A pretraining run: log, evaluation, plan, stopping and resuming."""

import json
import os
import signal
import threading

import keras
import numpy as np
import pytest
from tiny_corpus import write_shards

from tfkor.files import write_json
from tfkor.pretraining import Phase, Pretraining, PretrainingBatches, Recipe, Stopped
from tfkor.pretraining.plan import await_plan
from tfkor.training import AdamW, Checkpoints
from tfkor.training.devices import Devices


def make_run(folder, shards, model, kind="mlm", steps=12, batch_size=8, lengths=(24,), **options):
    recipes = [
        Recipe(
            length=n,
            pairs=kind if kind in ("nsp", "sop") else None,
            objective="rtd" if kind == "rtd" else "mlm",
        )
        for n in lengths
    ]
    shares = [1.0] if len(lengths) == 1 else [0.75, 0.25]
    phases = [
        Phase(
            PretrainingBatches(shards, recipe, batch_size, held_out=0.1),
            share,
            PretrainingBatches(shards, recipe, batch_size, held_out=0.1, part="held_out"),
        )
        for recipe, share in zip(recipes, shares, strict=True)
    ]
    options = {"learning_rate": 3e-3, "log_every": 4, "save_every": 5, "eval_batches": 2, **options}
    return Pretraining(folder, model, AdamW(1e-3), phases, steps=steps, **options)


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def weights(model):
    return [keras.ops.convert_to_numpy(v) for v in model.variables]


def assert_same(some, others):
    for a, b in zip(some, others, strict=True):
        np.testing.assert_array_equal(a, b)


HEALTH = {
    "mlm": {"mlm_loss", "mlm_accuracy"},
    "sop": {"mlm_loss", "mlm_accuracy", "pair_loss", "pair_accuracy"},
    "rtd": {"mlm_loss", "rtd_loss", "rtd_precision", "rtd_recall", "generator_entropy"},
}


@pytest.mark.parametrize("kind", list(HEALTH))
def test_the_loss_falls_and_the_log_says_how_the_run_does(tmp_path, shards, make_model, kind):
    options = dict(steps=120, log_every=20, save_every=0, eval_every=60, learning_rate=1e-2)
    run = make_run(tmp_path, shards, make_model(kind), kind, **options)
    run.peak_flops = 1e9
    metrics = run.train()
    lines = [line for line in log_of(tmp_path) if "learning_rate" in line]
    assert [line["step"] for line in lines] == list(range(20, 121, 20))
    assert metrics["held_out_mlm_loss"] < np.log(shards.tokenizer.vocab_size) - 0.2
    for line in lines:
        assert HEALTH[kind] | {"loss", "gradient_norm", "tokens_per_second", "mfu"} <= set(line)
    evaluated = [line["step"] for line in log_of(tmp_path) if "held_out_mlm_loss" in line]
    assert evaluated == [60, 120]
    assert metrics["steps"] == 120
    assert metrics["tokens"] == lines[-1]["tokens"] > 0
    assert run.checkpoints.steps() == [120]


def test_sigterm_saves_and_the_same_call_goes_on(tmp_path, shards, make_model):
    """With dropout, two lengths, and the log of the steps that were lost."""
    options = dict(lengths=(24, 40), eval_every=4)
    whole = make_model(hidden_dropout_prob=0.1)
    make_run(tmp_path / "whole", shards, whole, **options).train()

    class Stop:
        def on_evaluation(self, step, metrics, batch):
            if step == 4:
                os.kill(os.getpid(), signal.SIGTERM)

    model = make_model(hidden_dropout_prob=0.1)
    first = make_run(tmp_path / "stopped", shards, model, callbacks=[Stop()], **options)
    with pytest.raises(Stopped, match=r"SIGTERM: saved .*step-00000004.*resumes"):
        first.train()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    again = make_model(hidden_dropout_prob=0.1)
    make_run(tmp_path / "stopped", shards, again, **options).train()
    assert_same(weights(whole), weights(again))
    steps = [[line["step"] for line in log_of(tmp_path / name)] for name in ("whole", "stopped")]
    assert steps[0] == steps[1]


def test_a_finished_run_is_not_trained_again(tmp_path, shards, make_model):
    model = make_model()
    make_run(tmp_path, shards, model).train()
    before = weights(model)
    again = make_model()
    make_run(tmp_path, shards, again).train()
    assert_same(before, weights(again))


def test_hours_are_fitted_to_steps_once_without_a_trace_in_the_weights(tmp_path, shards, make_model):
    model = make_model(hidden_dropout_prob=0.1)
    before = weights(model)
    run = make_run(tmp_path, shards, model, steps=None, train_hours=0.001)
    run.folder.mkdir(exist_ok=True)
    run.make_plan()
    assert_same(before, weights(model))
    assert run.phases[0].batches.state == {"epoch": 0, "group": 0, "batch": 0}
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["steps"] == run.steps == int(3.6 / plan["seconds_a_step"][0])
    (tmp_path / "plan.json").write_text(json.dumps({**plan, "steps": 7}))
    again = make_run(tmp_path, shards, make_model(), steps=None, train_hours=0.001)
    assert again.train()["steps"] == 7
    with pytest.raises(ValueError, match=r"plan\.json: the run was started with .*found .*Choose a new folder"):
        make_run(tmp_path, shards, make_model(), steps=99).train()


def test_an_evaluation_that_fails_costs_no_step(tmp_path, shards, make_model):
    class Fail:
        def on_evaluation(self, step, metrics, batch):
            raise RuntimeError("no samples")

    for eval_every, step in ((3, 3), (0, 12)):
        options = dict(save_every=0, eval_every=eval_every, callbacks=[Fail()])
        run = make_run(tmp_path, shards, make_model(), **options)
        with pytest.raises(RuntimeError, match="no samples"):
            run.train()
        assert run.checkpoints.steps()[-1] == step


def test_a_run_with_little_held_out_text_ends_well_and_says_so(tmp_path, make_model, capsys):
    few = write_shards(tmp_path / "few", documents=[9, 8])
    metrics = make_run(tmp_path / "a", few, make_model("nsp"), "nsp", steps=2, batch_size=32).train()
    assert np.isfinite(metrics["held_out_pair_loss"])
    assert "held_out=0.1 of 17 documents gives " in capsys.readouterr().err
    run = make_run(tmp_path / "b", few, make_model(), steps=2)
    run.phases[0].held_out.held_out = 1e-6
    assert not any(name.startswith("held_out") for name in run.train())
    assert "nothing is evaluated" in capsys.readouterr().err


def test_too_little_text_of_a_later_length_is_said_before_the_first_step(tmp_path, shards, make_model):
    run = make_run(tmp_path, shards, make_model(), lengths=(24, 40))
    run.phases[1].batches.batch_size = 5000
    with pytest.raises(ValueError, match="fewer rows of 40 ids than batch_size, 5000"):
        run.train()
    assert run.step == 0 and not (tmp_path / "plan.json").exists()


def test_what_does_not_fit_is_named_before_the_first_step(tmp_path, shards, make_model):
    def steps_of(count):
        return dict(gradient_accumulation_steps=count)

    for options, words in (
        (steps_of(3), "batch_size is 8 and gradient_accumulation_steps is 3; expected .* multiple of 3"),
        (steps_of(16), "batch_size is 8 and gradient_accumulation_steps is 16"),
        (steps_of(0), "gradient_accumulation_steps is 0; expected 1 or more"),
        (dict(devices=Devices(replicas=3)), "batch_size is 8 and gradient_accumulation_steps is 1, on 3 devices"),
        (dict(lengths=(24, 80)), "long_length is 80, but the encoder has 64 positions"),
        (dict(lengths=(65,)), "length is 65, but the encoder has 64 positions; .*max_positions"),
    ):
        with pytest.raises(ValueError, match=words):
            make_run(tmp_path, shards, make_model(), **options)


def test_a_run_goes_on_with_its_own_settings_only(tmp_path, shards, make_model):
    old = dict(settings={"seed": 1, "masking": ("token",)})
    new = dict(settings={"seed": 2, "masking": ("token",)})
    path = tmp_path / "plan.json"
    make_run(tmp_path, shards, make_model(), steps=2, **old).make_plan()
    run = make_run(tmp_path, shards, make_model(), steps=2, **new)  # nothing is saved: it starts from scratch
    run.train()
    make_run(tmp_path, shards, make_model(), steps=2, log_every=1, keep=1, **new).train()
    with pytest.raises(ValueError, match=r"plan\.json: .*other values: seed: found 1, expected 2\. Choose a new"):
        make_run(tmp_path, shards, make_model(), steps=2, **old).train()
    plan = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in plan.items() if name != "settings"}))  # of old
    make_run(tmp_path, shards, make_model(), steps=2, **old).train()
    with pytest.raises(ValueError, match="a run with 1 lengths of rows, found 2; expected the same long_length"):
        make_run(tmp_path, shards, make_model(), steps=2, lengths=(24, 40)).train()


def test_workers_take_the_number_of_steps_that_the_chief_fitted(tmp_path, shards, make_model):
    run = make_run(tmp_path, shards, make_model(), steps=None, train_hours=0.001, devices=Devices(chief=False))
    chief = threading.Timer(1.0, write_json, (tmp_path / "plan.json", {"steps": 7}))
    run.seconds_a_step = lambda phase: chief.start() or 0.01  # would be 360 steps
    run.make_plan()
    assert run.steps == 7


def test_a_damaged_checkpoint_is_skipped_or_stops_by_choice(tmp_path, shards, make_model):
    whole = make_model()
    make_run(tmp_path, shards, whole).train()
    path = tmp_path / "checkpoints/step-00000012/model.npz"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match=r"step-00000012/model\.npz: SHA-256 is .*Delete that folder"):
        make_run(tmp_path, shards, make_model(), on_damage="stop").train()
    again = make_model()
    make_run(tmp_path, shards, again).train()
    assert_same(weights(whole), weights(again))


def test_a_loss_that_is_not_a_number_stops_the_run_and_says_what_to_do(tmp_path, shards, make_model):
    model = make_model()
    model.masked_lm_head.bias.assign(np.full(model.masked_lm_head.bias.shape, np.nan))
    with pytest.raises(FloatingPointError, match=r"step 4: (mlm_)?loss is nan.*Lower the learning rate"):
        make_run(tmp_path, shards, model).train()


def test_weights_that_are_not_numbers_are_not_saved(tmp_path, shards, make_model):
    model = make_model()
    run = make_run(tmp_path, shards, model, log_every=100, save_every=3, steps=9)
    step = run.step_fn

    def spoil(batch, rate):
        if run.step == 4:
            model.masked_lm_head.bias.assign(np.full(model.masked_lm_head.bias.shape, np.nan))
        return step(batch, rate)

    spoil.sync, run.step_fn = step.sync, spoil
    with pytest.raises(FloatingPointError, match=r"step 6: (mlm_)?loss is nan.*Lower the learning rate"):
        run.train()
    assert run.checkpoints.steps() == [3]
    run.metrics = {"loss": 1.0}  # the gradient of the last step alone was not finite
    with pytest.raises(FloatingPointError, match=r"step 6: weight \S+ holds nan or inf"):
        run.save()


def test_another_model_than_the_run_was_begun_with_is_an_error(tmp_path, shards, make_model):
    make_run(tmp_path, shards, make_model()).train()
    with pytest.raises(ValueError, match="are not those of this run"):
        make_run(tmp_path, shards, make_model(hidden_size=24)).train()


def test_a_full_disk_stops_the_run_and_leaves_what_was_saved(tmp_path, shards, make_model, monkeypatch):
    run = make_run(tmp_path, shards, make_model())
    savez = np.savez

    def full(file, **arrays):
        if run.step > 5:
            raise OSError(28, "No space left on device")
        savez(file, **arrays)

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match=r"step-00000010: .*No space left on device.*the last one is .*step-00000005"):
        run.train()
    assert Checkpoints(tmp_path / "checkpoints").latest()[0] == 5
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000005"]


@pytest.mark.parametrize("kind", ["nsp", "rtd"])
def test_accumulation_gives_the_step_of_the_whole_batch(tmp_path, shards, make_model, kind):
    ends = []
    for parts in (1, 4):
        model = make_model(kind, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        make_run(tmp_path / str(parts), shards, model, kind, steps=6, gradient_accumulation_steps=parts).train()
        ends.append(weights(model))
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_a_plan_that_never_comes_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"plan\.json: not there after 0\.2 s; expected the first worker to"):
        await_plan(tmp_path, lambda: None, seconds=0.2)
    answers = iter([None, {"steps": 3}])
    assert await_plan(tmp_path, lambda: next(answers)) == {"steps": 3}
