"""Lists the published Korean encoders: sizes, vocabulary, tokenizer, licence, and the options that make them exact.

  python -m tfkor.scripts.list_checkpoints                           a table; ? marks a value that no source confirms
  python -m tfkor.scripts.list_checkpoints --architecture=electra
  python -m tfkor.scripts.list_checkpoints --json                    everything, as one JSON object

The options are keyword arguments of `zoo.load(name, ...)` and `interop.load_pretrained(name, ...)`. The last line
printed is one JSON object.
"""

import dataclasses

from absl import flags

from tfkor.known import known_checkpoints
from tfkor.models.registry import NAMES
from tfkor.scripts import run_program

FLAGS = flags.FLAGS
COLUMNS = (
    "name", "architecture", "H, L, A", "E", "vocabulary", "tokens", "tokenizer", "case", "normalisation", "licence",
    "reads", "options", "source", "remark",
)  # fmt: skip


def define_flags():
    flags.DEFINE_enum("architecture", None, NAMES, "List only checkpoints of this architecture.")
    flags.DEFINE_bool("json", False, "Print one JSON object with all that is known, and no table.")


def cells(known):
    """The cells of a checkpoint's row in the table."""

    def marked(field, value=None):
        value = getattr(known, field) if value is None else value
        return f"{value}{'?' if field in known.unverified else ''}"

    return (
        known.name,
        known.architecture + (" generator" if known.generator else ""),
        ", ".join(map(marked, ("hidden_size", "num_hidden_layers", "num_attention_heads"))),
        marked("embedding_size", known.embedding_size or "= H"),
        marked("vocab_size", f"{known.vocab_size:,}"),
        marked("max_length"),
        known.tokenizer,
        marked("lowercase", "lower" if known.lowercase else "cased"),
        known.normalisation,
        marked("licence"),
        known.readable,
        ", ".join(f"{name}={value!r}" for name, value in known.options.items()),
        known.source,
        known.note,
    )


def table(checkpoints):
    """Returns the checkpoints as a Markdown table."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    return "\n".join(lines + [f"| {' | '.join(cells(known))} |" for known in checkpoints.values()])


def job():
    checkpoints = known_checkpoints(FLAGS.architecture)
    if not FLAGS.json:
        print(table(checkpoints))
        return {"checkpoints": len(checkpoints)}
    rows = [dataclasses.asdict(known) for known in checkpoints.values()]
    extra = [{"options": known.options, "config": known.config} for known in checkpoints.values()]
    return {"checkpoints": [{**row, **more} for row, more in zip(rows, extra)]}


if __name__ == "__main__":
    run_program(define_flags, job)
