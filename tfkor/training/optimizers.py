"""AdamW with warm-up and decay, as google-research/bert's optimization.py has it."""

import keras
from keras import ops

NO_WEIGHT_DECAY = [r"(^|/)(bias|gamma|beta)(:\d+)?$"]  # biases and layer norms; TensorFlow's names have a path and :0


@keras.saving.register_keras_serializable("tfkor")
class AdamW(keras.optimizers.AdamW):
    """Keras' AdamW with right second moments for embeddings (Loshchilov and Hutter 2019).

    On the TensorFlow backend the gradient of a lookup is sparse, and Keras then squares each of the rows that a
    repeated id has instead of their sum. Dense gradients give what the JAX backend and PyTorch give.
    """

    def apply(self, grads, trainable_variables=None):
        return super().apply(dense_gradients(grads), trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        """The same formula in one operation on the TensorFlow backend; Keras' dozen take twice as long on a CPU."""
        if keras.backend.backend() != "tensorflow" or self.amsgrad or variable.dtype != "float32":
            return super().update_step(gradient, variable, learning_rate)
        import tensorflow as tf

        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, "float32")
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def dense_gradients(grads):
    """Turns the sparse gradients (tf.IndexedSlices) among `grads` into dense ones; does nothing on JAX."""
    if keras.backend.backend() != "tensorflow":
        return grads
    import tensorflow as tf

    return [tf.convert_to_tensor(grad) if isinstance(grad, tf.IndexedSlices) else grad for grad in grads]


@keras.saving.register_keras_serializable("tfkor")
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that rises from 0 to `peak` over `warmup_steps`, then falls in a line to 0 at `total_steps`."""

    def __init__(self, peak, warmup_steps, total_steps):
        if not 0 <= warmup_steps <= total_steps:
            raise ValueError(f"warmup_steps is {warmup_steps}; expected 0 to total_steps, which is {total_steps}")
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps

    def __call__(self, step):
        step = ops.cast(step, "float32") + 1.0  # the first step already moves
        rising = step / max(self.warmup_steps, 1)
        falling = (self.total_steps + 1 - step) / max(self.total_steps + 1 - self.warmup_steps, 1)
        return self.peak * ops.clip(ops.minimum(rising, falling), 0.0, 1.0)

    def get_config(self):
        return {"peak": self.peak, "warmup_steps": self.warmup_steps, "total_steps": self.total_steps}


def build_optimizer(
    learning_rate, total_steps, warmup=0.1, weight_decay=0.01, clip_norm=1.0, ema=0.0, precision="float32"
):
    """Returns AdamW with a warm-up over the share `warmup` of `total_steps`, decay to 0 and clipping by global norm.

    Biases and layer norms do not decay. `ema` is the momentum of a moving average of the weights, see
    `TrainStep.averaged_weights`; 0 keeps none. `precision="mixed_float16"` adds dynamic loss scaling.
    """
    if not 0 <= ema < 1:
        raise ValueError(f"ema is {ema}; expected a momentum, from 0 (no average) to less than 1")
    schedule = WarmupDecay(learning_rate, int(warmup * total_steps), total_steps)
    average = dict(use_ema=True, ema_momentum=ema) if ema else {}
    optimizer = AdamW(schedule, weight_decay=weight_decay, epsilon=1e-6, global_clipnorm=clip_norm, **average)
    optimizer.exclude_from_weight_decay(var_names=NO_WEIGHT_DECAY)
    if precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
