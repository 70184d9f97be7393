"""The compiled step on JAX: a function of (state, batch), where the state is the values of all variables."""

import jax
import keras

from tfkor.training.compilation import LEARNING_RATE
from tfkor.training.devices.jax import sharded


def compile_training(step, jit_compile):
    """A TrainStep -> a function of a batch with `sync`; XLA compiles it whatever `jit_compile` is."""
    return JaxStep(step)


def compile_inference(model, fn):
    """`fn` as a function of a batch, which gets the values of the model's variables at each call."""

    def step(values, batch):
        with keras.StatelessScope(state_mapping=zip(model.variables, values)):
            return fn(batch)

    compiled = jax.jit(step)
    return lambda batch: compiled([v.value for v in model.variables], batch)


class JaxStep:
    """Keeps the state between steps; `sync` writes it back into the variables."""

    def __init__(self, step):
        self.step, self.state = step, None
        self.fn = jax.jit(training_function(step), donate_argnums=0)

    def __call__(self, batch):
        if self.state is None:
            # copies, since the step donates its buffers, and the variables need theirs until sync()
            self.state = [[keras.ops.copy(v.value) for v in group] for group in self.step.variables()]
        metrics, self.state = self.fn(self.state, sharded(batch))
        return metrics

    def sync(self):
        if self.state is None:
            return
        for group, values in zip(self.step.variables(), self.state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        self.state = None


def training_function(train_step):
    """`step(state, batch) -> (metrics, state)` of a TrainStep, without side effects."""
    trainable, other, optimizer_variables = train_step.variables()
    optimizer, parts = train_step.optimizer, train_step.gradient_accumulation_steps
    is_rate = [v is optimizer._learning_rate for v in optimizer_variables]

    def scaled_loss(values, other_values, optimizer_values, batch):
        mapping = [*zip(trainable, values), *zip(other, other_values), *zip(optimizer_variables, optimizer_values)]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            loss, metrics = train_step.loss_fn(batch)
            scaled = optimizer.scale_loss(loss)
        other_values = [scope.get_current_value(v) for v in other]
        return scaled, ({"loss": loss, **metrics}, other_values)

    def gradients_of(values, other_values, optimizer_values, batch):
        gradient = jax.value_and_grad(scaled_loss, has_aux=True)
        (_, (metrics, other_values)), gradients = gradient(values, other_values, optimizer_values, batch)
        return metrics, gradients, other_values

    def accumulated(values, other_values, optimizer_values, batch):
        if parts == 1:
            return gradients_of(values, other_values, optimizer_values, batch)
        micro_batches = jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), batch)

        def body(carry, micro_batch):
            sums, other_values = carry
            *new, other_values = gradients_of(values, other_values, optimizer_values, micro_batch)
            return (jax.tree.map(jax.numpy.add, sums, new), other_values), None

        first = jax.tree.map(lambda x: x[0], micro_batches)
        shapes = jax.eval_shape(lambda part: gradients_of(values, other_values, optimizer_values, part)[:2], first)
        zeros = jax.tree.map(lambda x: jax.numpy.zeros(x.shape, x.dtype), list(shapes))
        ((metrics, gradients), other_values), _ = jax.lax.scan(body, (zeros, other_values), micro_batches)
        return metrics, gradients, other_values

    def step(state, batch):
        values, other_values, optimizer_values = state
        batch = dict(batch)
        if (rate := batch.pop(LEARNING_RATE, None)) is not None:
            optimizer_values = [rate if here else v for here, v in zip(is_rate, optimizer_values)]
        metrics, gradients, other_values = accumulated(values, other_values, optimizer_values, batch)
        gradients, more = train_step.clipped(gradients)
        values, optimizer_values = optimizer.stateless_apply(optimizer_values, gradients, values)
        return {**metrics, **more}, [values, other_values, optimizer_values]

    return step
