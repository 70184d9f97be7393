"""Compiled steps of training and inference, on top of step_tensorflow or step_jax.

XLA compiles a function once for each shape of its batch, so batches should have few different shapes. Plain TensorFlow
graphs, which run on the CPU, are traced once for all shapes.
"""

import contextlib

import keras
import numpy as np
from keras import ops

from tfkor.training.compilation import LEARNING_RATE, compiles_each_shape


def backend_module():
    """tfkor.training.step_jax or step_tensorflow; each has `compile_training(step, jit_compile)` and
    `compile_inference(model, fn)`."""
    if keras.backend.backend() == "jax":
        from tfkor.training import step_jax

        return step_jax
    from tfkor.training import step_tensorflow

    return step_tensorflow


class TrainStep:
    """`step(batch)` updates the model and returns a dict of scalars, `loss` among them.

    `loss_fn(batch) -> (loss, metrics)` is written in keras.ops and calls `model` with `training=True`; `batch` is a
    dict of NumPy arrays. The scalars stay on the device until they are read, so the next steps can be queued. On JAX
    the compiled step holds the values of the variables: `sync()` writes them back into the model and the optimizer.

        step = TrainStep(model, optimizer, model.objective, clip_norm=1.0)
        metrics = step(batch)
        print(float(metrics["loss"]))

    Args:
      jit_compile: None means XLA on GPU and TPU, and plain graphs on the CPU, where a short training does not make up
        for the time that XLA needs to compile. JAX always compiles.
      variables: the variables to train; None trains all trainable ones. Leave out those that the loss does not depend
        on, since weight decay would shrink them.
      clip_norm: gradients of a larger global norm are scaled down to it; the metrics then have `gradient_norm`.
      gradient_accumulation_steps: the number of micro-batches that a batch is split into, to save memory; their
        gradients are summed.
      strategy: a tf.distribute.Strategy, in whose scope model and optimizer were made. Each replica gets a part of the
        batch.
      static_shapes: trace TensorFlow's graph for each shape of a batch, so that it knows the shape, as JAX always does.

    With `gradient_accumulation_steps` or `strategy` the loss of a batch must be the sum of the losses of its parts, and
    so must the metrics: weights that sum to 1 over the batch do that.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss_fn,
        jit_compile: bool | None = None,
        variables=None,
        clip_norm: float | None = None,
        gradient_accumulation_steps: int = 1,
        strategy=None,
        static_shapes: bool = False,
    ):
        self.model, self.optimizer, self.loss_fn = model, optimizer, loss_fn
        self.clip_norm, self.gradient_accumulation_steps = clip_norm, gradient_accumulation_steps
        self.strategy, self.static_shapes = strategy, static_shapes
        self.trained = list(model.trainable_variables if variables is None else variables)
        with strategy.scope() if strategy else contextlib.nullcontext():
            optimizer.build(self.trained)
        self.compiled = backend_module().compile_training(self, compiles_each_shape(jit_compile))

    def __call__(self, batch: dict, learning_rate: float | None = None) -> dict:
        """Trains on `batch`; a `learning_rate` replaces the optimizer's, which must be a number and no schedule."""
        if learning_rate is not None:
            batch = {**batch, LEARNING_RATE: np.float32(learning_rate)}
        return self.compiled(batch)

    def sync(self):
        """Waits for other workers, and updates the variables of model and optimizer."""
        self.compiled.sync()

    def variables(self) -> tuple[list, list, list]:
        """(trained variables, other variables of the model, variables of the optimizer)."""
        trained = {id(variable) for variable in self.trained}
        others = [variable for variable in self.model.variables if id(variable) not in trained]
        return self.trained, others, self.optimizer.variables

    @contextlib.contextmanager
    def averaged_weights(self):
        """Within this context the model has the moving average of its weights, if the optimizer keeps one."""
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)  # of a LossScaleOptimizer
        if not optimizer.use_ema:
            yield
            return
        self.sync()
        latest = [keras.ops.copy(variable.value) for variable in self.trained]
        optimizer.finalize_variable_values(self.trained)
        try:
            yield
        finally:
            for variable, value in zip(self.trained, latest, strict=True):
                variable.assign(value)

    def clipped(self, gradients, scale=1.0):
        """Returns the gradients, clipped to `clip_norm` and then times `scale`, and {"gradient_norm": their norm}."""
        metrics = {}
        if self.clip_norm is not None:
            norm = ops.sqrt(sum(ops.sum(ops.square(ops.cast(gradient, "float32"))) for gradient in gradients))
            scale = scale * self.clip_norm / ops.maximum(norm, self.clip_norm)
            metrics = {"gradient_norm": norm}
        return [gradient * ops.cast(scale, gradient.dtype) for gradient in gradients], metrics


class InferenceStep:
    """`step(batch)` is `fn(batch)` compiled, for a `fn` that reads the variables of `model` and changes none."""

    def __init__(self, model: keras.Model, fn):
        self.compiled = backend_module().compile_inference(model, fn)

    def __call__(self, batch: dict):
        return self.compiled(batch)
