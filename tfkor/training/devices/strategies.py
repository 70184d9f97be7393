"""The distribution strategies by name, and what a training needs to know about its devices.

Data parallelism: each replica computes its part of the global batch, and the gradients are summed. With a batch whose
weights sum to 1 (tfkor.pretraining) the loss and the update are those that a single device would compute.
"""

import contextlib
import importlib

TENSORFLOW_ONLY = ("mirrored", "multi_worker", "parameter_server", "tpu")
JAX_ONLY = ("data_parallel", "model_parallel")
STRATEGIES = ("one", *TENSORFLOW_ONLY, *JAX_ONLY)


class Devices:
    """What a training needs to know about its devices.

    Attributes:
      strategy: the tf.distribute.Strategy, or None; for TrainStep.
      replicas: how many parts the global batch is split into; its size must be a multiple of that.
      chief: whether this process writes logs and checkpoints.
    """

    def __init__(self, strategy=None, replicas: int = 1, chief: bool = True):
        self.strategy, self.replicas, self.chief = strategy, replicas, chief

    @contextlib.contextmanager
    def scope(self):
        """The context in which models and optimizers must be made."""
        with self.strategy.scope() if self.strategy else contextlib.nullcontext():
            yield


def make_devices(name: str = "one", model_axis: int = 2) -> Devices:
    """Returns the Devices of a strategy.

    Args:
      name: "one"; on the TensorFlow backend "mirrored" (the GPUs of one machine, or logical devices), "multi_worker",
        "parameter_server" (roles from TF_CONFIG) and "tpu"; on the JAX backend "data_parallel" and
        "model_parallel", in one process, or in several if KERAS_DISTRIBUTION_JOB_ADDRESSES, _NUM_PROCESSES and
        _PROCESS_ID are set. In a worker or a parameter server of "parameter_server" this call serves and never returns.
      model_axis: for model_parallel: the number of devices that each layer is split over.

    Raises:
      ValueError: an unknown strategy, one of the other backend, a wrong number of devices, no TPU, or environment
        variables that don't fit.
    """
    if name not in STRATEGIES:
        raise ValueError(f"strategy is {name!r}; expected one of {', '.join(STRATEGIES)}")
    import keras

    backend = keras.backend.backend()
    wanted = "tensorflow" if name in TENSORFLOW_ONLY else "jax" if name in JAX_ONLY else backend
    if backend != wanted:
        raise ValueError(f"strategy is {name!r}, the backend {backend}; expected KERAS_BACKEND={wanted}")
    if name == "one":
        return Devices()
    make = getattr(importlib.import_module(f"tfkor.training.devices.{wanted}"), name)
    return Devices(*make(model_axis)) if name == "model_parallel" else Devices(*make())
