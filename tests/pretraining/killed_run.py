"""Kills a pretraining again and again, starts it again, and prints what became of it as JSON.

  python killed_run.py FOLDER KILLS

The runs are forks of one process that has imported everything and computed nothing, so each starts in a moment.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from tiny_corpus import write_shards

STEPS = 300


def train(folder, shards):
    import keras

    from tfkor.models import Electra, ElectraConfig
    from tfkor.pretraining import Phase, Pretraining, PretrainingBatches, Recipe, ReplacedTokenDetection
    from tfkor.training import AdamW

    keras.utils.set_random_seed(0)
    vocab_size = shards.tokenizer.vocab_size
    sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    config = ElectraConfig(vocab_size, embedding_size=12, max_position_embeddings=32, **sizes)  # with dropout
    discriminator = Electra(config)
    model = ReplacedTokenDetection(Electra(config.generator(0.5), embeddings=discriminator.embeddings), discriminator)

    def phase(length, share):
        return Phase(PretrainingBatches(shards, Recipe(length=length, objective="rtd"), 8, group=2), share)

    run = Pretraining(
        folder, model, AdamW(1e-3), [phase(16, 0.6), phase(32, 0.4)],
        learning_rate=1e-3, steps=STEPS, save_every=3, log_every=10, keep=2,
    )  # fmt: skip
    run.train()
    weights = b"".join(keras.ops.convert_to_numpy(v).tobytes() for v in model.variables)
    (folder / "weights").write_text(hashlib.sha256(weights).hexdigest())


def fork(folder, shards):
    """Starts the run in a process of its own; returns its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        train(folder, shards)
        code = 0
    finally:
        os._exit(code)


def ended(child):
    return os.waitpid(child, os.WNOHANG)[0] == child


def newest(folder):
    return max((path.name for path in (folder / "checkpoints").glob("step-*")), default="")


def main(folder, kills):
    import tensorflow  # noqa: F401

    import tfkor.pretraining  # noqa: F401

    shards = write_shards(folder / "shards")
    whole, broken = folder / "whole", folder / "broken"
    child = fork(whole, shards)
    assert os.waitpid(child, 0)[1] == 0, "the run that nobody killed failed"

    moments, when = random.Random(3), []
    while len(when) < kills:
        before = newest(broken)
        child = fork(broken, shards)
        if moments.random() < 0.8:  # after it has begun to train; else at any moment of its start
            while newest(broken) == before and not ended(child):
                time.sleep(0.005)
            before = newest(broken)
        time.sleep(moments.random() * 0.3)
        if (broken / "weights").exists():
            break
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        when.append(newest(broken))
    if not (broken / "weights").exists():
        assert os.waitpid(fork(broken, shards), 0)[1] == 0, "the run could not go on"
    logs = [[json.loads(line)["step"] for line in (f / "log.jsonl").read_text().splitlines()] for f in (whole, broken)]
    print(json.dumps({
        "kills": len(when), "moments": when, "logs": logs,
        "weights": [(f / "weights").read_text() for f in (whole, broken)],
    }))  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
