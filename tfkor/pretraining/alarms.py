"""Alarms: warnings about a pretraining that goes wrong without an error. An objective names the metrics to watch."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Flat:
    """Alarm: a cross entropy over the vocabulary has stopped falling, at the level of a model that has learned little
    more than token frequencies."""

    metric: str

    def look(self, values: list[float], vocab_size: int, patience: int) -> tuple[bool, str]:
        """(whether to raise the alarm, its message); `values` are the metric in the last 2 * patience log lines."""
        if len(values) < 2 * patience:
            return False, ""
        before, after = (sum(half) / patience for half in (values[:patience], values[patience:]))
        stuck = after > before - 0.005 and after > 0.6 * np.log(vocab_size)
        return stuck, (
            f"{self.metric} is flat at {after:.3f} nats over {2 * patience} log lines ({before:.3f} before); it should "
            "fall. Try another learning rate or a longer warmup, and check the text"
        )


@dataclass(frozen=True)
class Low:
    """Alarm: a metric stays below `floor`. `meaning` is what that means, `advice` one of the things to try."""

    metric: str
    floor: float
    meaning: str
    advice: str

    def look(self, values: list[float], vocab_size: int, patience: int) -> tuple[bool, str]:
        """See Flat."""
        last = values[-patience:]
        low = len(last) == patience and max(last) < self.floor
        return low, (
            f"{self.meaning} for {patience} log lines ({self.metric} {last[-1]:.4f}). If this continues, lower the "
            f"learning rate, or {self.advice}"
        )


class Alarms:
    """Checks the metrics of each log line. An alarm is raised once, and again only after its metric has recovered.

    Args:
      alarms: those of an objective, Flat or Low.
      vocab_size: for the loss of a model that has learned nothing.
      patience: the number of log lines in a row after which a metric counts as flat or low.
    """

    def __init__(self, alarms, vocab_size: int, patience: int = 20):
        self.alarms, self.vocab_size, self.patience = alarms, vocab_size, patience
        self.values, self.raised = {alarm: [] for alarm in alarms}, set()

    def look(self, step: int, metrics: dict) -> list[str]:
        """Returns the messages of the alarms that are raised now.

        Raises:
          FloatingPointError: a loss is not finite.
        """
        check_finite(step, metrics)
        found = []
        for alarm in self.alarms:
            self.values[alarm] = [*self.values[alarm], metrics[alarm.metric]][-2 * self.patience :]
            wrong, message = alarm.look(self.values[alarm], self.vocab_size, self.patience)
            if wrong and alarm not in self.raised:
                found.append(f"step {step}: {message}")
            self.raised = self.raised | {alarm} if wrong else self.raised - {alarm}
        return found


def check_finite(step: int, metrics: dict):
    """Checks the losses and weights among the metrics, which are numbers or arrays.


    Raises:
      FloatingPointError: one is not finite.
    """
    for name, value in metrics.items():
        if any(word in name for word in ("loss", "weight ")) and not np.isfinite(value).all():
            found = f"is {float(value)}" if np.ndim(value) == 0 else "holds nan or inf"
            raise FloatingPointError(
                f"step {step}: {name} {found}; expected a finite number. Lower the learning rate, lengthen the warmup, "
                "or train in float32; the last checkpoint is from an earlier step"
            )
