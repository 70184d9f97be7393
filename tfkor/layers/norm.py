"""Layer norm over the last axis."""

import keras
from keras import ops

from tfkor.layers.fast.gradients import layer_norm
from tfkor.layers.inputs import Tensor


class LayerNorm(keras.layers.LayerNormalization):
    """Keras' LayerNormalization, computed in float32 with the gradient written out; weights `gamma` and `beta` [H]."""

    def __init__(self, epsilon: float = 1e-12, **kwargs):
        super().__init__(epsilon=epsilon, **kwargs)

    def call(self, x: Tensor) -> Tensor:
        return layer_norm(ops.cast(x, self.compute_dtype), self.gamma, self.beta, self.epsilon)
