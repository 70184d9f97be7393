"""Functions with their gradient written out: TensorFlow's own gradients keep more values and read memory more often.

XLA fuses such operations by itself, so on JAX these are the plain formulas.
"""

import functools
import math
from collections.abc import Callable

import keras
from keras import ops

from tfkor.layers.inputs import Tensor


def on_tensorflow(fast: Callable) -> Callable:
    """A decorator: on the TensorFlow backend `fast`, which returns a value and its gradient, replaces the formula."""

    def decorate(formula):
        @functools.wraps(formula)
        def call(*inputs):
            if keras.backend.backend() != "tensorflow":
                return formula(*inputs)
            import tensorflow as tf

            return tf.custom_gradient(fast)(*map(tf.convert_to_tensor, inputs))  # variables would be watched inside

        return call

    return decorate


def fast_gelu(x: Tensor) -> tuple[Tensor, Callable]:
    twice = 1.0 + ops.erf(x / math.sqrt(2.0))  # twice the normal distribution function at x

    def gradient(upstream):
        density = ops.exp(-0.5 * x * x) * (2 * math.pi) ** -0.5
        return upstream * (0.5 * twice + x * density)

    return 0.5 * x * twice, gradient  # in this form, TFLite knows it


@on_tensorflow(fast_gelu)
def gelu(x: Tensor) -> Tensor:
    """The exact gelu, x times the normal distribution function at x (Hendrycks and Gimpel 2016)."""
    return 0.5 * x * (1.0 + ops.erf(x / math.sqrt(2.0)))


def fast_cross_entropy(labels: Tensor, logits: Tensor) -> tuple[Tensor, Callable]:
    import tensorflow as tf

    probabilities = tf.nn.softmax(logits)
    picked = tf.gather(logits, labels, batch_dims=len(labels.shape))
    # log of the sum of exponentials, from the largest term: log(sum) = largest logit - log(its probability)
    log_sum = tf.reduce_max(logits, -1) - tf.math.log(tf.reduce_max(probabilities, -1))

    def gradient(upstream):
        flat = tf.reshape(probabilities * upstream[..., None], (-1, logits.shape[-1]))
        indices = tf.stack([tf.range(tf.size(labels)), tf.cast(tf.reshape(labels, [-1]), "int32")], axis=1)
        flat = tf.tensor_scatter_nd_sub(flat, indices, tf.reshape(upstream, [-1]))
        return None, tf.reshape(flat, tf.shape(logits))

    return log_sum - picked, gradient


@on_tensorflow(fast_cross_entropy)
def cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    """int [...] and float32 [..., V] -> nats float32 [...]."""
    picked = ops.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    return ops.logsumexp(logits, axis=-1) - picked


def fast_layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> tuple[Tensor, Callable]:
    import tensorflow as tf

    wide = tf.cast(x, "float32")
    centred = wide - tf.reduce_mean(wide, -1, keepdims=True)
    scale = tf.math.rsqrt(tf.reduce_mean(centred * centred, -1, keepdims=True) + epsilon)
    normal = centred * scale

    def gradient(upstream):
        upstream = tf.cast(upstream, "float32")
        inner = upstream * gamma
        along = tf.reduce_mean(inner * normal, -1, keepdims=True)
        x_gradient = scale * (inner - tf.reduce_mean(inner, -1, keepdims=True) - normal * along)
        rows = list(range(len(x.shape) - 1))
        return tf.cast(x_gradient, x.dtype), tf.reduce_sum(upstream * normal, rows), tf.reduce_sum(upstream, rows), None

    return tf.cast(normal * gamma + beta, x.dtype), gradient


@on_tensorflow(fast_layer_norm)
def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    """x [..., H], gamma and beta float32 [H] -> x of mean 0 and variance 1, times gamma, plus beta (Ba et al. 2016)."""
    wide = ops.cast(x, "float32")
    mean, variance = ops.moments(wide, axes=-1, keepdims=True)
    return ops.cast((wide - mean) * ops.rsqrt(variance + epsilon) * gamma + beta, x.dtype)
