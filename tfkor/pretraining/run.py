"""The training program of a language model: steps, log, evaluation, checkpoints, and going on after any end."""

import contextlib
import itertools
import json
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from tfkor.files import new_file, write_json
from tfkor.pretraining.alarms import Alarms, check_finite
from tfkor.pretraining.batches import Prefetch, PretrainingBatches
from tfkor.pretraining.checks import await_plan, check_batches, check_lengths, read_plan
from tfkor.pretraining.held_out import held_out_batches, told_of_little_text
from tfkor.training import Checkpoints, InferenceStep, Progress, TrainStep, WarmupDecay
from tfkor.training.fitting import scalar_log
from tfkor.training.flops import training_flops
from tfkor.training.jax_devices import lost_processes_told

PLAN, LOG = "plan.json", "log.jsonl"


@dataclass(frozen=True)
class Phase:
    """A part of a run: `share` of its steps on these batches. Short rows first, long ones at the end, as in BERT."""

    batches: PretrainingBatches
    share: float = 1.0
    held_out: PretrainingBatches | None = None


class Stopped(SystemExit):
    """The run was asked to end (SIGTERM, Ctrl-C), and has saved what it had."""


class Pretraining:
    """A run in a folder; the same call goes on where the last one ended, however it ended.

        run = Pretraining("runs/electra", model, optimizer, [Phase(batches)], learning_rate=5e-4, steps=10_000)
        figures = run.train()

    The folder holds plan.json (the settings, and the number of steps, once it is fitted), log.jsonl, checkpoints/ and,
    by its caller, the encoders. After SIGKILL the weights become those, bit for bit, of a run that was never killed, on
    one device.

    Args:
      model: an objective (tfkor.pretraining.objectives).
      optimizer: made with a number as its learning rate; the schedule gives each step its own.
      phases: list of Phase, their shares adding up to 1.
      learning_rate, warmup, power: the peak, the share of the steps in which the rate rises to it, and the power of
        the decay to 0, see WarmupDecay.
      steps: of the whole run; or
      hours: what the steps, evaluations and checkpoints may take; a few steps are timed first and undone.
      clip_norm, accumulation, jit_compile, strategy: see TrainStep.
      log_every, evaluate_every, save_every: in steps; 0 evaluates or saves at the end only.
      evaluation_batches: how many held-out batches an evaluation takes, or less where there is less text.
      on_evaluation: called with (step, figures, a held-out batch) for samples of predictions.
      keep, on_damage: see Checkpoints.
      tensorboard: a folder, or None.
      peak_flops: what the device can do per second, for the log's MFU; None leaves it out.
      replicas: how many devices a batch is cut over.
      settings: {name of a flag: value} of what decides the run; it goes on with the same ones only.

    Raises:
      ValueError: both or neither of steps and hours; batches that can't be cut evenly, or with longer rows than the
        encoder has positions; a plan in the folder that is another run's.
    """

    def __init__(
        self,
        folder,
        model,
        optimizer,
        phases,
        *,
        learning_rate,
        steps=None,
        hours=None,
        warmup=0.1,
        power=1.0,
        clip_norm=1.0,
        accumulation=1,
        jit_compile=None,
        strategy=None,
        log_every=50,
        evaluate_every=0,
        save_every=500,
        evaluation_batches=8,
        on_evaluation=None,
        keep=3,
        on_damage="skip",
        tensorboard=None,
        peak_flops=None,
        chief=True,
        replicas=1,
        settings=None,
    ):
        if (steps is None) == (hours is None):
            raise ValueError(f"steps is {steps} and hours {hours}; expected one of them")
        if abs(sum(phase.share for phase in phases) - 1) > 1e-6 or any(phase.share <= 0 for phase in phases):
            raise ValueError(f"the shares of the phases are {[p.share for p in phases]}; expected a sum of 1")
        check_batches(phases, accumulation, replicas)
        check_lengths(phases, model.encoders)
        self.folder, self.model, self.optimizer, self.phases = Path(folder), model, optimizer, phases
        self.learning_rate, self.warmup, self.power = learning_rate, warmup, power
        self.steps = self.steps_asked = steps
        self.hours = hours
        self.log_every, self.evaluate_every, self.save_every = log_every, evaluate_every, save_every
        self.evaluation_batches, self.on_evaluation = evaluation_batches, on_evaluation
        self.tensorboard, self.peak_flops, self.chief = tensorboard, peak_flops, chief
        self.settings = json.loads(json.dumps(settings or {}))  # as a file has them
        self.checkpoints = Checkpoints(self.folder / "checkpoints", keep, on_damage)
        idle = {id(variable) for variable in model.idle_variables()}
        self.step_fn = TrainStep(
            model,
            optimizer,
            model.objective,
            jit_compile,
            [v for v in model.trainable_variables if id(v) not in idle],
            clip_norm,
            accumulation,
            strategy,
        )
        self.health = InferenceStep(model, model.health)
        self.alarms = Alarms(phases[0].batches.tokenizer.vocab_size)
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.saved, self.figures = None, {}  # the step of the newest checkpoint, what the last step said
        self.held_out = [[] for _ in phases]  # the batches of an evaluation
        self.data = [phase.batches.state for phase in phases]  # where each goes on; batches are drawn ahead of that
        self.asked_to_stop = None

    # === The run ===

    def train(self):
        """Trains to the last step; returns the figures of the end.

        Raises:
          Stopped: SIGTERM or Ctrl-C came; a checkpoint was saved.
          FloatingPointError: the loss is not finite; what is saved is from before.
          OSError: a checkpoint could not be written; the message names the last whole one.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.read_plan()
        self.draw_ahead()
        self.make_plan()
        self.restore()
        schedule = WarmupDecay(self.learning_rate, int(self.warmup * self.steps), self.steps, self.power)
        log = scalar_log(self.tensorboard if self.chief else None)
        with self.stop_signals(), lost_processes_told():
            for number, end in enumerate(self.phase_ends()):
                if self.step < end:
                    self.train_phase(number, end, schedule, log)
        self.save()
        figures = self.evaluate(len(self.phases) - 1)
        return {"steps": self.step, "tokens": self.tokens, "seconds": round(self.seconds, 1), **figures}

    def train_phase(self, number, end, schedule, log):
        phase = self.phases[number]
        batches, recipe = phase.batches, phase.batches.recipe
        flops = training_flops(self.model, batches.batch_size, recipe.length, recipe.predictions)
        drawn = Prefetch(batches)
        title = f"step, {recipe.length} ids a row"
        progress = Progress(title, self.steps, "tokens", done=self.step)
        losses, since, last = [], Window(), time.monotonic()
        try:
            for batch, state in itertools.islice(drawn, end - self.step):
                rate = float(schedule(self.step))
                self.figures = figures = self.step_fn(batch, rate)
                self.step += 1
                real = int((batch["input_mask"] > 0).sum())
                self.tokens += real
                self.seconds, last = self.seconds + time.monotonic() - last, time.monotonic()
                since.add(1, real)
                losses.append(figures)  # which may not be computed yet
                progress.update(real, loss=lambda figures=figures: float(figures["loss"]))
                if self.step % self.log_every == 0 or self.step == end:
                    self.write_log(batch, figures, losses, rate, since, flops, log)
                    losses, since = losses[-1:], Window()
                self.data[number] = state
                self.save_and_evaluate(number)
        finally:
            drawn.close()
        progress.close()

    def save_and_evaluate(self, number):
        """What is due after a step: an evaluation that fails costs no step."""
        due = self.step < self.steps
        if self.asked_to_stop or (due and self.save_every and self.step % self.save_every == 0):
            self.save()
        try:
            if due and self.evaluate_every and self.step % self.evaluate_every == 0:
                self.evaluate(number)
        except Exception:
            self.save()
            raise
        if self.asked_to_stop:
            self.save()
            path = self.checkpoints.path(self.step)
            raise Stopped(f"{self.asked_to_stop}: saved {path}; the same command goes on from there")

    def write_log(self, batch, figures, losses, rate, since, flops, log):
        """One line in log.jsonl: training figures, health of the last batch, speed; alarms in words."""
        mean, seconds = sum(float(each["loss"]) for each in losses) / len(losses), since.seconds()
        self.step_fn.sync()
        line = {name: float(value) for name, value in {**self.health(batch), **figures}.items()}
        line = {"step": self.step, **line, "loss": mean, "learning_rate": rate, "tokens": self.tokens}
        line |= {"seconds": round(self.seconds, 2), "tokens_per_second": round(since.tokens / seconds, 1)}
        line["steps_per_second"] = round(since.steps / seconds, 4)
        if self.peak_flops:
            line["mfu"] = round(flops * since.steps / seconds / self.peak_flops, 4)
        alarms = self.alarms.look(self.step, line | {"loss": float(losses[-1]["loss"])})
        for words in alarms:
            print(f"\nALARM {words}", file=sys.stderr, flush=True)
        if not self.chief:
            return
        log(self.step, {name: value for name, value in line.items() if name != "step"})
        with open(self.folder / LOG, "a", encoding="utf-8") as file:
            file.write(json.dumps(line | ({"alarms": alarms} if alarms else {}), ensure_ascii=False) + "\n")

    def evaluate(self, number):
        """The figures of `health` on the held-out batches of a phase, with `held_out_` before their names."""
        batches = self.held_out[number]
        if not batches:
            return {}
        self.step_fn.sync()
        rows = [{name: float(value) for name, value in self.health(batch).items()} for batch in batches]
        figures = {f"held_out_{name}": sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        if self.chief:
            with open(self.folder / LOG, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": self.step, **figures}, ensure_ascii=False) + "\n")
            if self.on_evaluation:
                self.on_evaluation(self.step, figures, batches[0])
        return figures

    def draw_ahead(self):
        """Draws the held-out batches, and one of each phase: what can't be drawn is said before the first step."""
        for number, phase in enumerate(self.phases):
            start = dict(phase.batches.state)
            next(phase.batches)
            phase.batches.state = start
            if phase.held_out is not None:
                self.held_out[number] = held_out_batches(phase.held_out, self.evaluation_batches)
                if self.chief and (words := told_of_little_text(phase.held_out, self.held_out[number])):
                    print(words, file=sys.stderr, flush=True)

    # === The plan ===

    def phase_ends(self):
        """The step at which each phase ends."""
        shares = np.cumsum([phase.share for phase in self.phases])
        return [round(float(share) * self.steps) for share in shares[:-1]] + [self.steps]

    def asked(self):
        return {"steps": self.steps_asked, "hours": self.hours}

    def read_plan(self):
        """The folder's plan, or None; see `tfkor.pretraining.checks.read_plan`."""
        return read_plan(self.folder / PLAN, self.asked(), self.settings, bool(self.checkpoints.steps()))

    def make_plan(self):
        """Sets `steps`: the plan's, if there is one, so that a run that goes on keeps its schedule."""
        plan, timed = self.read_plan(), None
        if plan is None and self.steps is None:
            timed = [self.seconds_a_step(phase) for phase in self.phases]
            mean = sum(phase.share * seconds for phase, seconds in zip(self.phases, timed, strict=True))
            self.steps = max(len(self.phases), int(self.hours * 3600 / mean))
        if plan is None and self.chief:
            plan = {"steps": self.steps, "asked": self.asked(), "seconds_a_step": timed, "settings": self.settings}
            write_json(self.folder / PLAN, plan)
        if plan is None and timed:  # each worker has timed something else
            plan = await_plan(self.folder / PLAN, self.read_plan)
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
            figures = self.step_fn(batch, 0.0)
        float(figures["loss"])
        seconds = (time.monotonic() - begin) / steps
        self.step_fn.sync()
        self.assign(kept)
        phase.batches.state = start
        return seconds * 1.03  # for the log, evaluations and checkpoints

    # === Checkpoints ===

    def groups(self):
        model, optimizer = self.model.variables, self.optimizer.variables
        return {"model": model, "optimizer": optimizer}

    def arrays(self):
        """{group: {name: array}} of all that training changes: weights, moments, the states of random numbers."""
        self.step_fn.sync()
        return {
            group: {f"{i:04d}/{v.path}": keras.ops.convert_to_numpy(v) for i, v in enumerate(variables)}
            for group, variables in self.groups().items()
        }

    def assign(self, arrays, source="checkpoint"):
        for group, variables in self.groups().items():
            found = list(arrays[group].values())
            if [value.shape for value in found] != [tuple(v.shape) for v in variables]:
                raise ValueError(
                    f"{source}: its {len(found)} arrays of the {group} are not those of this run, {len(variables)}; "
                    "expected the same flags as the run was begun with"
                )
            for variable, value in zip(variables, found, strict=True):
                variable.assign(value)

    def save(self):
        """Writes a checkpoint of this step, if it has none yet.

        Raises:
          FloatingPointError: the last step or the weights are not finite: the checkpoints from before stay.
        """
        if self.saved == self.step:
            return
        arrays = self.arrays()
        check_finite(self.step, self.figures)
        check_finite(self.step, {f"weight {name}": value for name, value in arrays["model"].items()})
        if self.chief:
            state = {"data": self.data, "tokens": self.tokens, "seconds": self.seconds}
            self.checkpoints.save(self.step, arrays, state)
        self.saved = self.step

    def restore(self):
        """Goes on from the newest whole checkpoint, if there is one; forgets what the log says of later steps."""
        found = self.checkpoints.latest()
        if found is not None:
            self.step, arrays, state = found
            self.saved = self.step
            self.assign(arrays, self.checkpoints.path(self.step))
            self.tokens, self.seconds = state["tokens"], state["seconds"]
            self.data = state["data"]
            if len(self.data) != len(self.phases):
                raise ValueError(
                    f"{self.checkpoints.path(self.step)}: a run with {len(self.data)} lengths of rows, found "
                    f"{len(self.phases)}; expected the same --long_length as the run was begun with"
                )
            for phase, data in zip(self.phases, self.data, strict=True):
                phase.batches.state = data
        if self.chief and (path := self.folder / LOG).is_file():
            lines = [line for line in path.read_text(encoding="utf-8").splitlines() if is_before(line, self.step)]
            with new_file(path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    @contextlib.contextmanager
    def stop_signals(self):
        """SIGTERM and Ctrl-C end the run after the step, with a checkpoint; a second Ctrl-C ends it at once."""

        def ask(number, frame):
            if self.asked_to_stop and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.asked_to_stop = signal.Signals(number).name

        try:
            before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not in the main thread
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Window:
    """Counts steps and real tokens since it was made."""

    def __init__(self):
        self.start, self.steps, self.tokens = time.monotonic(), 0, 0

    def add(self, steps, tokens):
        self.steps += steps
        self.tokens += tokens

    def seconds(self):
        return max(time.monotonic() - self.start, 1e-9)


def is_before(line, step):
    """Whether a line of the log is whole and not of a later step."""
    try:
        return json.loads(line)["step"] <= step
    except (ValueError, KeyError):  # half a line, of a run that was killed
        return False
