"""A pretraining run: steps, log, evaluation, checkpoints, and resuming."""

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
    """The run was stopped by SIGTERM or Ctrl-C, and has saved a checkpoint."""


class Pretraining(Trainer):
    """A run in a folder; the same call resumes it after it was stopped or killed.

        run = Pretraining("runs/electra", model, optimizer, [Phase(batches)], learning_rate=5e-4, steps=10_000)
        metrics = run.train()

    The folder holds plan.json (the settings that decide the run, and the number of steps), log.jsonl and checkpoints/.
    On one device a run that was killed and resumed ends with the same weights, bit for bit, as one that was not. The
    loop over the steps is `tfkor.training.trainer.Trainer.train_on`.

    Args:
      model: an objective (tfkor.pretraining.objectives).
      optimizer: made with a number as its learning rate, which the schedule of the config replaces in each step.
      phases: the parts of the run; their shares sum to 1.
      config: a TrainingConfig or PretrainingConfig; None makes a TrainingConfig of `fields`.
      devices: the result of make_devices; None is one device.
      peak_flops: FLOP/s of the devices, for MFU in the log; None leaves it out.
      callbacks: with on_step_end, on_log, on_evaluation, on_train_end; see tfkor.training.callbacks.
      settings: {name: value} of what else decides the run, such as its data; it can only be resumed with the same.
      fields: of a TrainingConfig: steps or train_hours, learning_rate, log_every, eval_every, save_every ...

    Raises:
      ValueError: wrong fields of a TrainingConfig; batches that can't be split evenly, or whose rows are longer than
        the encoder's positions.
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
        self.settings = config.fixed() | json.loads(json.dumps(settings or {}))  # as they are read back from plan.json
        self.steps = config.steps
        self.log_every, self.save_every, self.eval_every = config.log_every, config.save_every, config.eval_every
        self.checkpoints = Checkpoints(self.folder / "checkpoints", config.keep, config.on_damage)
        self.log_file = RunLog(self.folder)
        self.metrics_fn = InferenceStep(model, model.evaluation_metrics)
        self.alarms = Alarms(model.alarms, phases[0].batches.tokenizer.vocab_size)
        self.tokens, self.seconds = 0, 0.0
        self.saved = None  # the step of the newest checkpoint
        self.held_out = [[] for _ in phases]  # the batches of an evaluation, for each phase
        self.data = [phase.batches.state for phase in phases]  # after the last step; batches are drawn ahead
        self.phase, self.drawn = 0, None  # the current phase, and its batches
        self.schedule = self.progress = self.window = self.clock = None  # set when it trains

    # === The run ===

    def train(self) -> dict:
        """Trains to the last step; returns the metrics at the end.

        Raises:
          ValueError: the folder holds a run with other settings.
          Stopped: by SIGTERM or Ctrl-C; a checkpoint was saved.
          FloatingPointError: the loss is not finite; the checkpoints are from earlier steps.
          OSError: a checkpoint could not be written; the message names the last one before it.
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
        """Trains on the batches of the current phase up to the step `end`."""
        batches = self.phases[self.phase].batches
        self.drawn, self.window, self.clock = Prefetch(batches), Window(), time.monotonic()
        title = f"step, {batches.recipe.length} tokens per row"
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
        """The mean metrics over the held-out batches of the current phase, their names prefixed with `held_out_`."""
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
        except Exception:  # a failed evaluation loses no steps
            self.save()
            raise
        return metrics

    def save(self):
        """Writes a checkpoint of this step, if it has none yet.

        Raises:
          FloatingPointError: the last loss or the weights are not finite; earlier checkpoints are kept.
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
        raise Stopped(f"{self.stop_signal}: saved {path}; the same command resumes from there")

    # === Before the first step ===

    def draw_ahead(self):
        """Draws the held-out batches, and one of each phase, to find errors in the data before the first step."""
        for number, phase in enumerate(self.phases):
            start = dict(phase.batches.state)
            next(phase.batches)
            phase.batches.state = start
            if phase.held_out is not None:
                self.held_out[number] = held_out_batches(phase.held_out, self.config.eval_batches)
                if self.chief and (warning := little_text(phase.held_out, self.held_out[number])):
                    print(warning, file=sys.stderr, flush=True)

    def phase_ends(self) -> list[int]:
        """The step at which each phase ends."""
        ends = np.cumsum([phase.share for phase in self.phases])
        return [round(float(end) * self.steps) for end in ends[:-1]] + [self.steps]

    def read_plan(self):
        """The folder's plan, or None; see `tfkor.pretraining.plan.read_plan`."""
        return read_plan(self.folder, self.settings, bool(self.checkpoints.steps()))

    def make_plan(self):
        """Sets `steps` to those of an existing plan, so that a resumed run keeps its schedule; else writes a plan."""
        plan, timed = self.read_plan(), None
        if plan is None and self.steps is None:
            timed = [self.seconds_a_step(phase) for phase in self.phases]
            mean = sum(phase.share * seconds for phase, seconds in zip(self.phases, timed, strict=True))
            self.steps = max(len(self.phases), int(self.config.train_hours * 3600 / mean))
        if plan is None and self.chief:
            write_plan(self.folder, self.steps, self.settings, timed)
        elif plan is None and timed:  # each worker has measured another time
            plan = await_plan(self.folder, self.read_plan)
        self.steps = plan["steps"] if plan else self.steps

    def seconds_a_step(self, phase, steps=8):
        """Times some training steps, then restores weights, optimizer and data."""
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
        return seconds * 1.03  # 3% for the log, evaluations and checkpoints

    def groups(self):
        return {"model": self.model.variables, "optimizer": self.optimizer.variables}

    def arrays(self):
        """{group: {name: array}} of all that training changes: weights, moments, states of random number generators."""
        self.step_fn.sync()
        return arrays_of(self.groups())

    def restore(self):
        """Resumes from the newest complete checkpoint, if there is one; removes log lines of later steps."""
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
                    "long_length as when the run was started"
                )
            for phase, data in zip(self.phases, self.data, strict=True):
                phase.batches.state = data
        if self.chief:
            self.log_file.forget_after(self.step)
