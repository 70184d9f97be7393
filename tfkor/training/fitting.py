"""The epochs of a fine-tuning: train, evaluate, keep the best weights, stop early."""

import math
import time

from tfkor.training.optimizers import build_optimizer, layer_rates
from tfkor.training.progress import Progress
from tfkor.training.step import TrainStep


def fine_tune(
    model,
    encoder,
    loss,
    batches,
    *,
    idle=(),
    epochs=3,
    learning_rate=5e-5,
    warmup=0.1,
    weight_decay=0.01,
    clip_norm=1.0,
    ema=0.0,
    layer_decay=1.0,
    unfreeze_epochs=0.0,
    jit_compile=None,
    **options,
):
    """Trains a model, an encoder with a head on it; returns the figures of each epoch.

    Args:
      loss, batches: see TrainStep and fit_epochs.
      idle: variables that the loss does not depend on.
      learning_rate, warmup, weight_decay, clip_norm, ema: see build_optimizer.
      layer_decay, unfreeze_epochs: the learning rate from a layer to the one below, and after how many epochs one more
        layer is trained, from the last one down; see layer_rates.
      jit_compile: see TrainStep.
      options: of fit_epochs: evaluate, monitor, patience, on_best, log_dir, views.
    """
    rates = None
    if layer_decay != 1 or unfreeze_epochs:
        rates = layer_rates(encoder, layer_decay, round(unfreeze_epochs * len(batches)))
    policy = encoder.dtype_policy.name
    optimizer = build_optimizer(
        learning_rate, len(batches) * epochs, warmup, weight_decay, clip_norm, ema, policy, rates
    )
    idle = {id(variable) for variable in idle}
    trained = [variable for variable in model.trainable_variables if id(variable) not in idle]
    return fit_epochs(TrainStep(model, optimizer, loss, jit_compile, trained), batches, epochs, **options)


def fit_epochs(
    step, batches, epochs, evaluate=None, monitor="accuracy", patience=None, on_best=None, log_dir=None, views=1,
    callbacks=(),
):  # fmt: skip
    """Trains for up to `epochs` and leaves the weights of the best one in the model, averaged if the optimizer does.

    Args:
      step: a TrainStep.
      batches: tfkor.data.Batches; `batches.epoch(i)` gives the same batches for the same i.
      evaluate: `() -> dict of figures`, called after each epoch; without it the last weights count as the best.
      monitor: the figure that says which epoch is best; the larger the better, and NaN is the worst.
      patience: stop after so many epochs without a better one; None never stops early.
      on_best: called after each better epoch, to save what is there.
      log_dir: a folder for TensorBoard.
      views: how often a batch holds each of its rows; examples/s counts a row once.
      callbacks: objects with on_epoch_end(epoch, metrics), called after each epoch and its evaluation.

    Ctrl-C ends the training, it isn't raised: the best weights so far stay in the model.

    Returns:
      A list with a dict for each whole epoch: epoch, loss, seconds, examples_per_second and the figures of `evaluate`.

    Raises:
      FloatingPointError: the loss of an epoch is not a finite number.
    """
    history, best, best_weights = [], None, None
    log = scalar_log(log_dir)
    try:
        for epoch in range(epochs):
            figures = run_epoch(step, batches, epoch, epochs, views)
            step.sync()
            with step.averaged_weights():
                figures |= evaluate() if evaluate else {}
                history.append(figures)
                log(epoch + 1, figures)
                if best is None or not evaluate or is_better(figures[monitor], history[best][monitor]):
                    best, best_weights = epoch, step.model.get_weights()
                    if on_best:
                        on_best()
                for callback in callbacks:
                    if hasattr(callback, "on_epoch_end"):
                        callback.on_epoch_end(epoch + 1, figures)
            if patience is not None and epoch - best >= patience:
                break
    except KeyboardInterrupt:
        step.sync()
    if best_weights is not None:
        step.model.set_weights(best_weights)
    return history


def is_better(figure, best):
    """Whether a figure is larger; any is better than NaN, a correlation of equal predictions for example."""
    return figure > best or (math.isnan(best) and not math.isnan(figure))


def run_epoch(step, batches, epoch, epochs, views=1):
    """One epoch of training steps with progress; returns its epoch, loss, seconds and examples_per_second."""
    drawn = batches.epoch(epoch)  # first, as it may change their number
    progress = Progress(f"epoch {epoch + 1}/{epochs}", len(batches))
    losses, recent = [], 20
    for batch in drawn:
        losses.append(step(batch)["loss"])
        rows = int((batch["sample_weight"] > 0).sum()) // views
        progress.update(rows, loss=lambda: mean(losses[-recent:]))
    loss = mean(losses)
    progress.close(loss=loss)
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss of epoch {epoch + 1} is {loss}; expected a finite number: lower the learning rate, "
            "or train in float32"
        )
    rate = progress.units / progress.seconds
    return {"epoch": epoch + 1, "loss": loss, "seconds": progress.seconds, "examples_per_second": rate}


def mean(values):
    """The mean of scalars that may still be on the device."""
    return sum(float(value) for value in values) / max(len(values), 1)


def scalar_log(log_dir):
    """Returns `log(step, figures)`, which writes numbers for TensorBoard, or does nothing if `log_dir` is None.

    Raises:
      ModuleNotFoundError: TensorBoard is not installed.
    """
    if log_dir is None:
        return lambda step, figures: None
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"log_dir={log_dir} needs TensorBoard: pip install tensorboard") from error
    writer = EventFileWriter(str(log_dir))

    def log(step, figures):
        values = [Summary.Value(tag=name, simple_value=float(value)) for name, value in figures.items()]
        writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
        writer.flush()

    return log
