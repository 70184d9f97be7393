"""The compiled step on TensorFlow: a graph, with or without XLA, on one device or under a tf.distribute.Strategy."""

from keras import ops

from tfkor.training.compilation import LEARNING_RATE, run_on_accelerator
from tfkor.training.devices.tensorflow import distributed_function
from tfkor.training.optimizers import dense_gradients


def compile_training(step, jit_compile):
    """A TrainStep -> a function of a batch with `sync`."""
    update = training_function(step, jit_compile)
    if step.strategy is None:
        return OneDevice(update, jit_compile, step.static_shapes)
    return distributed_function(step.strategy, update, jit_compile)


def compile_inference(model, fn):
    """`fn` as a graph, which reads TensorFlow's variables itself."""
    return OneDevice(fn, run_on_accelerator())


def training_function(step, jit_compile):
    """`update(batch of tensors) -> metrics`, which a replica runs on its part of a batch."""
    import tensorflow as tf

    def gradients_of(batch):
        with tf.GradientTape() as tape:
            loss, metrics = step.loss_fn(batch)
            scaled = step.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [v.value for v in step.trained])
        return {"loss": loss, **metrics}, dense_gradients(gradients)

    def accumulated(batch):
        if step.gradient_accumulation_steps == 1:
            return gradients_of(batch)
        of_micro_batch = tf.function(gradients_of, autograph=False)  # traced once, called for each micro-batch
        parts = [of_micro_batch(part) for part in split_batch(batch, step.gradient_accumulation_steps)]
        return tf.nest.map_structure(lambda *values: tf.add_n(values), *parts)

    def apply(gradients, scale):
        gradients, metrics = step.clipped(gradients, scale)
        step.optimizer.apply(gradients, step.trained)
        return metrics

    if step.strategy is None:  # XLA fuses a dozen operations into one pass over each weight
        apply = tf.function(apply, jit_compile=True, autograph=False)

    def update(batch):
        if LEARNING_RATE in batch:
            batch = dict(batch)
            step.optimizer.learning_rate.assign(batch.pop(LEARNING_RATE))
        metrics, gradients = accumulated(batch)
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync
        if replicas > 1:
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
            metrics = context.all_reduce(tf.distribute.ReduceOp.SUM, metrics)
        # Keras sums the gradients of all replicas; that has been done above
        return {**metrics, **apply(gradients, 1 / replicas)}

    return update


def split_batch(batch, parts):
    """A dict of arrays [B, ...] -> `parts` dicts of [B / parts, ...]."""
    size = ops.shape(next(iter(batch.values())))[0] // parts
    return [{name: value[i * size : (i + 1) * size] for name, value in batch.items()} for i in range(parts)]


class OneDevice:
    """A function of a dict of arrays as a graph, traced once for all shapes, or once for each."""

    def __init__(self, fn, jit_compile, static_shapes=False):
        import tensorflow as tf

        self.fn = tf.function(fn, jit_compile=jit_compile, autograph=False)  # has no Python loops to convert
        self.static_shapes = static_shapes
        self.traced = {}

    def __call__(self, batch):
        import tensorflow as tf

        tensors = {name: tf.convert_to_tensor(value) for name, value in batch.items()}
        static = self.static_shapes
        shapes = {name: tuple(t.shape) if static else (None,) * t.shape.rank for name, t in tensors.items()}
        kinds = tuple((name, value.dtype, shapes[name]) for name, value in tensors.items())
        if kinds not in self.traced:
            specs = {name: tf.TensorSpec(shape, dtype, name) for name, dtype, shape in kinds}
            self.traced[kinds] = self.fn.get_concrete_function(specs)
        return self.traced[kinds](tensors)

    def sync(self):
        """Nothing to do: the graph assigns to the variables."""
