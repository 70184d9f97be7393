"""AdamW and LAMB, and a schedule with warmup and decay, as in google-research/bert's optimization.py."""

import keras
from keras import ops

NO_WEIGHT_DECAY = [r"(^|/)(bias|gamma|beta)(:\d+)?$"]  # biases and layer norms; TensorFlow's names have a path and :0


@keras.saving.register_keras_serializable("tfkor")
class AdamW(keras.optimizers.AdamW):
    """Keras' AdamW with correct second moments for embeddings (Loshchilov and Hutter 2019).

    On the TensorFlow backend the gradient of an embedding lookup is sparse: a repeated id has several rows, and Keras
    squares each of them instead of their sum. Here gradients are made dense, as on JAX and in PyTorch.

    `layer_rates`, {path of a variable: (factor, first step)}, multiplies the learning rate of a variable by the factor;
    before the first step it is 0. See the function `layer_rates`. It is not part of the config.
    """

    layer_rates = None

    def apply(self, grads, trainable_variables=None):
        return super().apply(dense_gradients(grads), trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        """The same formula as one TensorFlow operation; the dozen operations of Keras take twice as long on a CPU."""
        learning_rate = self.rate_of(variable, learning_rate)
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

    def rate_of(self, variable, learning_rate):
        """The learning rate of a variable in this step."""
        if not self.layer_rates:
            return learning_rate
        path = self._trainable_variables[self._get_variable_index(variable)].path  # TensorFlow's variables have no path
        factor, first = self.layer_rates.get(path, (1.0, 0))
        return learning_rate * factor * ops.cast(self.iterations >= first, "float32")

    def _apply_weight_decay(self, variables):
        if not self.layer_rates or self.weight_decay is None:
            return super()._apply_weight_decay(variables)
        for variable in variables:
            if self._use_weight_decay(variable):
                rate = self.rate_of(variable, self._get_current_learning_rate())
                self.assign_sub(variable, variable * (self.weight_decay * ops.cast(rate, variable.dtype)))


def layer_rates(encoder, decay: float = 1.0, unfreeze_steps: int = 0) -> dict:
    """{path: (factor, first step)} for AdamW: lower layers have lower learning rates and start later.

    Args:
      decay: factor from a layer to the one below (Howard and Ruder 2018; 0.95 in Sun et al. 2019). The head's factor is
        1, that of the last layer `decay`, that of the embeddings decay ** (L + 1).
      unfreeze_steps: the last layer is trained from this step on, the one below from twice as many, and so on.
    """
    # a shared block has the depth of the last layer that uses it
    depth = {id(block): encoder.config.num_hidden_layers - i for i, block in enumerate(encoder.blocks)}
    layers = [(layer, depth[id(layer)]) for layer in {id(block): block for block in encoder.blocks}.values()]
    above = {id(encoder.pooler), *(id(layer) for layer, _ in layers)}
    below = [layer for layer in encoder.layers if id(layer) not in above]  # embeddings of words and positions
    layers += [(layer, encoder.config.num_hidden_layers + 1) for layer in below]
    return {
        variable.path: (decay**deep, deep * unfreeze_steps) for layer, deep in layers for variable in layer.variables
    }


def dense_gradients(grads: list) -> list:
    """Makes the sparse gradients (tf.IndexedSlices) among `grads` dense; does nothing on JAX."""
    if keras.backend.backend() != "tensorflow":
        return grads
    import tensorflow as tf

    return [tf.convert_to_tensor(grad) if isinstance(grad, tf.IndexedSlices) else grad for grad in grads]


@keras.saving.register_keras_serializable("tfkor")
class Lamb(keras.optimizers.Optimizer):
    """LAMB: Adam with each variable's update scaled to the norm of its weights (You et al. 2020, algorithm 2).

    For large batches. As in google-research/albert's lamb_optimizer.py the weight decay is part of the update whose
    norm is taken, and variables without decay (see `exclude_from_weight_decay`) are not rescaled either. Keras' own
    Lamb applies the decay outside of the trust ratio.
    """

    def __init__(
        self, learning_rate=1e-3, weight_decay=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-6, name="lamb", **kwargs
    ):
        super().__init__(learning_rate=learning_rate, weight_decay=None, name=name, **kwargs)
        self.decay, self.beta_1, self.beta_2, self.epsilon = weight_decay, beta_1, beta_2, epsilon

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")
        self._velocities = self.add_optimizer_variables(variables, "velocity")

    def apply(self, grads, trainable_variables=None):
        return super().apply(dense_gradients(grads), trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        index, step = self._get_variable_index(variable), ops.cast(self.iterations + 1, "float32")
        momentum, velocity = self._momentums[index], self._velocities[index]
        self.assign(momentum, self.beta_1 * momentum + (1 - self.beta_1) * gradient)
        self.assign(velocity, self.beta_2 * velocity + (1 - self.beta_2) * ops.square(gradient))
        update = momentum / (1 - ops.power(self.beta_1, step))
        update = update / (ops.sqrt(velocity / (1 - ops.power(self.beta_2, step))) + self.epsilon)
        ratio = 1.0
        if self._use_weight_decay(variable):
            update = update + self.decay * variable
            length, weight_length = ops.norm(update), ops.norm(variable)
            ratio = ops.where((length > 0) & (weight_length > 0), weight_length / ops.maximum(length, 1e-30), 1.0)
        self.assign_sub(variable, learning_rate * ratio * update)

    def get_config(self):
        config = super().get_config()
        del config["weight_decay"]
        own = dict(weight_decay=self.decay, beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon)
        return {**config, **own}


@keras.saving.register_keras_serializable("tfkor")
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that rises from 0 to `peak` over `warmup_steps`, then falls to 0 at `total_steps`.

    The decay is linear, or with a `power` other than 1 polynomial: (1 - fraction of the decay steps) ** power, as in
    google-research/bert.
    """

    def __init__(self, peak: float, warmup_steps: int, total_steps: int, power: float = 1.0):
        if not 0 <= warmup_steps <= total_steps:
            raise ValueError(f"warmup_steps is {warmup_steps}; expected 0 to total_steps, which is {total_steps}")
        if power <= 0:
            raise ValueError(f"power is {power}; expected more than 0")
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.power = power

    def __call__(self, step):
        step = ops.cast(step, "float32") + 1.0  # so that the first step has a rate above 0
        rising = ops.clip(step / max(self.warmup_steps, 1), 0.0, 1.0)
        left = (self.total_steps + 1 - step) / max(self.total_steps + 1 - self.warmup_steps, 1)
        falling = ops.clip(left, 0.0, 1.0) ** self.power
        return self.peak * ops.minimum(rising, falling)

    def get_config(self):
        return dict(peak=self.peak, warmup_steps=self.warmup_steps, total_steps=self.total_steps, power=self.power)


def build_optimizer(
    learning_rate: float,
    total_steps: int,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    clip_norm: float = 1.0,
    ema: float = 0.0,
    precision: str = "float32",
    rates: dict | None = None,
) -> keras.optimizers.Optimizer:
    """Returns AdamW with warmup over the fraction `warmup` of `total_steps`, decay to 0 and clipping by global norm.

    Biases and layer norms have no weight decay. `ema` is the momentum of a moving average of the weights, see
    `TrainStep.averaged_weights`; 0 keeps none. `precision="mixed_float16"` adds dynamic loss scaling. `rates` is the
    result of `layer_rates`.

    Raises:
      ValueError: `ema` is not a momentum.
    """
    if not 0 <= ema < 1:
        raise ValueError(f"ema is {ema}; expected a momentum, from 0 (no average) to less than 1")
    schedule = WarmupDecay(learning_rate, int(warmup * total_steps), total_steps)
    average = dict(use_ema=True, ema_momentum=ema) if ema else {}
    optimizer = AdamW(schedule, weight_decay=weight_decay, epsilon=1e-6, global_clipnorm=clip_norm, **average)
    optimizer.exclude_from_weight_decay(var_names=NO_WEIGHT_DECAY)
    optimizer.layer_rates = rates
    if precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
