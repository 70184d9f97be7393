"""Estimates the device memory that training an encoder takes, and the largest batch that fits; nothing is run.

  python -m tfkor.scripts.plan_memory                                  BERT-base in float32, 12 GiB, as a classifier
  python -m tfkor.scripts.plan_memory --task=pretraining --model=roberta --size=large --length=512 --device_gib=80
  python -m tfkor.scripts.plan_memory --batch_size=32 --gradient_checkpointing=true      this batch, tensor by tensor

The table of the largest batches by length also has those of google-research/bert's README, which are for fine-tuning
BERT-base with Adam in float32 on a GPU of 12 GB. The plan is for the JAX backend: in float32 it is within 15% of what
XLA plans for a CPU (benchmarks/memory_plan.py); for bfloat16 it is an estimate that has not been compared with an
accelerator's allocator yet. The last line printed is one JSON object.
"""

from absl import app, flags

from tfkor.models.registry import NAMES, get_architecture
from tfkor.scripts import run_program
from tfkor.scripts._flags import define_old_names, note_old_names
from tfkor.training.memory_plan import (
    GIB,
    OPTIMIZERS,
    PARTS,
    PRECISIONS,
    PUBLISHED_BATCHES,
    largest_batch,
    memory_moments,
)

FLAGS = flags.FLAGS
RENAMED = {"accumulation": "gradient_accumulation_steps", "remat": "gradient_checkpointing"}


def define_flags():
    flags.DEFINE_enum("model", "bert", NAMES, "Architecture of the encoder.")
    flags.DEFINE_string("size", "base", "Size of the encoder: tiny, mini, small, base, large ...")
    flags.DEFINE_integer("vocab_size", 32_000, "Size of the vocabulary.", lower_bound=1)
    about = "What is trained: a classifier on the first token, or the objective of run_pretraining."
    flags.DEFINE_enum("task", "classifier", ["classifier", "pretraining"], about)
    about = "Number of micro-batches that a batch is split into."
    flags.DEFINE_integer("gradient_accumulation_steps", 1, about, lower_bound=1)
    flags.DEFINE_integer("num_classes", 2, "Number of classes of the classifier.", lower_bound=1)
    flags.DEFINE_integer("max_predictions", None, "Masked positions per row; by default 15% of it.", lower_bound=1)
    flags.DEFINE_enum("optimizer", "adamw", list(OPTIMIZERS), "Optimizer of the training.")
    about = "Dtype policy, for the list of parts; the table has both."
    flags.DEFINE_enum("precision", "float32", list(PRECISIONS), about)
    about = "Whether blocks are recomputed in the backward pass, for the list of parts; the table has both."
    flags.DEFINE_enum("gradient_checkpointing", "both", ["true", "false", "both"], about)
    flags.DEFINE_integer("length", 128, "Length of a row in tokens, for the list of parts.", lower_bound=1)
    about = "Rows of a batch, for the list of parts; by default the largest that fits."
    flags.DEFINE_integer("batch_size", None, about, lower_bound=1)
    flags.DEFINE_float("device_gib", 12.0, "Memory of the device in GiB (2**30 bytes).", lower_bound=0)
    flags.DEFINE_float("reserved_gib", 0.5, "Memory that the driver and the libraries take, in GiB.", lower_bound=0)
    define_old_names(RENAMED)


def options_at(length):
    options = dict(optimizer=FLAGS.optimizer, num_classes=FLAGS.num_classes)
    options["gradient_accumulation_steps"] = FLAGS.gradient_accumulation_steps
    if FLAGS.task == "pretraining":
        options["predictions"] = FLAGS.max_predictions or max(1, round(0.15 * length))
        if FLAGS.model == "electra":
            options["generator"] = encoder_config().generator()
    return options


def encoder_config():
    return get_architecture(FLAGS.model)[1].of(FLAGS.size, vocab_size=FLAGS.vocab_size)


def label(precision, recompute):
    mark = "" if precision == "float32" else ", estimate"
    return f"{precision}{mark}{', gradient checkpointing' if recompute else ''}"


def parts(config, available):
    """Prints the memory of each part at each moment; returns {label: the memory at the peak}."""
    found, asked = {}, FLAGS.gradient_checkpointing
    for recompute in (False, True) if asked == "both" else (asked == "true",):
        options = options_at(FLAGS.length) | dict(precision=FLAGS.precision, gradient_checkpointing=recompute)
        largest = largest_batch(config, FLAGS.length, available, **options)
        batch_size = FLAGS.batch_size or largest
        plans = memory_moments(config, batch_size, FLAGS.length, **options)
        plan = max(plans, key=lambda plan: plan.total)
        fits = "fits" if plan.total <= available else "does not fit"
        name = label(FLAGS.precision, recompute)
        print(f"\n{name}: length {FLAGS.length}, batch {batch_size} {fits}, the largest that fits is {largest}")
        print(f"\n| GiB at | {' | '.join(PARTS)} | all |\n|---|{'--:|' * (1 + len(PARTS))}")
        for each in plans:
            sizes = [getattr(each, part) for part in PARTS] + [each.total]
            print(f"| {each.moment} | {' | '.join(f'{size / GIB:.2f}' for size in sizes)} |")
        row = {"batch_size": batch_size, "largest_batch": largest, "moment": plan.moment, "total": plan.total}
        found[name] = row | {part: getattr(plan, part) for part in PARTS}
        if FLAGS.batch_size:
            print(f"\nat {plan.moment}:")
            for tensor, size in sorted(plan.tensors.items(), key=lambda item: -item[1]):
                print(f"{size / GIB:8.3f} {tensor}")
    return found


def table(config, available):
    """Prints the largest batches by length; returns {length: {label: batch}}."""
    lengths = [length for length in PUBLISHED_BATCHES if length <= config.max_position_embeddings]
    kinds = [(precision, recompute) for precision in PRECISIONS for recompute in (False, True)]
    print(f"\n| length | google-research/bert | {' | '.join(label(*kind) for kind in kinds)} |")
    print("|--:" * (2 + len(kinds)) + "|")
    found = {}
    for length in lengths:
        published, options = PUBLISHED_BATCHES[length], options_at(length)
        row = {
            label(*kind): largest_batch(
                config, length, available, precision=kind[0], gradient_checkpointing=kind[1], **options
            )
            for kind in kinds
        }
        found[length] = {"google-research/bert": published} | row
        cells = [f"{batch:,} ({batch / published:.1f} x)" for batch in row.values()]
        print(f"| {length} | {published} | {' | '.join(cells)} |")
    return found


def job():
    note_old_names(RENAMED)
    available = (FLAGS.device_gib - FLAGS.reserved_gib) * GIB
    if available <= 0:
        raise app.UsageError(f"--device_gib={FLAGS.device_gib}; expected more than --reserved_gib={FLAGS.reserved_gib}")
    config = encoder_config()
    task = "fine-tuning a classifier" if FLAGS.task == "classifier" else "pretraining"
    print(f"{FLAGS.model}-{FLAGS.size}, {task}, {FLAGS.optimizer}, {FLAGS.device_gib:g} GiB")
    return {"parts": parts(config, available), "largest_batches": table(config, available)}


if __name__ == "__main__":
    run_program(define_flags, job)
