"""One compiled step, of training or of inference, on TensorFlow or on JAX.

XLA compiles a function once for each shape of its batch, so batches of a few static shapes are what it wants. Plain
TensorFlow graphs, which the CPU runs, are traced once for all of them.
"""

import contextlib

import keras

from tfkor.training.optimizers import dense_gradients


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

    `jit_compile=None` means XLA on GPU and TPU, and plain graphs on the CPU, where XLA's compile time isn't won back
    in a short training. JAX always compiles. `variables` are the ones to train, if not all that are trainable: those
    that the loss does not depend on should not be among them, since their weights would decay.
    """

    def __init__(self, model, optimizer, loss_fn, jit_compile=None, variables=None):
        self.model = model
        self.optimizer = optimizer
        self.loss_fn = loss_fn
        self.trained = list(model.trainable_variables if variables is None else variables)
        optimizer.build(self.trained)
        if keras.backend.backend() == "jax":
            self.step = self.jax_step()
            self.state = None
        else:
            self.step = self.tensorflow_step(compiles_each_shape(jit_compile))

    def __call__(self, batch):
        if keras.backend.backend() != "jax":
            return self.step(batch)
        if self.state is None:
            # copies: the step gives its buffers away, and the variables keep theirs until sync()
            self.state = [[keras.ops.copy(v.value) for v in group] for group in self.variables()]
        metrics, self.state = self.step(self.state, batch)
        return metrics

    def sync(self):
        """Writes what JAX has updated back into the model's and the optimizer's variables."""
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

    def tensorflow_step(self, jit_compile):
        import tensorflow as tf

        def step(batch):
            with tf.GradientTape() as tape:
                loss, metrics = self.loss_fn(batch)
                scaled = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, [v.value for v in self.trained])
            self.optimizer.apply(dense_gradients(gradients), self.trained)
            return {"loss": loss, **metrics}

        return tensorflow_function(step, jit_compile)

    def jax_step(self):
        import jax

        trainable, other, optimizer_variables = self.variables()

        def scaled_loss(values, other_values, optimizer_values, batch):
            mapping = [*zip(trainable, values), *zip(other, other_values), *zip(optimizer_variables, optimizer_values)]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                loss, metrics = self.loss_fn(batch)
                scaled = self.optimizer.scale_loss(loss)
            other_values = [scope.get_current_value(v) for v in other]
            return scaled, ({"loss": loss, **metrics}, other_values)

        def step(state, batch):
            values, other_values, optimizer_values = state
            gradient = jax.value_and_grad(scaled_loss, has_aux=True)
            (_, (metrics, other_values)), gradients = gradient(values, other_values, optimizer_values, batch)
            values, optimizer_values = self.optimizer.stateless_apply(optimizer_values, gradients, values)
            return metrics, [values, other_values, optimizer_values]

        return jax.jit(step, donate_argnums=0)


def tensorflow_function(fn, jit_compile):
    """A function of a dict of arrays, compiled by TensorFlow and traced once for all shapes."""
    import tensorflow as tf

    compiled = tf.function(fn, jit_compile=jit_compile, autograph=False)  # no Python loops: faster to trace
    traced = {}

    def call(batch):
        tensors = {name: tf.convert_to_tensor(value) for name, value in batch.items()}
        kinds = tuple((name, value.dtype, value.shape.rank) for name, value in tensors.items())
        if kinds not in traced:
            specs = {name: tf.TensorSpec([None] * rank, dtype, name) for name, dtype, rank in kinds}
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
