"""The loop of every training."""

import contextlib
import itertools
import signal

from tfkor.training.callbacks import call


class Trainer:
    """Base of Pretraining and of the epochs of a fine-tuning: they say what `log`, `save` and `evaluate` do, and when.

    Args:
      step_fn: a TrainStep.
      callbacks: see tfkor.training.callbacks.

    Attributes:
      step: how many steps were done. steps: how many there will be, or None.
      metrics: those of the last step, scalars on the device.
      log_every, save_every, eval_every: in steps; 0 never.
      stop_signal: the name of the signal that asked the training to end, or None.
    """

    steps = None
    log_every = save_every = eval_every = 0

    def __init__(self, step_fn, callbacks=()):
        self.step_fn, self.callbacks = step_fn, list(callbacks)
        self.step, self.metrics, self.stop_signal = 0, {}, None

    def train_on(self, batches, end: int | None = None):
        """Trains on batches until there are none left, or up to the step `end`."""
        for batch in batches if end is None else itertools.islice(batches, end - self.step):
            self.metrics = self.step_fn(batch, self.learning_rate())  # the device computes while this goes on
            self.step += 1
            is_last = self.step == self.steps  # the caller saves and evaluates the end
            self.count(batch)
            call(self.callbacks, "on_step_end", self.step, self.metrics)
            if self.is_due(self.log_every) or self.step == end:
                self.log(batch)
            if self.stop_signal or (self.is_due(self.save_every) and not is_last):
                self.save()
            if self.is_due(self.eval_every) and not is_last:
                self.evaluate()
            if self.stop_signal:
                self.stop()

    def is_due(self, every: int) -> bool:
        return bool(every) and self.step % every == 0

    # === What a training makes of it ===

    def learning_rate(self):
        """Of the step to come; None leaves it to the optimizer's schedule."""
        return None

    def count(self, batch):
        """Called after each step, to count and to show the progress."""

    def log(self, batch):
        """Says how the training does; `batch` is that of the last step."""

    def save(self):
        """Keeps what is needed to go on from here."""

    def evaluate(self):
        """Computes the metrics of data that are not trained on."""

    def stop(self):
        """Ends the training because of `stop_signal`, by an exception."""

    @contextlib.contextmanager
    def listening(self):
        """Inside, SIGTERM and Ctrl-C set `stop_signal`, so that the step is ended; a second Ctrl-C ends all at once."""

        def ask(number, frame):
            if self.stop_signal and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.stop_signal = signal.Signals(number).name

        try:
            before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not in the main thread
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
