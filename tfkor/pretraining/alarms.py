"""What can go wrong in a pretraining without an error, said in words."""

import numpy as np


class Alarms:
    """Looks at the figures of each log line, and returns what is wrong with them, once until it is well again.

    Args:
      vocab_size: what a loss that learned nothing is told by.
      patience: log lines in a row before a loss counts as flat, or a discriminator as silent.
    """

    def __init__(self, vocab_size, patience=20):
        self.vocab_size, self.patience = vocab_size, patience
        self.losses, self.silent, self.told = [], 0, set()

    def look(self, step, figures):
        """Returns a list of str.

        Raises:
          FloatingPointError: the loss is not a finite number; training on would only spoil the weights.
        """
        check_finite(step, figures)
        return [*self.flat(step, figures["mlm_loss"]), *self.all_original(step, figures.get("rtd_recall"))]

    def flat(self, step, loss):
        """The loss is no lower than it was, and still that of something that knows little more than frequencies."""
        self.losses = [*self.losses, loss][-2 * self.patience :]
        if len(self.losses) < 2 * self.patience:
            return []
        halves = self.losses[: self.patience], self.losses[self.patience :]
        before, after = (sum(half) / self.patience for half in halves)
        stuck = after > before - 0.005 and after > 0.6 * np.log(self.vocab_size)
        return self.once("flat", stuck, (
            f"step {step}: mlm_loss is flat at {after:.3f} nats over {2 * self.patience} log lines "
            f"({before:.3f} before); it should fall. Try another learning rate, a longer warm-up, and look at the text"
        ))  # fmt: skip

    def all_original(self, step, recall):
        """The discriminator finds no replaced token."""
        if recall is None:
            return []
        self.silent = self.silent + 1 if recall < 0.005 else 0
        return self.once("silent", self.silent >= self.patience, (
            f'step {step}: the discriminator has said "original" nearly everywhere for {self.silent} log lines '
            f"(recall {recall:.4f}). If it goes on, lower the learning rate, or take a larger generator"
        ))  # fmt: skip

    def once(self, kind, is_wrong, words):
        fresh = is_wrong and kind not in self.told
        self.told = self.told | {kind} if is_wrong else self.told - {kind}
        return [words] if fresh else []


def check_finite(step, figures):
    """Looks at the losses and weights among the figures, numbers or arrays.

    Raises:
      FloatingPointError: one is not finite.
    """
    for name, value in figures.items():
        if any(word in name for word in ("loss", "weight ")) and not np.isfinite(value).all():
            found = f"is {float(value)}" if np.ndim(value) == 0 else "holds nan or inf"
            raise FloatingPointError(
                f"step {step}: {name} {found}; expected a finite number. Lower --learning_rate, raise --warmup, or "
                "train in float32; the last checkpoint is from before"
            )
