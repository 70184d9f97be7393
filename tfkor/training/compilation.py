"""When a step is compiled by XLA; used by the steps of both backends."""

import keras

LEARNING_RATE = "learning_rate"  # the key under which a batch carries it into the compiled step


def run_on_accelerator() -> bool:
    """True where the backend sees a GPU or TPU."""
    return any(keras.distribution.list_devices(kind) for kind in ("gpu", "tpu"))


def compiles_each_shape(jit_compile: bool | None = None) -> bool:
    """Whether a TrainStep with this `jit_compile` compiles once for each shape of its batches."""
    return keras.backend.backend() == "jax" or (run_on_accelerator() if jit_compile is None else jit_compile)
