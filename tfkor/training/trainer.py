"""The training loop of pretraining and fine-tuning."""

import contextlib
import itertools
import signal

from tfkor.training.callbacks import call


class Trainer:
    """The training loop; Pretraining and the fine-tuning loop define what `log`, `save` and `evaluate` do, and when.

    Args:
      step_fn: a TrainStep.
      callbacks: see tfkor.training.callbacks.

    Attributes:
      step: the number of steps done. steps: the number of steps of the run, or None.
      metrics: the metrics of the last step, scalars on the device.
      log_every, save_every, eval_every: intervals in steps; 0 means never.
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
            self.metrics = self.step_fn(batch, self.learning_rate())  # runs on the device in the background
            self.step += 1
            is_last = self.step == self.steps  # after the last step the caller saves and evaluates
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

    # === What subclasses define ===

    def learning_rate(self):
        """The learning rate of the next step; None leaves it to the optimizer's schedule."""
        return None

    def count(self, batch):
        """Called after each step, to count examples and show progress."""

    def log(self, batch):
        """Logs the metrics; `batch` is the batch of the last step."""

    def save(self):
        """Saves a checkpoint."""

    def evaluate(self):
        """Computes the metrics on held-out data."""

    def stop(self):
        """Raises the exception that ends the training after `stop_signal`."""

    @contextlib.contextmanager
    def listening(self):
        """Inside, SIGTERM and Ctrl-C set `stop_signal`, to end after the current step; a second Ctrl-C ends at once."""

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
