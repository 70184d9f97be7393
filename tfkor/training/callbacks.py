"""Callbacks: objects whose methods a training calls at its events.

A callback may have any of these methods; none is required:

  on_step_end(step, metrics)              after each training step, counted from 1. The metrics are scalars on the
                                          device: float(metrics["loss"]) waits for them, and slows the training down
  on_log(step, metrics)                   pretraining: after each log line; metrics: a dict of numbers
  on_evaluation(step, metrics, batch)     pretraining: after each evaluation; `batch` is one of the held-out batches
  on_epoch_end(epoch, metrics)            fine-tuning: after each epoch, counted from 1, and its evaluation. The model
                                          still has the weights that were evaluated
  on_train_end(metrics)                   at the end: the metrics of the last evaluation in pretraining, of the best
                                          epoch in fine-tuning, whose weights the model then has

An exception that a callback raises ends the training; pretraining saves a checkpoint before, if it came from
`on_evaluation`.

    class StopAtNaN:
        def on_epoch_end(self, epoch, metrics):
            if math.isnan(metrics["f1"]):
                raise KeyboardInterrupt  # fine-tuning then ends, and keeps the best weights so far

    task.fit(train, validation, callbacks=[StopAtNaN(), TensorBoard("runs/board")])
"""

import time
from collections.abc import Iterable
from pathlib import Path


def call(callbacks: Iterable, method: str, *arguments):
    """Calls a method of those callbacks that have it."""
    for callback in callbacks:
        if (function := getattr(callback, method, None)) is not None:
            function(*arguments)


class TensorBoard:
    """Writes the metrics of each epoch, or of each log line in pretraining, for TensorBoard.

    Args:
      log_dir: a folder, which is created if it does not exist.

    Raises:
      ModuleNotFoundError: TensorBoard is not installed.
    """

    def __init__(self, log_dir: str | Path):
        try:
            from tensorboard.compat.proto.event_pb2 import Event
            from tensorboard.compat.proto.summary_pb2 import Summary
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f"log_dir={log_dir} needs TensorBoard: pip install tensorboard") from error
        self.event, self.summary, self.writer = Event, Summary, EventFileWriter(str(log_dir))

    def write(self, step: int, metrics: dict):
        values = [self.summary.Value(tag=name, simple_value=float(value)) for name, value in metrics.items()]
        self.writer.add_event(self.event(wall_time=time.time(), step=step, summary=self.summary(value=values)))
        self.writer.flush()

    on_epoch_end = on_log = write
