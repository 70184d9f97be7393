"""FLOPs of a training step, and FLOP/s of the machine: their ratio is model FLOPs utilisation, MFU."""

import time

import keras
import numpy as np
from keras import ops


def encoder_flops(encoder: keras.Model, batch_size: int, length: int) -> int:
    """FLOPs of one forward pass of an encoder over [B, S], matrix products only (Kaplan et al. 2020, table 1)."""
    tokens = batch_size * length
    kernels = sum(kernel_size(block) for block in encoder.blocks)  # a shared block counts for each layer
    project = getattr(encoder, "embeddings_project", None)
    kernels += kernel_size(project) if project is not None else 0
    attention = 4 * len(encoder.blocks) * encoder.config.hidden_size * length
    return tokens * (2 * kernels + attention)


def head_flops(head: keras.layers.Layer, vectors: int, table=None) -> int:
    """FLOPs of one forward pass of a head over `vectors` vectors; `table` is a tied embedding table [V, E], or None."""
    return 2 * vectors * (kernel_size(head) + (0 if table is None else int(np.prod(table.shape))))


def training_flops(model: keras.Model, batch_size: int, recipe) -> int:
    """FLOPs of a training step of an objective (tfkor.pretraining): three times those of its forward pass.

    The recomputation of gradient checkpointing is not counted, so MFU measures how fast the model trains, and not how
    busy the machine is.
    """
    return 3 * model.forward_flops(batch_size, recipe)


def kernel_size(layer):
    """The number of weights in the kernels of a layer."""
    return sum(int(np.prod(v.shape)) for v in layer.trainable_variables if v.path.endswith("kernel"))


def matmul_rate(dtype: str = "float32", size: int = 2048, seconds: float = 1.0) -> float:
    """FLOP/s of a product of two square matrices on this device, the best of several runs."""
    shape = (size, size)
    a, b = (ops.cast(np.random.default_rng(i).normal(size=shape).astype("float32"), dtype) for i in range(2))
    multiply = compiled(ops.matmul)
    wait(multiply(a, b))
    best, end = float("inf"), time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        wait(multiply(a, b))
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def compiled(fn):
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(fn)
    import tensorflow as tf

    return tf.function(fn)


def wait(x):
    """Returns when x has been computed."""
    return float(ops.cast(x[0, 0], "float32"))
