"""Training on several devices: tf.distribute on the TensorFlow backend, keras.distribution on JAX.

Data parallel: each replica computes its part of the global batch, and gradients are added up. A batch whose weights sum
to 1 (tfkor.pretraining) then has the loss, and gives the update, that one device would compute.
"""

import contextlib
import json
import os
import re

import keras
import numpy as np

STRATEGIES = ("one", "mirrored", "multi_worker", "tpu", "data_parallel", "model_parallel")
PATIENCE = 20  # seconds after which JAX takes a silent process for dead
LOST = ("Gloo", "NCCL", "UNAVAILABLE", "heartbeat")  # in JAX's errors when a process is gone
TENSORFLOW_ONLY = ("mirrored", "multi_worker", "tpu")


class Devices:
    """What a program needs to know of its devices.

    Attributes:
      strategy: the tf.distribute.Strategy, or None; for TrainStep.
      replicas: how many parts the global batch is cut into; its size must be a multiple.
      chief: whether this process writes logs and checkpoints.
    """

    def __init__(self, strategy=None, replicas=1, chief=True):
        self.strategy, self.replicas, self.chief = strategy, replicas, chief

    @contextlib.contextmanager
    def scope(self):
        """Models and optimizers are made inside."""
        with self.strategy.scope() if self.strategy else contextlib.nullcontext():
            yield


def make_devices(name="one", model_axis=2):
    """Returns the Devices of a strategy.

    Args:
      name: "one"; on the TensorFlow backend "mirrored" (the GPUs of one machine, or logical devices), "multi_worker"
        (TF_CONFIG says who is who) and "tpu"; on the JAX backend "data_parallel" and "model_parallel", in one process,
        or in several after keras.distribution.initialize.
      model_axis: for model_parallel, over how many devices each layer is cut.

    Raises:
      ValueError: no such strategy, not for this backend, or too few devices.
    """
    if name not in STRATEGIES:
        raise ValueError(f"--strategy={name}; expected one of {', '.join(STRATEGIES)}")
    backend = keras.backend.backend()
    wanted = "tensorflow" if name in TENSORFLOW_ONLY else backend if name == "one" else "jax"
    if backend != wanted:
        raise ValueError(f"--strategy={name} needs the {wanted} backend, this is {backend}; set KERAS_BACKEND={wanted}")
    return {
        "one": Devices,
        "mirrored": mirrored,
        "multi_worker": multi_worker,
        "tpu": tpu,
        "data_parallel": data_parallel,
        "model_parallel": lambda: model_parallel(model_axis),
    }[name]()


# === TensorFlow ===


def mirrored():
    import tensorflow as tf

    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    strategy = tf.distribute.MirroredStrategy([device.name for device in tf.config.list_logical_devices(kind)])
    return Devices(strategy, replicas=strategy.num_replicas_in_sync)


def multi_worker():
    import tensorflow as tf

    try:
        cluster = json.loads(os.environ["TF_CONFIG"])
        workers, task = cluster["cluster"]["worker"], cluster["task"]
    except (KeyError, ValueError, TypeError) as error:
        found = os.environ.get("TF_CONFIG", "nothing")
        raise ValueError(
            f"--strategy=multi_worker: TF_CONFIG is {found}; expected JSON such as "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
        ) from error
    if task.get("type") != "worker" or not 0 <= int(task.get("index", -1)) < len(workers):
        raise ValueError(f"TF_CONFIG: the task is {task}; expected a worker with an index from 0 to {len(workers) - 1}")
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return Devices(strategy, replicas=strategy.num_replicas_in_sync, chief=int(task["index"]) == 0)


def tpu():
    """Never run on a TPU by the authors; the calls are those of TensorFlow's guide."""
    import tensorflow as tf

    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(os.environ.get("TPU_NAME", "local"))
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    strategy = tf.distribute.TPUStrategy(resolver)
    return Devices(strategy, replicas=strategy.num_replicas_in_sync)


def distributed_function(strategy, step, jit_compile):
    """`step(part of a batch) -> scalars, equal on all replicas` as a function of the whole batch, a dict of arrays."""
    import tensorflow as tf

    replica_step = tf.function(step, jit_compile=jit_compile, autograph=False)

    @tf.function(autograph=False)
    def run(batch):
        figures = strategy.run(replica_step, args=(batch,))
        return {name: strategy.experimental_local_results(value)[0] for name, value in figures.items()}

    def call(batch):
        def part(context):
            replicas, number = context.num_replicas_in_sync, context.replica_id_in_sync_group
            return {name: part_of(value, number, replicas) for name, value in batch.items()}

        try:
            return run(strategy.experimental_distribute_values_from_function(part))
        except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError) as error:
            raise worker_lost(error) from error

    return call


def worker_lost(error):
    """The error to raise for one of TensorFlow's collectives, which says in many lines that a worker is gone."""
    workers = sorted(set(re.findall(r"/job:worker/replica:\d+/task:\d+", str(error))))
    own = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {}).get("index")
    gone = [worker for worker in workers if not worker.endswith(f"task:{own}")]
    return ConnectionError(
        f"lost {', '.join(gone) or 'a worker'}, so this worker ends too. Start all again with the same command: they "
        "go on from the newest checkpoint"
    )


def part_of(value, number, parts):
    """Rows `number` of `parts` of an array [B, ...]; a scalar as it is.

    Raises:
      ValueError: B is not a multiple of `parts`.
    """
    import tensorflow as tf

    value = np.asarray(value)
    if value.ndim == 0:
        return tf.constant(value)
    if len(value) % parts:
        raise ValueError(f"the batch has {len(value)} rows; expected a multiple of the {parts} replicas")
    size = len(value) // parts
    return tf.constant(value[number * size : (number + 1) * size])


# === JAX ===


def join_processes():
    """Joins the other processes, where Keras' environment variables say that there are some."""
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
        told = ", ".join(f"{name}={value}" for name, value in found.items())
        raise ValueError(f"{told}; expected host1:2222,host2:2222 with 2 and 0 or 1") from None
    jax.distributed.initialize(
        addresses[0], count, number, heartbeat_timeout_seconds=PATIENCE, shutdown_timeout_seconds=PATIENCE
    )


@contextlib.contextmanager
def lost_processes_told():
    """Turns JAX's error of a collective into one that says what to do; then JAX names the lost process and aborts."""
    try:
        yield
    except RuntimeError as error:
        if keras.backend.backend() != "jax" or not any(word in str(error) for word in LOST):
            raise
        import jax

        raise ConnectionError(
            f"lost another of the {jax.process_count()} processes, so this one, {jax.process_index()}, ends too; JAX "
            f"says within {PATIENCE} seconds which. Start all again with the same command: they go on from the newest "
            "checkpoint"
        ) from error


def data_parallel():
    join_processes()
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(distribution)
    return Devices(replicas=len(keras.distribution.list_devices()), chief=is_first_process())


def model_parallel(model_axis):
    """The kernels of the blocks are cut over `model_axis` devices (Shoeybi et al. 2019), the batch over the others."""
    join_processes()
    devices = keras.distribution.list_devices()
    if len(devices) % model_axis:
        raise ValueError(f"{len(devices)} devices; expected a multiple of the model axis, {model_axis}")
    mesh = keras.distribution.DeviceMesh((len(devices) // model_axis, model_axis), ["batch", "model"], devices)
    layout = keras.distribution.LayoutMap(mesh)
    layout[r".*(query|key_value|intermediate_dense).*kernel"] = (None, "model")
    layout[r".*output_dense.*kernel"] = ("model", None)  # of attention and of the feed-forward
    distribution = keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch", auto_shard_dataset=False)
    keras.distribution.set_distribution(distribution)
    return Devices(replicas=len(devices) // model_axis, chief=is_first_process())


def is_first_process():
    import jax

    return jax.process_index() == 0


def sharded(batch):
    """A batch of NumPy arrays, the same in all processes -> over the devices of a distribution, if one is set."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return batch
    import jax

    def place(value):
        value = np.asarray(value)
        if value.ndim == 0:
            return value
        layout = distribution.get_data_layout(value.shape).backend_layout
        return jax.make_array_from_callback(value.shape, layout, lambda index: value[index])

    return {name: place(value) for name, value in batch.items()}
