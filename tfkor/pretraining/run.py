"""The training program of a language model: steps, log, evaluation, checkpoints, and going on after any end."""

import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np

from tfkor.pretraining.alarms import Alarms, check_finite
from tfkor.pretraining.batches import Prefetch
from tfkor.pretraining.checks import check_phases
from tfkor.pretraining.held_out import held_out_batches, little_text
from tfkor.pretraining.log import RunLog, Window
from tfkor.pretraining.phases import Phase
from tfkor.pretraining.plan import await_plan, read_plan, write_plan
from tfkor.training.callbacks import TensorBoard, call
from tfkor.training.checkpoints import Checkpoints, arrays_of, assign_arrays
from tfkor.training.config import TrainingConfig
from tfkor.training.devices import Devices
from tfkor.training.devices.jax import lost_processes_named
from tfkor.training.flops import training_flops
from tfkor.training.progress import Progress
from tfkor.training.step import InferenceStep, TrainStep
from tfkor.training.trainer import Trainer


class Stopped(SystemExit):
    """The run was asked to end (SIGTERM, Ctrl-C), and has saved what it had."""


class Pretraining(Trainer):
    """A run in a folder; the same call goes on where the last one ended, however it ended.

        run = Pretraining("runs/electra", model, optimizer, [Phase(batches)], learning_rate=5e-4, steps=10_000)
        metrics = run.train()

    The folder holds plan.json (what decides the run, and the number of steps, once it is fitted), log.jsonl,
    checkpoints/ and, by its caller, the encoders. After SIGKILL the weights become those, bit for bit, of a run that
    was never killed, on one device. The loop over the steps is `tfkor.training.trainer.Trainer.train_on`.

    Args:
      model: an objective (tfkor.pretraining.objectives).
      optimizer: made with a number as its learning rate; the schedule gives each step its own.
      phases: their shares sum to 1.
      config: a TrainingConfig, or a PretrainingConfig, which is one; or
      fields: those of a TrainingConfig: steps or train_hours, learning_rate, log_every, eval_every, save_every ...
      devices: what make_devices gave; None is one device.
      peak_flops: what the devices can do per second, for the log's MFU; None leaves it out.
      callbacks: with on_step_end, on_log, on_evaluation, on_train_end; see tfkor.training.callbacks.
      settings: {name: value} of what decides the run beside the config, the data for example: it is resumed with the
        same ones only.

    Raises:
      ValueError: fields that a TrainingConfig refuses; batches that can't be cut evenly, or with longer rows than the
        encoder has positions.
    """

    def __init__(
        self,
        folder: str | Path,
        model,
        optimizer,
        phases: list[Phase],
        config: TrainingConfig | None = None,
        *,
        devices: Devices | None = None,
        peak_flops: float | None = None,
        callbacks=(),
        settings: dict | None = None,
        **fields,
    ):
        config = TrainingConfig(**fields) if config is None else config
        devices = devices or Devices()
        check_phases(phases, model.encoders, config.gradient_accumulation_steps, devices.replicas)
        idle = {id(variable) for variable in model.idle_variables()}
        step_fn = TrainStep(
            model,
            optimizer,
            model.objective,
            config.jit_compile,
            [v for v in model.trainable_variables if id(v) not in idle],
            config.clip_norm,
            config.gradient_accumulation_steps,
            devices.strategy,
        )
        board = [TensorBoard(config.tensorboard_dir)] if config.tensorboard_dir and devices.chief else []
        super().__init__(step_fn, [*callbacks, *board])
        self.folder, self.model, self.optimizer, self.phases = Path(folder), model, optimizer, phases
        self.config, self.chief, self.peak_flops = config, devices.chief, peak_flops
        self.settings = config.fixed() | json.loads(json.dumps(settings or {}))  # as a file has them
        self.steps = config.steps
        self.log_every, self.save_every, self.eval_every = config.log_every, config.save_every, config.eval_every
        self.checkpoints = Checkpoints(self.folder / "checkpoints", config.keep, config.on_damage)
        self.log_file = RunLog(self.folder)
        self.metrics_fn = InferenceStep(model, model.evaluation_metrics)
        self.alarms = Alarms(model.alarms, phases[0].batches.tokenizer.vocab_size)
        self.tokens, self.seconds = 0, 0.0
        self.saved = None  # the step of the newest checkpoint
        self.held_out = [[] for _ in phases]  # the batches of an evaluation
        self.data = [phase.batches.state for phase in phases]  # where each goes on; batches are drawn ahead of that
        self.phase, self.drawn = 0, None  # the number of the phase, and its batches
        self.schedule = self.progress = self.window = self.clock = None  # once it trains

    # === The run ===

    def train(self) -> dict:
        """Trains to the last step; returns the metrics of the end.

        Raises:
          ValueError: the plan in the folder is that of another run.
          Stopped: SIGTERM or Ctrl-C came; a checkpoint was saved.
          FloatingPointError: the loss is not finite; what is saved is from before.
          OSError: a checkpoint could not be written; the message names the last whole one.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.read_plan()
        self.draw_ahead()
        self.make_plan()
        self.restore()
        self.schedule = self.config.schedule_of(self.steps)
        with self.listening(), lost_processes_named():
            for number, end in enumerate(self.phase_ends()):
                self.phase = number
                if self.step < end:
                    self.train_phase(end)
        self.save()
        metrics = self.evaluate()
        call(self.callbacks, "on_train_end", metrics)
        return {"steps": self.step, "tokens": self.tokens, "seconds": round(self.seconds, 1), **metrics}

    def train_phase(self, end):
        """Trains on the batches of this phase up to the step `end`."""
        batches = self.phases[self.phase].batches
        self.drawn, self.window, self.clock = Prefetch(batches), Window(), time.monotonic()
        title = f"step, {batches.recipe.length} ids a row"
        self.progress = Progress(title, self.steps, "tokens", done=self.step)
        try:
            self.train_on(self.drawn, end)
        finally:
            self.drawn.close()
        self.progress.close()

    # === What the loop of Trainer calls ===

    def learning_rate(self):
        return float(self.schedule(self.step))

    def count(self, batch):
        real, metrics, now = int((batch["input_mask"] > 0).sum()), self.metrics, time.monotonic()
        self.tokens += real
        self.seconds, self.clock = self.seconds + now - self.clock, now
        self.data[self.phase] = self.drawn.state
        self.window.add(real, metrics)
        self.progress.update(real, loss=lambda: float(metrics["loss"]))

    def log(self, batch):
        """One line in log.jsonl: the loss of the last steps, metrics of the last batch, speed; alarms in words."""
        window, mean, seconds = self.window, self.window.mean_loss(), self.window.seconds()
        self.step_fn.sync()
        line = {name: float(value) for name, value in {**self.metrics_fn(batch), **self.metrics}.items()}
        line = {"step": self.step, **line, "loss": mean, "learning_rate": float(self.schedule(self.step - 1))}
        line |= {"tokens": self.tokens, "seconds": round(self.seconds, 2)}
        line |= {"tokens_per_second": round(window.tokens / seconds, 1)}
        line |= {"steps_per_second": round(window.steps / seconds, 4)}
        if self.peak_flops:
            batches = self.phases[self.phase].batches
            flops = training_flops(self.model, batches.batch_size, batches.recipe)
            line["mfu"] = round(flops * window.steps / seconds / self.peak_flops, 4)
        alarms = self.alarms.look(self.step, line | {"loss": float(self.metrics["loss"])})
        for words in alarms:
            print(f"\nALARM {words}", file=sys.stderr, flush=True)
        if self.chief:
            self.log_file.write(line | ({"alarms": alarms} if alarms else {}))
            call(self.callbacks, "on_log", self.step, {name: line[name] for name in line if name != "step"})
        self.window = Window(window.metrics[-1:])

    def evaluate(self):
        """The metrics of this phase's held-out batches, with `held_out_` before their names."""
        batches = self.held_out[self.phase]
        if not batches:
            return {}
        try:
            self.step_fn.sync()
            rows = [{name: float(value) for name, value in self.metrics_fn(batch).items()} for batch in batches]
            metrics = {f"held_out_{name}": sum(row[name] for row in rows) / len(rows) for name in rows[0]}
            if self.chief:
                self.log_file.write({"step": self.step, **metrics})
                call(self.callbacks, "on_evaluation", self.step, metrics, batches[0])
        except Exception:  # an evaluation that fails costs no step
            self.save()
            raise
        return metrics

    def save(self):
        """Writes a checkpoint of this step, if it has none yet.

        Raises:
          FloatingPointError: the last step or the weights are not finite: the checkpoints from before stay.
        """
        if self.saved == self.step:
            return
        arrays = self.arrays()
        check_finite(self.step, self.metrics)
        check_finite(self.step, {f"weight {name}": value for name, value in arrays["model"].items()})
        if self.chief:
            state = {"data": self.data, "tokens": self.tokens, "seconds": self.seconds}
            self.checkpoints.save(self.step, arrays, state)
        self.saved = self.step

    def stop(self):
        self.save()
        path = self.checkpoints.path(self.step)
        raise Stopped(f"{self.stop_signal}: saved {path}; the same command goes on from there")

    # === Before the first step ===

    def draw_ahead(self):
        """Draws the held-out batches, and one of each phase: what can't be drawn is said before the first step."""
        for number, phase in enumerate(self.phases):
            start = dict(phase.batches.state)
            next(phase.batches)
            phase.batches.state = start
            if phase.held_out is not None:
                self.held_out[number] = held_out_batches(phase.held_out, self.config.eval_batches)
                if self.chief and (words := little_text(phase.held_out, self.held_out[number])):
                    print(words, file=sys.stderr, flush=True)

    def phase_ends(self) -> list[int]:
        """The step at which each phase ends."""
        shares = np.cumsum([phase.share for phase in self.phases])
        return [round(float(share) * self.steps) for share in shares[:-1]] + [self.steps]

    def read_plan(self):
        """The folder's plan, or None; see `tfkor.pretraining.plan.read_plan`."""
        return read_plan(self.folder, self.settings, bool(self.checkpoints.steps()))

    def make_plan(self):
        """Sets `steps`: the plan's, if there is one, so that a run that goes on keeps its schedule."""
        plan, timed = self.read_plan(), None
        if plan is None and self.steps is None:
            timed = [self.seconds_a_step(phase) for phase in self.phases]
            mean = sum(phase.share * seconds for phase, seconds in zip(self.phases, timed, strict=True))
            self.steps = max(len(self.phases), int(self.config.train_hours * 3600 / mean))
        if plan is None and self.chief:
            write_plan(self.folder, self.steps, self.settings, timed)
        elif plan is None and timed:  # each worker has timed something else
            plan = await_plan(self.folder, self.read_plan)
        self.steps = plan["steps"] if plan else self.steps

    def seconds_a_step(self, phase, steps=8):
        """Times training steps, and leaves weights, optimizer and data as they were."""
        start = dict(phase.batches.state)
        kept = self.arrays()
        batches = list(itertools.islice(phase.batches, steps + 2))
        for batch in batches[:2]:  # compiles
            float(self.step_fn(batch, 0.0)["loss"])
        begin = time.monotonic()
        for batch in batches[2:]:
            metrics = self.step_fn(batch, 0.0)
        float(metrics["loss"])
        seconds = (time.monotonic() - begin) / steps
        self.step_fn.sync()
        assign_arrays(self.groups(), kept)
        phase.batches.state = start
        return seconds * 1.03  # for the log, evaluations and checkpoints

    def groups(self):
        return {"model": self.model.variables, "optimizer": self.optimizer.variables}

    def arrays(self):
        """{group: {name: array}} of all that training changes: weights, moments, the states of random numbers."""
        self.step_fn.sync()
        return arrays_of(self.groups())

    def restore(self):
        """Goes on from the newest whole checkpoint, if there is one; forgets what the log says of later steps."""
        found = self.checkpoints.latest()
        if found is not None:
            self.step, arrays, state = found
            self.saved = self.step
            path = self.checkpoints.path(self.step)
            assign_arrays(self.groups(), arrays, path)
            self.tokens, self.seconds, self.data = state["tokens"], state["seconds"], state["data"]
            if len(self.data) != len(self.phases):
                raise ValueError(
                    f"{path}: a run with {len(self.data)} lengths of rows, found {len(self.phases)}; expected the same "
                    "long_length as the run was begun with"
                )
            for phase, data in zip(self.phases, self.data, strict=True):
                phase.batches.state = data
        if self.chief:
            self.log_file.forget_after(self.step)
