"""Configs whose fields say what they mean, what they may be, and whether they may change when a run is resumed."""

import dataclasses
import json
import math
import typing
from dataclasses import dataclass


class ConfigError(ValueError):
    """A field of a config can't have its value: the message names the field, what was found, what was expected."""


def option(default, help, *, lower=None, upper=None, choices=None, may_change=False, of_rows=False):
    """A field of an Options.

    Args:
      help: a sentence for the users of a program.
      lower, upper: the least and the largest number that it may be.
      choices: what it may be, for a str.
      may_change: whether a run may be resumed with another value.
      of_rows: whether it says how rows are made, and means nothing where they were made before (TFRecords).
    """
    metadata = dict(help=help, lower=lower, upper=upper, choices=choices, may_change=may_change, of_rows=of_rows)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of configs whose fields are made by `option`; one checks itself when it is made.

    Raises:
      ConfigError: a field that has another type, or is out of its bounds.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = checked(field, kind_of(type(self), field.name), getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        self.check()

    def check(self):
        """Looks at fields that depend on each other; raises ConfigError."""

    def fixed(self) -> dict:
        """{field: value as JSON has it} of all that a run is resumed with as it was begun."""
        fields = [field.name for field in dataclasses.fields(self) if not field.metadata["may_change"]]
        return json.loads(json.dumps({name: getattr(self, name) for name in fields}))


def kind_of(config_class: type, name: str):
    """(the type of a field, whether it may be None); a tuple of str is `tuple`."""
    hint = typing.get_type_hints(config_class)[name]
    parts = [part for part in typing.get_args(hint) if part is not type(None)]
    optional = type(None) in typing.get_args(hint)
    kind = parts[0] if optional else hint
    return typing.get_origin(kind) or kind, optional


def checked(field, kind, value):
    """A value as the field has it, an int as a float where it is one, a list as a tuple."""
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
    """How a run trains, logs, evaluates and saves, whatever its model and its data are.

        TrainingConfig(steps=10_000, learning_rate=5e-4, eval_every=500)

    Exactly one of `steps` and `train_hours` is not None. With `train_hours` some steps are timed first and undone, and
    the number of steps that fit is kept in the run's plan.json.

    Raises:
      ConfigError: names the field, what was found, what was expected.
    """

    steps: int | None = option(None, "Training steps.", lower=1)
    train_hours: float | None = option(
        None, "Time to train instead: the number of steps is fitted to it, and kept.", lower=0.001
    )
    learning_rate: float = option(5e-4, "Highest learning rate.", lower=0.0)
    schedule: str = option(
        "linear", "Decay in a line, to a peak in the middle, or as a power.", choices=("linear", "triangular", "poly")
    )
    warmup: float = option(
        0.1, "Fraction of the steps in which the learning rate rises; triangular has 0.5.", lower=0.0, upper=1.0
    )
    power: float = option(2.0, "Of the schedule poly.", lower=0.0)
    clip_norm: float = option(1.0, "Largest norm of the gradient.", lower=1e-6)
    gradient_accumulation_steps: int = option(
        1, "A batch is worked through in so many micro-batches: less memory.", lower=1, may_change=True
    )
    jit_compile: bool | None = option(None, "XLA on TensorFlow; auto: on GPU and TPU.", may_change=True)
    log_every: int = option(50, "Steps between lines of log.jsonl.", lower=1, may_change=True)
    eval_every: int = option(
        1000, "Steps between evaluations; 0: at the end only.", lower=0, may_change=True, of_rows=True
    )
    eval_batches: int = option(
        8, "Held-out batches of an evaluation, or as many as there are.", lower=1, may_change=True, of_rows=True
    )
    save_every: int = option(500, "Steps between checkpoints; 0: at the end only.", lower=0, may_change=True)
    keep: int = option(3, "Checkpoints to keep.", lower=1, may_change=True)
    on_damage: str = option(
        "skip", "What to do with a damaged checkpoint.", choices=("skip", "stop"), may_change=True
    )
    tensorboard_dir: str | None = option(None, "Folder for TensorBoard.", may_change=True)

    def check(self):
        if (self.steps is None) == (self.train_hours is None):
            raise ConfigError(f"steps is {self.steps} and train_hours is {self.train_hours}; expected one of them")
        if self.schedule == "poly" and self.power <= 0:
            raise ConfigError(f"power is {self.power}; expected more than 0")

    def schedule_of(self, steps: int):
        """The learning rate of each step of a run of so many, a WarmupDecay."""
        from tfkor.training.optimizers import WarmupDecay

        warmup = 0.5 if self.schedule == "triangular" else self.warmup
        power = self.power if self.schedule == "poly" else 1.0
        return WarmupDecay(self.learning_rate, int(warmup * steps), steps, power)
