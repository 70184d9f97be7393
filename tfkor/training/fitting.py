"""The epochs of a fine-tuning: train, evaluate, keep the best weights, stop early."""

import math

from tfkor.training.callbacks import TensorBoard, call
from tfkor.training.optimizers import build_optimizer, layer_rates
from tfkor.training.progress import Progress
from tfkor.training.step import TrainStep
from tfkor.training.trainer import Trainer


def fine_tune(
    model,
    encoder,
    loss,
    batches,
    *,
    idle=(),
    epochs: int = 3,
    learning_rate: float = 5e-5,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    clip_norm: float = 1.0,
    ema: float = 0.0,
    layer_decay: float = 1.0,
    unfreeze_epochs: float = 0.0,
    jit_compile: bool | None = None,
    **options,
) -> list[dict]:
    """Fine-tunes a model, an encoder with a head on it; returns the metrics of each epoch.

    Args:
      loss, batches: see TrainStep and fit_epochs.
      idle: variables that the loss does not depend on.
      learning_rate, warmup, weight_decay, clip_norm, ema: see build_optimizer.
      layer_decay: factor of the learning rate from each layer to the one below; see layer_rates.
      unfreeze_epochs: epochs after which one more layer is trained, from the last one down; see layer_rates.
      jit_compile: see TrainStep.
      options: of fit_epochs: evaluate, monitor, patience, callbacks, on_best, log_dir, views.
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
    step: TrainStep,
    batches,
    epochs: int,
    evaluate=None,
    monitor: str = "accuracy",
    patience: int | None = None,
    on_best=None,
    log_dir=None,
    views: int = 1,
    callbacks=(),
) -> list[dict]:
    """Trains for up to `epochs` epochs; at the end the model has the weights of the best one.

    If the optimizer keeps a moving average of the weights, that is what is evaluated and kept.

    Args:
      batches: tfkor.data.Batches; `batches.epoch(i)` gives the same batches for the same i.
      evaluate: `() -> dict of metrics`, called after each epoch; without it the last epoch counts as the best.
      monitor: the metric that decides which epoch is best: larger is better, and NaN is the worst.
      patience: early stopping after this many epochs without a better one; None never stops early.
      on_best: called after each epoch that is the best so far, to save the model.
      log_dir: a folder for TensorBoard; adds that callback.
      views: how often a batch contains each of its rows (2 with R-Drop); examples/s counts a row once.
      callbacks: objects with on_step_end, on_epoch_end, on_train_end; see tfkor.training.callbacks.

    Ctrl-C ends the training without an exception: the model then has the best weights so far.

    Returns:
      A dict for each completed epoch: epoch, loss, seconds, examples_per_second and the metrics of `evaluate`.

    Raises:
      FloatingPointError: the mean loss of an epoch is not finite.
    """
    callbacks = [*callbacks, *([] if log_dir is None else [TensorBoard(log_dir)])]
    trainer = Epochs(step, epochs, views, callbacks)
    history, best, best_weights = [], None, None
    try:
        for epoch in range(epochs):
            metrics = trainer.train_epoch(batches, epoch)
            with step.averaged_weights():
                metrics |= evaluate() if evaluate else {}
                history.append(metrics)
                if best is None or not evaluate or is_better(metrics[monitor], history[best][monitor]):
                    best, best_weights = epoch, step.model.get_weights()
                    if on_best:
                        on_best()
                call(callbacks, "on_epoch_end", epoch + 1, metrics)
            if patience is not None and epoch - best >= patience:
                break
    except KeyboardInterrupt:
        step.sync()
    if best_weights is not None:
        step.model.set_weights(best_weights)
    call(callbacks, "on_train_end", history[best] if history else {})
    return history


def is_better(metric: float, best: float) -> bool:
    """Whether `metric` is larger; any number is better than NaN, such as a correlation of constant predictions."""
    return metric > best or (math.isnan(best) and not math.isnan(metric))


class Epochs(Trainer):
    """The training loop of a fine-tuning; evaluation and the choice of the best epoch are left to `fit_epochs`."""

    recent = 20  # the progress shows the mean loss of this many steps

    def __init__(self, step_fn, epochs, views, callbacks):
        super().__init__(step_fn, callbacks)
        self.epochs, self.views = epochs, views
        self.losses, self.progress = [], None

    def train_epoch(self, batches, epoch):
        """Trains one epoch and shows its progress; returns its epoch, loss, seconds and examples_per_second."""
        drawn = batches.epoch(epoch)  # before len(batches), which it may change
        self.losses, self.progress = [], Progress(f"epoch {epoch + 1}/{self.epochs}", len(batches))
        self.train_on(drawn)
        loss = mean(self.losses)
        self.progress.close(loss=loss)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss of epoch {epoch + 1} is {loss}; expected a finite number: lower the learning rate, "
                "or train in float32"
            )
        seconds = self.progress.seconds
        rate = self.progress.units / seconds
        self.step_fn.sync()
        return {"epoch": epoch + 1, "loss": loss, "seconds": seconds, "examples_per_second": rate}

    def count(self, batch):
        self.losses.append(self.metrics["loss"])
        rows = int((batch["sample_weight"] > 0).sum()) // self.views
        self.progress.update(rows, loss=lambda: mean(self.losses[-self.recent :]))


def mean(values):
    """The mean of scalars that may still be on the device."""
    return sum(float(value) for value in values) / max(len(values), 1)
