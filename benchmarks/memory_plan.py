"""plan_memory against the compiler, for fine-tuning BERT-base; on a GPU also against its allocator.

  python benchmarks/memory_plan.py                                the compiler's buffers; no batch is allocated
  python benchmarks/memory_plan.py --size=mini --speed            the time that gradient checkpointing costs
  python benchmarks/memory_plan.py --allocator --device_gib=12    on a GPU: true peaks, and the largest batches

The compiler plans the published batches and, with gradient checkpointing, eight times these. On a CPU its scheduler is
set to save memory; the default one would rather run operations side by side. The allocator's peaks are those of real
steps, each in a process of its own, since a peak is never forgotten. Needs JAX, Keras and NumPy. The last line is one
JSON object.
"""

import json
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("KERAS_BACKEND", "jax")
SCHEDULER = "--xla_cpu_scheduler_type=CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {SCHEDULER}".strip()  # before JAX is imported

from absl import flags  # noqa: E402

from tfkor.scripts import run_program, say  # noqa: E402
from tfkor.training.memory_plan import (  # noqa: E402
    GIB,
    PUBLISHED_BATCHES,
    compiled_memory,
    largest_batch,
    plan_memory,
)

FLAGS = flags.FLAGS


def define_flags():
    flags.DEFINE_string("size", "base", "Size of the BERT.")
    flags.DEFINE_list("lengths", [str(length) for length in PUBLISHED_BATCHES], "Ids of a row.")
    flags.DEFINE_enum("precision", "float32", ["float32", "mixed_bfloat16"], "Precision.")
    flags.DEFINE_bool("speed", False, "Time steps with and without gradient checkpointing, in turns.")
    flags.DEFINE_bool("allocator", False, "Run real steps on a GPU: peaks, and the largest batch by bisection.")
    flags.DEFINE_float("device_gib", 12.0, "For --allocator: memory to fill.")
    flags.DEFINE_integer("rounds", 5, "For --speed.", lower_bound=1)
    flags.DEFINE_list(
        "probe", None, "length, batch size, gradient checkpointing (0 or 1): a real step, for --allocator's processes."
    )


def config():
    from tfkor import BertConfig

    return BertConfig.of(FLAGS.size)


def training_step(recompute):
    """The step of TextClassifier.fit."""
    from tfkor import Bert, TextClassifier
    from tfkor.training import TrainStep, build_optimizer

    encoder = Bert(config(), dtype=FLAGS.precision)
    encoder.gradient_checkpointing = recompute
    classifier = TextClassifier(encoder, num_classes=2)
    return TrainStep(classifier.model, build_optimizer(5e-5, total_steps=1000), classifier.loss)


def batch_shapes(batch_size, length):
    names = ("input_word_ids", "input_mask", "segment_ids")
    ids = {name: ((batch_size, length), "int32") for name in names}
    return ids | {"labels": ((batch_size,), "int32"), "sample_weight": ((batch_size,), "float32")}


def batch_of_ones(batch_size, length):
    import numpy as np

    return {name: np.ones(shape, dtype) for name, (shape, dtype) in batch_shapes(batch_size, length).items()}


def against_the_compiler(lengths):
    rows = []
    print("| length | batch | gradient checkpointing | compiler, GiB | plan, GiB | off by |\n|--:|--:|---|--:|--:|--:|")
    for recompute in (False, True):
        step = training_step(recompute)
        for length in lengths:
            batch_size = PUBLISHED_BATCHES.get(length, 8) * (8 if recompute else 1)
            found = compiled_memory(step, batch_shapes(batch_size, length))
            options = dict(precision=FLAGS.precision, gradient_checkpointing=recompute)
            planned = plan_memory(config(), batch_size, length, **options).total
            row = {"length": length, "batch_size": batch_size, "gradient_checkpointing": recompute}
            rows.append(row | {"compiler": found, "plan": planned})
            values = f"{found / GIB:.2f} | {planned / GIB:.2f} | {planned / found - 1:+.1%}"
            print(f"| {length} | {batch_size} | {'yes' if recompute else 'no'} | {values} |", flush=True)
    return {"compiler": rows}


def speed(lengths):
    steps = {recompute: training_step(recompute) for recompute in (False, True)}
    rows = []
    for length in lengths:
        batch = batch_of_ones(max(1, PUBLISHED_BATCHES.get(length, 8) // 4), length)
        times = {False: [], True: []}
        for turn in range(FLAGS.rounds + 1):
            for recompute, step in steps.items():
                start = time.perf_counter()
                float(step(batch)["loss"])
                if turn:  # the first one compiles
                    times[recompute].append(time.perf_counter() - start)
        cost = statistics.median(with_it / without for without, with_it in zip(times[False], times[True])) - 1
        rows.append({"length": length, "seconds": statistics.median(times[False]), "cost": round(cost, 3)})
        seconds = rows[-1]["seconds"]
        print(f"length {length}: {seconds:.3f} s a step, with gradient checkpointing {cost:+.0%}", flush=True)
    return {"speed": rows}


def probe(length, batch_size, recompute):
    """One real step; its peak in bytes."""
    import jax

    step = training_step(recompute)
    for _ in range(2):
        float(step(batch_of_ones(batch_size, length))["loss"])
    return {"peak": jax.local_devices()[0].memory_stats()["peak_bytes_in_use"]}


def run_probe(length, batch_size, recompute):
    """The peak of a process of its own, or None if memory ran out."""
    job = f"--probe={length},{batch_size},{int(recompute)}"
    command = [sys.executable, __file__, f"--size={FLAGS.size}", f"--precision={FLAGS.precision}", job]
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])["peak"]
    if "RESOURCE_EXHAUSTED" in done.stderr or "out of memory" in done.stderr.lower():
        return None
    raise RuntimeError(f"{' '.join(command[1:])} ended with {done.returncode}: {done.stderr[-1000:]}")


def against_the_allocator(lengths):
    import jax

    if jax.local_devices()[0].platform != "gpu":
        raise ValueError(f"--allocator needs a GPU; JAX found {jax.local_devices()[0].platform}")
    capacity, rows = FLAGS.device_gib * GIB, []
    options = {"precision": FLAGS.precision}
    for recompute in (False, True):
        for length in lengths:

            def fits(batch_size, length=length, recompute=recompute):
                peak = run_probe(length, batch_size, recompute)
                say(f"length {length}, batch {batch_size}, gradient checkpointing {recompute}: {peak}")
                return peak is not None and peak <= capacity

            planned = largest_batch(config(), length, capacity, gradient_checkpointing=recompute, **options)
            low, high = 0, 2 * planned + 1
            while high - low > max(1, planned // 32):
                middle = planned if low == 0 and high == 2 * planned + 1 else (low + high) // 2
                low, high = (middle, high) if fits(middle) else (low, middle)
            peak = run_probe(length, max(low, 1), recompute)
            plan = plan_memory(config(), max(low, 1), length, gradient_checkpointing=recompute, **options).total
            row = {"length": length, "gradient_checkpointing": recompute}
            row |= {"planned_batch": planned, "largest_batch": low}
            rows.append(row | {"peak": peak, "plan": plan})
            print(json.dumps(rows[-1]), flush=True)
    return {"allocator": rows}


def job():
    if FLAGS.probe:
        length, batch_size, recompute = map(int, FLAGS.probe)
        return probe(length, batch_size, bool(recompute))
    lengths = [int(length) for length in FLAGS.lengths]
    settings = {"size": FLAGS.size, "precision": FLAGS.precision, "cores": os.cpu_count()}
    work = against_the_allocator if FLAGS.allocator else speed if FLAGS.speed else against_the_compiler
    return settings | work(lengths)


if __name__ == "__main__":
    run_program(define_flags, job)
