"""keras.distribution: data parallel and model parallel training on JAX, in one process or in several.

Each strategy is a function that returns the arguments of Devices: None, the number of replicas, and whether this
process is the chief.
"""

import contextlib
import os

import keras
import numpy as np

PATIENCE = 20  # seconds without a heartbeat after which JAX considers a process dead
LOST = ("Gloo", "NCCL", "UNAVAILABLE", "heartbeat")  # words in JAX's errors when a process was lost


def join_processes():
    """Connects to the other processes, if Keras' environment variables name any."""
    names = [f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")]
    if not any(name in os.environ for name in names):
        return
    import jax

    if jax.distributed.is_initialized():
        return
    found = {name: os.environ.get(name) for name in names}
    try:
        addresses, (count, number) = found[names[0]].split(","), map(int, list(found.values())[1:])
        if not 0 <= number < count or len(addresses) not in (1, count):
            raise ValueError
    except (ValueError, TypeError, AttributeError):
        given = ", ".join(f"{name}={value}" for name, value in found.items())
        raise ValueError(f"{given}; expected host1:2222,host2:2222 with 2 processes, this one 0 or 1") from None
    jax.distributed.initialize(
        addresses[0], count, number, heartbeat_timeout_seconds=PATIENCE, shutdown_timeout_seconds=PATIENCE
    )


@contextlib.contextmanager
def lost_processes_named():
    """Turns JAX's error of a collective into one that says what to do; JAX then names the lost process and aborts."""
    try:
        yield
    except RuntimeError as error:
        if keras.backend.backend() != "jax" or not any(word in str(error) for word in LOST):
            raise
        import jax

        raise ConnectionError(
            f"lost another of the {jax.process_count()} processes, so this one, {jax.process_index()}, ends too; JAX "
            f"names it within {PATIENCE} seconds. Start all again with the same command: they resume from the newest "
            "checkpoint"
        ) from error


def data_parallel():
    join_processes()
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(distribution)
    return None, len(keras.distribution.list_devices()), is_first_process()


def model_parallel(model_axis: int):
    """Tensor parallelism: kernels of the blocks are split over `model_axis` devices (Shoeybi et al. 2019).

    The batch is split over the other axis of the device mesh.
    """
    join_processes()
    devices = keras.distribution.list_devices()
    if len(devices) % model_axis:
        raise ValueError(f"{len(devices)} devices; expected a multiple of model_axis, {model_axis}")
    mesh = keras.distribution.DeviceMesh((len(devices) // model_axis, model_axis), ["batch", "model"], devices)
    layout = keras.distribution.LayoutMap(mesh)
    layout[r".*(query|key|value|intermediate_dense).*kernel"] = (None, "model")
    layout[r".*output_dense.*kernel"] = ("model", None)  # of attention and of the feed-forward
    distribution = keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch", auto_shard_dataset=False)
    keras.distribution.set_distribution(distribution)
    return None, len(devices) // model_axis, is_first_process()


def is_first_process():
    import jax

    return jax.process_index() == 0


def sharded(batch):
    """A batch of NumPy arrays, the same in all processes -> split over the devices of a distribution, if one is set."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return batch
    import jax

    def put(value):
        value = np.asarray(value)
        if value.ndim == 0:
            return value
        layout = distribution.get_data_layout(value.shape).backend_layout
        return jax.make_array_from_callback(value.shape, layout, lambda index: value[index])

    return {name: put(value) for name, value in batch.items()}
