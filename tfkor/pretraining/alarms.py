"""What can go wrong in a pretraining without an error, said in words. An objective says which metrics to look at."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Flat:
    """Alarm: a cross entropy over the vocabulary is no lower than it was, and still that of something that knows
    little more than frequencies."""

    metric: str

    def look(self, values, vocab_size, patience):
        """Whether it is so, and the words for it; `values` are those of the last 2 * patience log lines."""
        if len(values) < 2 * patience:
            return False, ""
        before, after = (sum(half) / patience for half in (values[:patience], values[patience:]))
        stuck = after > before - 0.005 and after > 0.6 * np.log(vocab_size)
        return stuck, (
            f"{self.metric} is flat at {after:.3f} nats over {2 * patience} log lines ({before:.3f} before); it should "
            "fall. Try another learning rate, a longer warm-up, and look at the text"
        )


@dataclass(frozen=True)
class Low:
    """Alarm: a metric stays below `floor`, which is what `meaning` says; `advice` is one of the things to try."""

    metric: str
    floor: float
    meaning: str
    advice: str

    def look(self, values, vocab_size, patience):
        """See Flat."""
        last = values[-patience:]
        low = len(last) == patience and max(last) < self.floor
        return low, (
            f"{self.meaning} for {patience} log lines ({self.metric} {last[-1]:.4f}). If it goes on, lower the "
            f"learning rate, or {self.advice}"
        )


class Alarms:
    """Looks at the metrics of each log line, and returns what is wrong with them, once until it is well again.

    Args:
      alarms: of an objective: Flat, Low.
      vocab_size: the loss of a model that learned nothing follows from it.
      patience: log lines in a row before a metric counts as flat or low.
    """

    def __init__(self, alarms, vocab_size: int, patience: int = 20):
        self.alarms, self.vocab_size, self.patience = alarms, vocab_size, patience
        self.values, self.raised = {alarm: [] for alarm in alarms}, set()

    def look(self, step: int, metrics: dict) -> list[str]:
        """Returns what is wrong, in words.

        Raises:
          FloatingPointError: the loss is not a finite number; training on would only spoil the weights.
        """
        check_finite(step, metrics)
        found = []
        for alarm in self.alarms:
            self.values[alarm] = [*self.values[alarm], metrics[alarm.metric]][-2 * self.patience :]
            wrong, words = alarm.look(self.values[alarm], self.vocab_size, self.patience)
            if wrong and alarm not in self.raised:
                found.append(f"step {step}: {words}")
            self.raised = self.raised | {alarm} if wrong else self.raised - {alarm}
        return found


def check_finite(step, metrics):
    """Looks at the losses and weights among the metrics, numbers or arrays.

    Raises:
      FloatingPointError: one is not finite.
    """
    for name, value in metrics.items():
        if any(word in name for word in ("loss", "weight ")) and not np.isfinite(value).all():
            found = f"is {float(value)}" if np.ndim(value) == 0 else "holds nan or inf"
            raise FloatingPointError(
                f"step {step}: {name} {found}; expected a finite number. Lower the learning rate, lengthen the warmup, "
                "or train in float32; the last checkpoint is from before"
            )
