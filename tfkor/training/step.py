"""One compiled step, of training or of inference, on TensorFlow or on JAX.

XLA compiles a function once for each shape of its batch, so batches of a few static shapes are what it wants. Plain
TensorFlow graphs, which the CPU runs, are traced once for all of them.
"""

import contextlib

import keras
import numpy as np
from keras import ops

from tfkor.training.jax_devices import sharded
from tfkor.training.optimizers import dense_gradients
from tfkor.training.tensorflow_devices import distributed_function

LEARNING_RATE = "learning_rate"  # beside the arrays of a batch, on its way into the compiled step


def run_on_accelerator():
    """True where the backend sees a GPU or TPU."""
    return any(keras.distribution.list_devices(kind) for kind in ("gpu", "tpu"))


def compiles_each_shape(jit_compile=None):
    """Whether a TrainStep with this `jit_compile` compiles once for each shape of its batches."""
    return keras.backend.backend() == "jax" or (run_on_accelerator() if jit_compile is None else jit_compile)


class TrainStep:
    """`step(batch)` updates the model and returns a dict of scalars, `loss` among them.

    `loss_fn(batch) -> (loss, metrics)` is written in keras.ops and calls `model` with `training=True`; `batch` is a
    dict of NumPy arrays. The scalars stay on the device until somebody reads them, so steps queue up. On JAX the
    variables live here between steps: `sync()` writes them back into the model and the optimizer.

    Args:
      jit_compile: None means XLA on GPU and TPU, and plain graphs on the CPU, where XLA's compile time isn't won back
        in a short training. JAX always compiles.
      variables: the ones to train, if not all that are trainable: those that the loss does not depend on should not be
        among them, since their weights would decay.
      clip_norm: gradients of a larger global norm are scaled down to it; the figures then have `gradient_norm`.
      accumulation: the batch is worked through in so many parts, whose gradients are added up: less memory.
      strategy: a tf.distribute.Strategy, in whose scope model and optimizer were made. Each replica gets its part.
      static_shapes: all batches have one shape, which TensorFlow's graph then knows; JAX always does.

    With `accumulation` or `strategy` the loss of a batch must be the sum of the losses of its parts, and so must the
    metrics: weights that sum to 1 over the batch do that.
    """

    def __init__(
        self,
        model,
        optimizer,
        loss_fn,
        jit_compile=None,
        variables=None,
        clip_norm=None,
        accumulation=1,
        strategy=None,
        static_shapes=False,
    ):
        self.model = model
        self.optimizer = optimizer
        self.loss_fn = loss_fn
        self.clip_norm = clip_norm
        self.accumulation = accumulation
        self.strategy = strategy
        self.static_shapes = static_shapes
        self.trained = list(model.trainable_variables if variables is None else variables)
        with strategy.scope() if strategy else contextlib.nullcontext():
            optimizer.build(self.trained)
        self.state = None
        on_jax = keras.backend.backend() == "jax"
        self.step = self.jax_step() if on_jax else self.tensorflow_step(compiles_each_shape(jit_compile))

    def __call__(self, batch, learning_rate=None):
        """Trains on `batch`; with a `learning_rate` the optimizer, made with a number as its rate, takes that one."""
        if learning_rate is not None:
            batch = {**batch, LEARNING_RATE: np.float32(learning_rate)}
        if keras.backend.backend() != "jax":
            return self.step(batch)
        if self.state is None:
            # copies: the step gives its buffers away, and the variables keep theirs until sync()
            self.state = [[keras.ops.copy(v.value) for v in group] for group in self.variables()]
        metrics, self.state = self.step(self.state, sharded(batch))
        return metrics

    def sync(self):
        """Writes what JAX has updated back into the model's and the optimizer's variables; waits for other workers."""
        if hasattr(self.step, "join"):
            self.step.join()
        if keras.backend.backend() == "jax" and self.state is not None:
            for group, values in zip(self.variables(), self.state, strict=True):
                for variable, value in zip(group, values, strict=True):
                    variable.assign(value)
            self.state = None

    @contextlib.contextmanager
    def averaged_weights(self):
        """Inside, the model has the moving averages of its weights, where the optimizer keeps them."""
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)  # of one that scales the loss
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

    def variables(self):
        trained = {id(variable) for variable in self.trained}
        others = [variable for variable in self.model.variables if id(variable) not in trained]
        return self.trained, others, self.optimizer.variables

    def clipped(self, gradients, scale=1.0):
        """Returns the gradients, clipped to `clip_norm` and then times `scale`, and their norm as a figure."""
        figures = {}
        if self.clip_norm is not None:
            norm = ops.sqrt(sum(ops.sum(ops.square(ops.cast(gradient, "float32"))) for gradient in gradients))
            scale = scale * self.clip_norm / ops.maximum(norm, self.clip_norm)
            figures = {"gradient_norm": norm}
        return [gradient * ops.cast(scale, gradient.dtype) for gradient in gradients], figures

    def tensorflow_step(self, jit_compile):
        import tensorflow as tf

        def gradients_of(batch):
            with tf.GradientTape() as tape:
                loss, metrics = self.loss_fn(batch)
                scaled = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, [v.value for v in self.trained])
            return {"loss": loss, **metrics}, dense_gradients(gradients)

        def accumulated(batch):
            if self.accumulation == 1:
                return gradients_of(batch)
            part_of = tf.function(gradients_of, autograph=False)  # traced once, called for each part
            parts = [part_of(part) for part in split_batch(batch, self.accumulation)]
            return tf.nest.map_structure(lambda *values: tf.add_n(values), *parts)

        def update(batch):
            metrics, gradients = accumulated(batch)
            context = tf.distribute.get_replica_context()
            replicas = context.num_replicas_in_sync
            if replicas > 1:
                gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
                metrics = context.all_reduce(tf.distribute.ReduceOp.SUM, metrics)
            # Keras adds the gradients of all replicas up, which has been done
            return {**metrics, **apply(gradients, 1 / replicas)}

        def apply(gradients, scale):
            gradients, figures = self.clipped(gradients, scale)
            self.optimizer.apply(gradients, self.trained)
            return figures

        if self.strategy is None:  # XLA makes one pass over each weight of what are a dozen operations
            apply = tf.function(apply, jit_compile=True, autograph=False)

        def step(batch):
            if LEARNING_RATE in batch:
                batch = dict(batch)
                self.optimizer.learning_rate.assign(batch.pop(LEARNING_RATE))
            return update(batch)

        if self.strategy is None:
            return tensorflow_function(step, jit_compile, self.static_shapes)
        return distributed_function(self.strategy, step, jit_compile)

    def jax_step(self):
        import jax

        trainable, other, optimizer_variables = self.variables()
        rate = [v is self.optimizer._learning_rate for v in optimizer_variables]

        def scaled_loss(values, other_values, optimizer_values, batch):
            mapping = [*zip(trainable, values), *zip(other, other_values), *zip(optimizer_variables, optimizer_values)]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                loss, metrics = self.loss_fn(batch)
                scaled = self.optimizer.scale_loss(loss)
            other_values = [scope.get_current_value(v) for v in other]
            return scaled, ({"loss": loss, **metrics}, other_values)

        def gradients_of(values, other_values, optimizer_values, batch):
            gradient = jax.value_and_grad(scaled_loss, has_aux=True)
            (_, (metrics, other_values)), gradients = gradient(values, other_values, optimizer_values, batch)
            return metrics, gradients, other_values

        def accumulated(values, other_values, optimizer_values, batch):
            if self.accumulation == 1:
                return gradients_of(values, other_values, optimizer_values, batch)
            parts = jax.tree.map(lambda x: x.reshape(self.accumulation, -1, *x.shape[1:]), batch)

            def body(carry, part):
                sums, other_values = carry
                *new, other_values = gradients_of(values, other_values, optimizer_values, part)
                return (jax.tree.map(jax.numpy.add, sums, new), other_values), None

            first = jax.tree.map(lambda x: x[0], parts)
            shapes = jax.eval_shape(lambda part: gradients_of(values, other_values, optimizer_values, part)[:2], first)
            zeros = jax.tree.map(lambda x: jax.numpy.zeros(x.shape, x.dtype), list(shapes))
            ((metrics, gradients), other_values), _ = jax.lax.scan(body, (zeros, other_values), parts)
            return metrics, gradients, other_values

        def step(state, batch):
            values, other_values, optimizer_values = state
            batch = dict(batch)
            if (learning_rate := batch.pop(LEARNING_RATE, None)) is not None:
                optimizer_values = [learning_rate if is_rate else v for is_rate, v in zip(rate, optimizer_values)]
            metrics, gradients, other_values = accumulated(values, other_values, optimizer_values, batch)
            gradients, figures = self.clipped(gradients)
            values, optimizer_values = self.optimizer.stateless_apply(optimizer_values, gradients, values)
            return {**metrics, **figures}, [values, other_values, optimizer_values]

        return jax.jit(step, donate_argnums=0)


def split_batch(batch, parts):
    """A dict of arrays [B, ...] -> `parts` dicts of [B / parts, ...]."""
    size = ops.shape(next(iter(batch.values())))[0] // parts
    return [{name: value[i * size : (i + 1) * size] for name, value in batch.items()} for i in range(parts)]


def tensorflow_function(fn, jit_compile, static_shapes=False):
    """A function of a dict of arrays, compiled by TensorFlow and traced once for all shapes, or once for each."""
    import tensorflow as tf

    compiled = tf.function(fn, jit_compile=jit_compile, autograph=False)  # no Python loops: faster to trace
    traced = {}

    def call(batch):
        tensors = {name: tf.convert_to_tensor(value) for name, value in batch.items()}
        shapes = {name: tuple(t.shape) if static_shapes else (None,) * t.shape.rank for name, t in tensors.items()}
        kinds = tuple((name, value.dtype, shapes[name]) for name, value in tensors.items())
        if kinds not in traced:
            specs = {name: tf.TensorSpec(shape, dtype, name) for name, dtype, shape in kinds}
            traced[kinds] = compiled.get_concrete_function(specs)
        return traced[kinds](tensors)

    return call


class InferenceStep:
    """`step(batch)` is `fn(batch)` compiled, for a `fn` that reads the variables of `model` and changes none."""

    def __init__(self, model, fn):
        self.model = model
        if keras.backend.backend() == "jax":
            self.step = self.jax_step(fn)
        else:
            self.step = tensorflow_function(fn, run_on_accelerator())

    def __call__(self, batch):
        if keras.backend.backend() == "jax":
            return self.step([v.value for v in self.model.variables], batch)
        return self.step(batch)

    def jax_step(self, fn):
        import jax

        def step(values, batch):
            with keras.StatelessScope(state_mapping=zip(self.model.variables, values)):
                return fn(batch)

        return jax.jit(step)
