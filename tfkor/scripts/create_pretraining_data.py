"""Makes the data of pretraining from Korean text: shards of token ids.

  python -m tfkor.scripts.create_pretraining_data --input=corpus.txt.gz --tokenizer=runs/tokenizer \
      --output_dir=runs/shards
  python -m tfkor.scripts.create_pretraining_data --input=news/ --tokenizer=runs/tokenizer --output_dir=runs/news \
      --split_sentences=rule --drop_duplicates=near

--input takes plain text (a sentence or paragraph a line, a blank line between documents), JSON lines (an object is a
document), each also with .gz, and folders of them. A run that was killed goes on where it was if it is started again
with the same flags, and ends with the same bytes. Masks and pairs of sentences are not drawn here but in training, anew
in each epoch. tfkor/data/shards.py describes the files, which NumPy alone can read.

--tfrecord_dir also writes masked pairs of sentences as TFRecords, which google-research/bert and TF Model Garden train
on, with their flags --max_seq_length, --dupe_factor ... Nothing of tfkor needs them.

--runner runs the same on Apache Beam (pip install "tfkor[beam]"), for corpora that outgrow one machine; the options of
the runner are given in --beam_options.
"""

import time
from pathlib import Path

from absl import app, flags

from tfkor.scripts import run_program, say

FLAGS = flags.FLAGS
EXAMPLES = 1_000  # that are masked together


def define_flags():
    flags.DEFINE_list("input", None, "Files, folders or glob patterns.", required=True)
    flags.DEFINE_string("tokenizer", None, "Folder that train_tokenizer wrote.", required=True)
    flags.DEFINE_string("output_dir", None, "Folder for the shards.", required=True)
    flags.DEFINE_string("text_column", "text", "Key of the text in JSON lines.")
    flags.DEFINE_enum(
        "split_sentences",
        "none",
        ["none", "rule", "kiwi"],
        "How lines that are paragraphs become sentences: not at all, by a rule, or by Kiwi (pip install tfkor[morph]).",
    )
    flags.DEFINE_enum(
        "drop_duplicates",
        "none",
        ["none", "exact", "near"],
        "Drops lines that were there before: the same characters; or alike in letters and digits, to a Jaccard "
        "similarity of 0.8 of three characters in a row (tfkor/data/duplicates.py).",
    )
    flags.DEFINE_float("shard_mb", 16.0, "Text of one shard, in 10**6 bytes; a worker takes about ten times as much.")
    flags.DEFINE_integer("workers", None, "Processes; by default one for each core.", lower_bound=1)
    flags.DEFINE_integer("memory_mb", 1024, "Memory for merging the hashes of duplicates, 10**6 bytes.", lower_bound=1)
    flags.DEFINE_string("runner", None, "Apache Beam runner, such as DirectRunner; by default none.")
    flags.DEFINE_list("beam_options", [], "Options of the runner: --beam_options=--region=asia-northeast3,--project=me")
    flags.DEFINE_integer("beam_shards", 16, "Shards to write with --runner.", lower_bound=1)
    # TFRecords for other programs
    flags.DEFINE_string("tfrecord_dir", None, "New folder for TFRecords, one for each shard.")
    flags.DEFINE_enum("tfrecord_style", "bert", ["bert", "model_garden"], "Names: input_ids, or input_word_ids.")
    flags.DEFINE_integer("max_seq_length", 128, "Ids of an example of --tfrecord_dir.", lower_bound=8)
    flags.DEFINE_integer("max_predictions_per_seq", 20, "Masked positions of an example at most.", lower_bound=1)
    flags.DEFINE_float("masked_lm_prob", 0.15, "Share of the tokens to mask.")
    flags.DEFINE_float("short_seq_prob", 0.1, "Share of the examples that are made shorter.")
    flags.DEFINE_integer("dupe_factor", 10, "How often the text is used, each time with other masks.", lower_bound=1)
    flags.DEFINE_bool("do_whole_word_mask", False, "Mask whole words.")
    flags.DEFINE_integer("random_seed", 12345, "Seed of pairs and masks.")


def job():
    from tfkor.data.encoding import ShardRecipe
    from tfkor.data.make_shards import make_shards

    if FLAGS.tfrecord_dir and Path(FLAGS.tfrecord_dir).exists():
        raise app.UsageError(f"--tfrecord_dir={FLAGS.tfrecord_dir} is there already; name a new folder")
    if FLAGS.beam_options and FLAGS.runner is None:
        raise app.UsageError("--beam_options without --runner; expected both, or neither")
    recipe = ShardRecipe(FLAGS.text_column, FLAGS.split_sentences, FLAGS.drop_duplicates, FLAGS.shard_mb)
    if FLAGS.runner is None:
        figures = make_shards(
            FLAGS.input, FLAGS.tokenizer, FLAGS.output_dir, recipe, FLAGS.workers, FLAGS.memory_mb, say
        )
    else:
        from tfkor.data.beam import make_shards_with_beam

        options = [f"--runner={FLAGS.runner}", *FLAGS.beam_options]
        figures = make_shards_with_beam(
            FLAGS.input, FLAGS.tokenizer, FLAGS.output_dir, recipe, FLAGS.beam_shards, options
        )
    if FLAGS.tfrecord_dir:
        figures |= write_examples()
    return figures


def write_examples():
    """Masked pairs of sentences from the shards, as TFRecords; dict of figures."""
    from tfkor.data.shards import ShardFolder
    from tfkor.data.tfrecord import write_tfrecords
    from tfkor.files import new_folder
    from tfkor.pretraining.batches import PretrainingBatches, Recipe
    from tfkor.pretraining.masking import Masking

    masking = Masking("whole_word" if FLAGS.do_whole_word_mask else "token", FLAGS.masked_lm_prob)
    recipe = Recipe(
        FLAGS.max_seq_length, FLAGS.max_predictions_per_seq, "nsp", short_seq_prob=FLAGS.short_seq_prob, masking=masking
    )
    shards = ShardFolder(FLAGS.output_dir)
    batches = PretrainingBatches(shards, recipe, batch_size=EXAMPLES, seed=FLAGS.random_seed, group=1)
    start, count, output = time.monotonic(), 0, FLAGS.tfrecord_dir
    with new_folder(output) as folder:
        for number in range(len(shards)):
            path = folder / f"examples-{number:05d}.tfrecord"
            count += write_tfrecords(path, examples_of(batches, number), FLAGS.tfrecord_style)
            say(f"TFRecords: {count:,} examples, {number + 1} of {len(shards)} files")
    return {"examples": count, "tfrecord_seconds": round(time.monotonic() - start, 2), "tfrecord_dir": output}


def examples_of(batches, group):
    """The examples of --dupe_factor epochs from one shard each, as `write_tfrecords` takes them."""
    for epoch in range(FLAGS.dupe_factor):
        rows = batches.load(epoch, group)
        for first in range(0, len(rows), EXAMPLES):
            batch = batches.assemble(rows, slice(first, first + EXAMPLES), epoch)
            batch["next_sentence_labels"] = batch["pair_labels"]
            batch["masked_lm_weights"] = batch["masked_lm_weights"] > 0  # in training they sum to 1
            yield batch


if __name__ == "__main__":
    run_program(define_flags, job)
