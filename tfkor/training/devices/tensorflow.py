"""tf.distribute: its strategies as arguments of Devices, and the training step under each."""

import collections
import contextlib
import functools
import json
import os
import re
import socket
import time

import numpy as np


def mirrored():
    import tensorflow as tf

    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    strategy = tf.distribute.MirroredStrategy([device.name for device in tf.config.list_logical_devices(kind)])
    return strategy, strategy.num_replicas_in_sync


def multi_worker():
    import tensorflow as tf

    task = this_task("multi_worker", ("worker",))
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return strategy, strategy.num_replicas_in_sync, task["index"] == 0


def parameter_server():
    """Asynchronous training: each step is run by the next free worker, in parallel with other steps (Li et al. 2014).

    The chief schedules the steps, and continues when a worker dies. In workers and parameter servers this function
    serves until the chief is gone, and never returns.
    """
    import tensorflow as tf

    kinds = ("chief", "worker", "ps")
    task = this_task("parameter_server", kinds)
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if task["type"] != "chief":
        cluster = resolver.cluster_spec()
        server = tf.distribute.Server(cluster, job_name=task["type"], task_index=task["index"], protocol="grpc")
        wait_while_there(cluster.task_address("chief", 0))
        del server
        raise SystemExit(0)
    return tf.distribute.ParameterServerStrategy(resolver), 1


def this_task(strategy, kinds):
    """The task of this process in TF_CONFIG, which must be of one of the `kinds`; the cluster must have all of them."""
    example = {"cluster": {kind: ["host:2222"] for kind in kinds}, "task": {"type": kinds[0], "index": 0}}
    found = os.environ.get("TF_CONFIG", "nothing")
    try:
        config = json.loads(found)
        cluster, task = config["cluster"], config["task"]
        sizes = {kind: len(cluster[kind]) for kind in kinds}
        right = task["type"] in kinds and 0 <= task["index"] < sizes[task["type"]]
    except (KeyError, ValueError, TypeError) as error:
        message = f"strategy={strategy}: TF_CONFIG is {found}; expected JSON such as {json.dumps(example)}"
        raise ValueError(message) from error
    if not right:
        raise ValueError(f"TF_CONFIG: the task is {task}; expected one of {sizes}, counted from 0")
    return task


def wait_while_there(address, patience=30):
    """Returns when no server has listened at the address for `patience` seconds; first waits until one does."""
    host, _, port = address.rpartition(":")
    seen, since = False, time.monotonic()
    while not seen or time.monotonic() - since < patience:
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=5):
            seen, since = True, time.monotonic()
        time.sleep(1)


def tpu():
    """Not tested on a TPU; the calls are those of TensorFlow's guide."""
    import tensorflow as tf

    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(os.environ.get("TPU_NAME", "local"))
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        strategy = tf.distribute.TPUStrategy(resolver)
    except Exception as error:  # there are many types, with long messages
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise ValueError(
            f"strategy=tpu: no TPU answers ({reason}); expected a machine with one, or its name in TPU_NAME"
        ) from error
    return strategy, strategy.num_replicas_in_sync


def distributed_function(strategy, step, jit_compile):
    """`step(part of a batch) -> scalars, equal on all replicas` as a function of the whole batch, a dict of arrays."""
    import tensorflow as tf

    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        return CoordinatedFunction(strategy, step, jit_compile)
    return ReplicatedFunction(strategy, step, jit_compile)


class ReplicatedFunction:
    """`step(part of a batch) -> scalars` as a function of the whole batch, which the replicas process in parallel."""

    def __init__(self, strategy, step, jit_compile):
        import tensorflow as tf

        replica_step = tf.function(step, jit_compile=jit_compile, autograph=False)

        @tf.function(autograph=False)
        def run(batch):
            metrics = strategy.run(replica_step, args=(batch,))
            return {name: strategy.experimental_local_results(value)[0] for name, value in metrics.items()}

        self.strategy, self.run = strategy, run

    def __call__(self, batch):
        def part(context):
            replicas, number = context.num_replicas_in_sync, context.replica_id_in_sync_group
            return {name: part_of(value, number, replicas) for name, value in batch.items()}

        with lost_tasks_named():
            return self.run(self.strategy.experimental_distribute_values_from_function(part))

    def sync(self):
        """Nothing to do: the replicas assign to the variables."""


def worker_lost(error):
    """The error to raise instead of one of TensorFlow's many-line errors about a lost task."""
    tasks = sorted(set(re.findall(r"/job:(?:worker|ps)/replica:\d+/task:\d+", str(error))))
    task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {})
    gone = [each for each in tasks if each != f"/job:{task.get('type')}/replica:0/task:{task.get('index')}"]
    servers = [each for each in gone if each.startswith("/job:ps")]  # a worker's error about a lost server names both
    return ConnectionError(
        f"lost {', '.join(servers or gone) or 'a worker'}, so this process ends too. Start all again with the same "
        "command: they resume from the newest checkpoint"
    )


class CoordinatedFunction:
    """`step(batch) -> scalars` as a function that the next free worker runs; reading its metrics waits for that."""

    def __init__(self, strategy, step, jit_compile):
        import tensorflow as tf

        self.coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
        self.step = tf.function(
            lambda batch: strategy.run(tf.function(step, jit_compile=jit_compile, autograph=False), args=(batch,)),
            autograph=False,
        )
        self.pending = collections.deque()
        self.limit = 2 * strategy._num_workers  # so that a free worker finds a batch, and memory stays bounded

    def __call__(self, batch):
        import tensorflow as tf

        with lost_tasks_named():
            while len(self.pending) >= self.limit:
                self.pending.popleft().fetch()
            tensors = {name: tf.convert_to_tensor(value) for name, value in batch.items()}
            self.pending.append(self.coordinator.schedule(self.step, args=(tensors,)))
        return DelayedMetrics(self.pending[-1])

    def sync(self):
        """Returns when all steps are done."""
        with lost_tasks_named():
            self.coordinator.join()
        self.pending.clear()


class DelayedMetrics(collections.abc.Mapping):
    """The metrics of a step that a worker runs; reading the first one waits for it."""

    def __init__(self, value):
        self.value = value

    @functools.cached_property
    def fetched(self):
        with lost_tasks_named():
            return self.value.fetch()

    def __getitem__(self, name):
        return self.fetched[name]

    def __iter__(self):
        return iter(self.fetched)

    def __len__(self):
        return len(self.fetched)


@contextlib.contextmanager
def lost_tasks_named():
    import tensorflow as tf

    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError) as error:
        raise worker_lost(error) from error


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
