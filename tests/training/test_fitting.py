"""The compiled step and the epochs around it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from tfkor.training import InferenceStep, Trainer, TrainStep, build_optimizer, fit_epochs


class Batches:
    """A few batches of a linear problem; `interrupt_at=(epoch, batch)` presses Ctrl-C there."""

    def __init__(self, interrupt_at=None, poison=False):
        random = np.random.default_rng(0)
        x = random.normal(size=(4, 8, 3)).astype(np.float32)
        y = x.sum(-1) * (np.nan if poison else 1.0)
        weight = np.ones((4, 8), np.float32)
        self.batches = [dict(x=a, y=b, sample_weight=w) for a, b, w in zip(x, y, weight, strict=True)]
        self.interrupt_at = interrupt_at

    def __len__(self):
        return len(self.batches)

    def epoch(self, epoch):
        for i, batch in enumerate(self.batches):
            if (epoch, i) == self.interrupt_at:
                raise KeyboardInterrupt
            yield batch


def linear_step(precision="float32", learning_rate=0.1, ema=0.0):
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Input((3,)), keras.layers.Dropout(0.1), keras.layers.Dense(1, dtype=precision)]
    model = keras.Sequential(layers)

    def loss(batch):
        error = ops.cast(model(batch["x"], training=True)[:, 0], "float32") - batch["y"]
        return ops.mean(error * error), {"error": ops.max(ops.abs(error))}

    optimizer = build_optimizer(learning_rate, 100, weight_decay=0.0, ema=ema, precision=precision)
    return TrainStep(model, optimizer, loss)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_steps_lower_the_loss_in_each_precision(precision):
    step, batches = linear_step(precision), Batches()
    first = float(step(batches.batches[0])["loss"])
    for epoch in range(10):
        for batch in batches.epoch(epoch):
            metrics = step(batch)
    step.sync()
    assert set(metrics) == {"loss", "error"}
    assert float(metrics["loss"]) < 0.3 * first
    assert all(np.isfinite(w).all() for w in step.model.get_weights())


def test_float16_takes_back_a_step_whose_gradients_overflow():
    step = linear_step("mixed_float16")
    before = [w.copy() for w in step.model.get_weights()[:2]]
    scale = float(step.optimizer.dynamic_scale)
    huge = {
        "x": np.full((8, 3), 6e4, np.float32),
        "y": np.zeros(8, np.float32),
        "sample_weight": np.ones(8, np.float32),
    }
    step(huge)
    step.sync()
    kernel, _ = step.model.trainable_variables
    np.testing.assert_array_equal(kernel.numpy(), before[0])
    assert float(step.optimizer.dynamic_scale) < scale


def test_the_best_epoch_is_kept_and_training_stops_early():
    step = linear_step()
    accuracies = iter([0.1, 0.5, 0.4, 0.3, 0.9])
    weights, saved = [], []

    def evaluate():
        weights.append(step.model.get_weights())
        return {"accuracy": next(accuracies)}

    history = fit_epochs(step, Batches(), 10, evaluate, patience=2, on_best=lambda: saved.append(len(weights)))
    assert [h["accuracy"] for h in history] == [0.1, 0.5, 0.4, 0.3]
    assert saved == [1, 2]
    for kept, best in zip(step.model.get_weights(), weights[1], strict=True):
        np.testing.assert_array_equal(kept, best)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_averaged_weights(precision):
    step, average = linear_step(precision, ema=0.75), None
    latest = step.model.get_weights()
    for batch in Batches().batches * 2:
        step(batch)
        step.sync()
        before, latest = latest, step.model.get_weights()
        if np.array_equal(before[0], latest[0]):
            continue  # float16's first scales of the loss are too large: such a step is taken back
        average = latest if average is None else [0.75 * a + 0.25 * b for a, b in zip(average, latest, strict=True)]
    with step.averaged_weights():
        for found, expected in zip(step.model.get_weights(), average, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5)
    for found, expected in zip(step.model.get_weights(), latest, strict=True):
        np.testing.assert_array_equal(found, expected)
    # what is evaluated is what is kept
    seen = []
    fit_epochs(step, Batches(), 1, lambda: seen.append(step.model.get_weights()) or {"accuracy": 1.0})
    for kept, evaluated in zip(step.model.get_weights(), seen[0], strict=True):
        np.testing.assert_array_equal(kept, evaluated)


@pytest.mark.parametrize(
    "accuracies, best", [((np.nan, 0.5, 0.9, 0.7), 2), ((0.5, np.nan, 0.4), 0), ((np.nan,) * 3, 0)]
)
def test_a_metric_that_is_no_number_is_the_worst(accuracies, best):
    step, found, kept = linear_step(), iter(accuracies), []

    def evaluate():
        kept.append(step.model.get_weights())
        return {"accuracy": next(found)}

    history = fit_epochs(step, Batches(), len(accuracies), evaluate)
    assert len(history) == len(accuracies)
    for ours, theirs in zip(step.model.get_weights(), kept[best], strict=True):
        np.testing.assert_array_equal(ours, theirs)


class Record:
    """A callback that notes what it was called with; `stop_at`, an epoch at which it presses Ctrl-C."""

    def __init__(self, stop_at=None):
        self.steps, self.epochs, self.end, self.stop_at = [], [], None, stop_at

    def on_step_end(self, step, metrics):
        self.steps.append((step, float(metrics["loss"])))

    def on_epoch_end(self, epoch, metrics):
        self.epochs.append((epoch, dict(metrics)))
        if epoch == self.stop_at:
            raise KeyboardInterrupt

    def on_train_end(self, metrics):
        self.end = metrics


class Silent:
    """A callback without any method."""


def test_callbacks_are_called_at_steps_epochs_and_the_end():
    record, accuracies = Record(), iter([0.1, 0.5, 0.4])
    history = fit_epochs(
        linear_step(), Batches(), 3, lambda: {"accuracy": next(accuracies)}, callbacks=[Silent(), record]
    )
    assert [step for step, _ in record.steps] == list(range(1, 13))
    for epoch, metrics in record.epochs:
        assert metrics == history[epoch - 1]
        losses = [loss for _, loss in record.steps[4 * epoch - 4 : 4 * epoch]]
        np.testing.assert_allclose(metrics["loss"], np.mean(losses), rtol=1e-6)
    assert [epoch for epoch, _ in record.epochs] == [1, 2, 3]
    assert record.end == history[1]


def test_a_callback_can_end_the_training():
    record = Record(stop_at=2)
    history = fit_epochs(linear_step(), Batches(), 9, callbacks=[record])
    assert len(history) == len(record.epochs) == 2 and record.end == history[1]


def test_ctrl_c_keeps_the_best_weights_so_far():
    step = linear_step()
    weights = []

    def evaluate():
        weights.append(step.model.get_weights())
        return {"accuracy": 1.0}

    history = fit_epochs(step, Batches(interrupt_at=(1, 2)), 10, evaluate)
    assert len(history) == 1
    for kept, best in zip(step.model.get_weights(), weights[0], strict=True):
        np.testing.assert_array_equal(kept, best)


def test_a_loss_that_is_not_a_number_stops_the_training_in_words():
    with pytest.raises(FloatingPointError, match="the loss of epoch 1 is nan"):
        fit_epochs(linear_step(), Batches(poison=True), 2)


def test_the_same_seed_gives_the_same_weights():
    runs = []
    for _ in range(2):
        step = linear_step()
        fit_epochs(step, Batches(), 3)
        runs.append(step.model.get_weights())
    for a, b in zip(*runs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_tensorboard_gets_the_metrics(tmp_path):
    fit_epochs(linear_step(), Batches(), 2, log_dir=tmp_path / "logs")
    (file,) = (tmp_path / "logs").iterdir()
    assert b"examples_per_second" in file.read_bytes()


def test_the_loop_logs_saves_evaluates_and_stops_when_it_is_due():
    class Events(Trainer):
        steps, log_every, save_every, eval_every = 12, 4, 5, 6

        def __init__(self, step_fn):
            super().__init__(step_fn)
            self.events = []

        def log(self, batch):
            self.events.append(("log", self.step))

        def save(self):
            self.events.append(("save", self.step))

        def evaluate(self):
            self.events.append(("evaluate", self.step))

        def stop(self):
            raise KeyboardInterrupt

    trainer = Events(lambda batch, rate: {"loss": 1.0})
    trainer.train_on(iter(range(100)), 7)
    trainer.train_on(iter(range(100)), 12)
    events = [("log", 4), ("save", 5), ("evaluate", 6), ("log", 7), ("log", 8), ("save", 10), ("log", 12)]
    assert trainer.events == events  # the end is saved and evaluated by who calls
    trainer = Events(lambda batch, rate: {"loss": 1.0})
    with pytest.raises(KeyboardInterrupt), trainer.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        trainer.train_on(iter(range(100)), 12)
    assert trainer.events == [("save", 1)] and trainer.stop_signal == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_inference_sees_what_training_changed():
    step = linear_step()
    predict = InferenceStep(step.model, lambda batch: step.model(batch["x"], training=False))
    x = Batches().batches[0]["x"]
    before = np.asarray(predict({"x": x}))
    fit_epochs(step, Batches(), 3)
    after = np.asarray(predict({"x": x}))
    np.testing.assert_allclose(after, np.asarray(step.model(x, training=False)), atol=1e-6)
    assert np.abs(after - before).max() > 1e-3


@pytest.mark.slow
def test_jax_trains_like_tensorflow(tmp_path):
    """The same model, data and weights, dropout 0: the same losses on both backends."""
    pytest.importorskip("jax")
    program = tmp_path / "train.py"
    program.write_text(JAX_PROGRAM)
    losses = {}
    for backend in ("tensorflow", "jax"):
        root = str(Path(__file__).parents[2])
        environment = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": root}
        command = [sys.executable, str(program), str(tmp_path / "start.weights.h5")]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
        assert done.returncode == 0, done.stderr[-3000:]
        losses[backend] = np.array(done.stdout.split()[-6:], float)
    np.testing.assert_allclose(losses["jax"], losses["tensorflow"], atol=1e-4)


JAX_PROGRAM = """
import os, sys
import keras, numpy as np
from keras import ops
from tfkor.models import Bert, BertConfig
from tfkor.training import InferenceStep, TrainStep, build_optimizer

config = BertConfig.of("tiny", vocab_size=50, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
model = Bert(config)
path = sys.argv[1]
if os.path.exists(path):
    model.load_weights(path)
else:
    model.save_weights(path)

def loss(batch):
    pooled = model.pooled([batch["ids"], batch["mask"], batch["segments"]], training=True)
    return ops.mean(ops.square(pooled - batch["target"][:, None])), {}

random = np.random.default_rng(0)
step = TrainStep(model, build_optimizer(1e-3, 6), loss)
for _ in range(6):
    ids = random.integers(5, 50, (4, 9)).astype("int32")
    batch = {"ids": ids, "mask": np.ones_like(ids), "segments": ids % 2}
    batch["target"] = random.normal(size=4).astype("float32")
    print(float(step(batch)["loss"]))
step.sync()
"""
