"""Trains 50 steps with a strategy on virtual devices and prints the losses as JSON; each case is a process of its own.

python strategy_run.py SHARDS STRATEGY DEVICES [WORKER PORT PORT]     KERAS_BACKEND says which backend
"""

import json
import os
import sys

BATCH, LENGTH, STEPS = 8, 24, 50


def prepare(strategy, devices, worker, ports):
    """Makes virtual devices, before the backend starts."""
    hosts = [f"127.0.0.1:{port}" for port in ports]
    if strategy == "multi_worker":
        set_tf_config({"worker": hosts}, "worker", worker)
    if strategy == "parameter_server":
        kind, index = (("chief", 0), ("ps", 0), ("worker", 0), ("worker", 1))[worker]
        set_tf_config({"chief": hosts[:1], "ps": hosts[1:2], "worker": hosts[2:]}, kind, index)
    if os.environ["KERAS_BACKEND"] == "jax":
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
        if ports:
            import keras

            keras.distribution.initialize(",".join(hosts), num_processes=len(ports), process_id=worker)
    elif strategy == "mirrored":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)


def set_tf_config(cluster, kind, index):
    os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def main(folder, strategy, devices, worker=0, *ports):
    prepare(strategy, devices, worker, ports)
    import keras

    from tfkor.data import ShardFolder
    from tfkor.models import Bert, BertConfig
    from tfkor.pretraining import MaskedLanguageModel, PretrainingBatches, Recipe
    from tfkor.training import AdamW, TrainStep
    from tfkor.training.devices import make_devices

    where = make_devices(strategy)
    keras.utils.set_random_seed(1)
    shards = ShardFolder(folder)
    sizes = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    dropout = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    with where.scope():
        config = BertConfig(shards.tokenizer.vocab_size, max_position_embeddings=32, **sizes, **dropout)
        model = MaskedLanguageModel(Bert(config), pairs="nsp")
        optimizer = AdamW(1e-3, weight_decay=0.01)
    # a small clip_norm, so that the clipping of each step must be right; XLA is off, as it fails on virtual CPUs
    step = TrainStep(model, optimizer, model.objective, jit_compile=False, clip_norm=0.5, strategy=where.strategy)
    batches = PretrainingBatches(shards, Recipe(length=LENGTH, pairs="nsp"), BATCH, seed=4)
    metrics = [{name: float(value) for name, value in step(next(batches), 3e-3).items()} for _ in range(STEPS)]
    step.sync()
    largest = max(float(abs(keras.ops.convert_to_numpy(v)).max()) for v in model.trainable_variables)
    print(json.dumps({"replicas": where.replicas, "chief": where.chief, "metrics": metrics, "largest": largest}))


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))
