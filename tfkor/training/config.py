"""Configs whose fields carry a help text, their bounds, and whether they may change when a run is resumed."""

import dataclasses
import json
import math
import typing
from dataclasses import dataclass


class ConfigError(ValueError):
    """A field of a config has a wrong value; the message names the field, what was found and what was expected."""


def option(
    default, help: str, *, lower=None, upper=None, choices=None, may_change: bool = False, of_rows: bool = False
):
    """A dataclass field of a subclass of Options.

    Args:
      help: the help text of its flag.
      lower, upper: its bounds, for a number, both allowed.
      choices: its possible values, for a str.
      may_change: whether a run may be resumed with another value.
      of_rows: whether it decides how rows are made; it then has no effect on TFRecords, whose rows are fixed.
    """
    metadata = dict(help=help, lower=lower, upper=upper, choices=choices, may_change=may_change, of_rows=of_rows)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of configs whose fields are made by `option`; a config validates itself when it is made.

    Raises:
      ConfigError: a field has the wrong type, or is out of its bounds.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = checked(field, kind_of(type(self), field.name), getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        self.check()

    def check(self):
        """Validates fields that depend on each other; raises ConfigError."""

    def fixed(self) -> dict:
        """{field: value as JSON has it} of the fields that may not change when a run is resumed."""
        fields = [field.name for field in dataclasses.fields(self) if not field.metadata["may_change"]]
        return json.loads(json.dumps({name: getattr(self, name) for name in fields}))


def kind_of(config_class: type, name: str):
    """(type of a field, whether it may be None); for a tuple of str the type is `tuple`."""
    hint = typing.get_type_hints(config_class)[name]
    parts = [part for part in typing.get_args(hint) if part is not type(None)]
    optional = type(None) in typing.get_args(hint)
    kind = parts[0] if optional else hint
    return typing.get_origin(kind) or kind, optional


def checked(field, kind, value):
    """The value, converted to the type of the field: an int to a float, a list to a tuple."""
    (kind, optional), limits = kind, field.metadata
    if value is None and optional:
        return None
    names = {int: "a whole number", float: "a number", str: "a str", bool: "True or False", tuple: "a list of str"}
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is float and is_number:
        value = float(value)
    if kind is tuple and isinstance(value, list):
        value = tuple(value)
    right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not right or (kind is tuple and not all(isinstance(each, str) for each in value)):
        raise ConfigError(f"{field.name} is {value!r}; expected {names[kind]}{' or None' if optional else ''}")
    lower, upper, choices = limits["lower"], limits["upper"], limits["choices"]
    if kind is float and not math.isfinite(value):
        raise ConfigError(f"{field.name} is {value}; expected a finite number")
    if (lower is not None and value < lower) or (upper is not None and value > upper):
        expected = f"{lower} to {upper}" if upper is not None else f"{lower} or more"
        raise ConfigError(f"{field.name} is {value}; expected {expected}")
    if choices and value not in choices:
        raise ConfigError(f"{field.name} is {value!r}; expected one of {', '.join(choices)}")
    return value


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Options):
    """How a run trains, logs, evaluates and saves, for any model and any data.

        TrainingConfig(steps=10_000, learning_rate=5e-4, eval_every=500)

    Exactly one of `steps` and `train_hours` is given. With `train_hours`, a few steps are timed and undone first; the
    number of steps that fit into the time is kept in the run's plan.json.

    Raises:
      ConfigError: a field has a wrong value.
    """

    steps: int | None = option(None, "Number of training steps.", lower=1)
    train_hours: float | None = option(
        None, "Hours to train, instead of steps; the number of steps that fit is measured at the start.", lower=0.001
    )
    learning_rate: float = option(5e-4, "Peak learning rate.", lower=0.0)
    schedule: str = option(
        "linear",
        "Learning rate: linear decay, a peak in the middle of the run, or polynomial decay.",
        choices=("linear", "triangular", "poly"),
    )
    warmup: float = option(
        0.1, "Fraction of the steps before the peak of the learning rate; triangular has 0.5.", lower=0.0, upper=1.0
    )
    power: float = option(2.0, "Exponent of the schedule poly.", lower=0.0)
    clip_norm: float = option(1.0, "Largest global norm of the gradients, to which they are clipped.", lower=1e-6)
    gradient_accumulation_steps: int = option(
        1, "Number of micro-batches that a batch is split into, to save memory.", lower=1, may_change=True
    )
    jit_compile: bool | None = option(None, "Compile with XLA on TensorFlow; auto: on GPU and TPU.", may_change=True)
    log_every: int = option(50, "Steps between log lines.", lower=1, may_change=True)
    eval_every: int = option(
        1000, "Steps between evaluations on held-out data; 0: only at the end.", lower=0, may_change=True, of_rows=True
    )
    eval_batches: int = option(
        8, "Largest number of held-out batches of an evaluation.", lower=1, may_change=True, of_rows=True
    )
    save_every: int = option(500, "Steps between checkpoints; 0: only at the end.", lower=0, may_change=True)
    keep: int = option(3, "Number of checkpoints to keep, the newest ones.", lower=1, may_change=True)
    on_damage: str = option(
        "skip", "When resuming: skip a damaged checkpoint, or stop.", choices=("skip", "stop"), may_change=True
    )
    tensorboard_dir: str | None = option(None, "Folder to write TensorBoard logs to.", may_change=True)

    def check(self):
        if (self.steps is None) == (self.train_hours is None):
            raise ConfigError(f"steps is {self.steps} and train_hours is {self.train_hours}; expected one of them")
        if self.schedule == "poly" and self.power <= 0:
            raise ConfigError(f"power is {self.power}; expected more than 0")

    def schedule_of(self, steps: int):
        """The learning rate schedule of a run of this many steps, a WarmupDecay."""
        from tfkor.training.optimizers import WarmupDecay

        warmup = 0.5 if self.schedule == "triangular" else self.warmup
        power = self.power if self.schedule == "poly" else 1.0
        return WarmupDecay(self.learning_rate, int(warmup * steps), steps, power)
