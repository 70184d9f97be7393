"""Makes pretraining data from Korean text: shards of token ids.

  python -m tfkor.scripts.create_pretraining_data --input=corpus.txt.gz --tokenizer=runs/tokenizer \
      --output_dir=runs/shards
  python -m tfkor.scripts.create_pretraining_data --input=news/ --tokenizer=runs/tokenizer --output_dir=runs/news \
      --split_sentences=rule --drop_duplicates=near

--input takes plain text (one sentence or paragraph per line, a blank line between documents), JSON lines (one document
per object), each also with .gz, and folders of them. A run that was killed resumes if it is started again with the same
flags, and writes the same bytes. Masks and sentence pairs are not drawn here but during training, new ones in each
epoch. tfkor/data/shards.py describes the files, which can be read with NumPy alone.

--tfrecord_dir also writes masked sentence pairs as TFRecords, for training with google-research/bert or TF Model
Garden; their flags --max_seq_length, --dupe_factor ... work here too. tfkor itself does not need these files.

--runner does the same on Apache Beam (pip install "tfkor[beam]"), for corpora that are too large for one machine;
--beam_options passes options to the runner.
"""

import time
from pathlib import Path

from absl import app, flags

from tfkor.scripts import run_program, say

FLAGS = flags.FLAGS
EXAMPLES = 1_000  # that are masked in one batch


def define_flags():
    flags.DEFINE_list("input", None, "Text files, folders or glob patterns, separated by commas.", required=True)
    flags.DEFINE_string("tokenizer", None, "Folder of the tokenizer, as train_tokenizer wrote it.", required=True)
    flags.DEFINE_string("output_dir", None, "Folder for the shards.", required=True)
    flags.DEFINE_string("text_column", "text", "Key of the text in JSON lines.")
    flags.DEFINE_enum(
        "split_sentences",
        "none",
        ["none", "rule", "kiwi"],
        "How to split lines into sentences: not at all, by a rule, or with Kiwi (pip install tfkor[morph]).",
    )
    flags.DEFINE_enum(
        "drop_duplicates",
        "none",
        ["none", "exact", "near"],
        "Which lines to drop as duplicates of earlier ones: none; those with the same characters; or also near "
        "duplicates, with a Jaccard similarity of 0.8 of their letter and digit trigrams (tfkor/data/duplicates.py).",
    )
    flags.DEFINE_float("shard_mb", 16.0, "Text of one shard, in 10**6 bytes; a worker needs ten times that in memory.")
    flags.DEFINE_integer("workers", None, "Number of processes; by default one per core.", lower_bound=1)
    flags.DEFINE_integer("memory_mb", 1024, "Memory for finding duplicates, in 10**6 bytes.", lower_bound=1)
    flags.DEFINE_string("runner", None, "Apache Beam runner, such as DirectRunner; by default Beam is not used.")
    about = "Options of the runner, as in --beam_options=--region=asia-northeast3,--project=me"
    flags.DEFINE_list("beam_options", [], about)
    flags.DEFINE_integer("beam_shards", 16, "Number of shards to write with --runner.", lower_bound=1)
    # TFRecords for other programs
    flags.DEFINE_string("tfrecord_dir", None, "New folder for TFRecord files, one per shard.")
    about = "TFRecords: feature names of google-research/bert (input_ids), or of Model Garden (input_word_ids)."
    flags.DEFINE_enum("tfrecord_style", "bert", ["bert", "model_garden"], about)
    flags.DEFINE_integer("max_seq_length", 128, "TFRecords: length of an example in tokens.", lower_bound=8)
    flags.DEFINE_integer("max_predictions_per_seq", 20, "TFRecords: largest number of masked positions.", lower_bound=1)
    flags.DEFINE_float("masked_lm_prob", 0.15, "TFRecords: fraction of the tokens to mask.")
    flags.DEFINE_float("short_seq_prob", 0.1, "TFRecords: fraction of the examples that are made shorter.")
    flags.DEFINE_integer("dupe_factor", 10, "TFRecords: passes over the text, each with other masks.", lower_bound=1)
    flags.DEFINE_bool("do_whole_word_mask", False, "TFRecords: mask whole words instead of single tokens.")
    flags.DEFINE_integer("random_seed", 12345, "TFRecords: seed of the pairs and masks.")


def job():
    from tfkor.data.encoding import ShardRecipe
    from tfkor.data.make_shards import make_shards

    if FLAGS.tfrecord_dir and Path(FLAGS.tfrecord_dir).exists():
        raise app.UsageError(f"--tfrecord_dir={FLAGS.tfrecord_dir} already exists; expected a new folder")
    if FLAGS.beam_options and FLAGS.runner is None:
        raise app.UsageError("--beam_options without --runner; expected both, or neither")
    recipe = ShardRecipe(FLAGS.text_column, FLAGS.split_sentences, FLAGS.drop_duplicates, FLAGS.shard_mb)
    if FLAGS.runner is None:
        results = make_shards(
            FLAGS.input, FLAGS.tokenizer, FLAGS.output_dir, recipe, FLAGS.workers, FLAGS.memory_mb, say
        )
    else:
        from tfkor.data.beam import make_shards_with_beam

        options = [f"--runner={FLAGS.runner}", *FLAGS.beam_options]
        results = make_shards_with_beam(
            FLAGS.input, FLAGS.tokenizer, FLAGS.output_dir, recipe, FLAGS.beam_shards, options
        )
    if FLAGS.tfrecord_dir:
        results |= write_examples()
    return results


def write_examples():
    """Writes masked sentence pairs from the shards as TFRecords; returns how many, in what time, and where."""
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
    """The examples of --dupe_factor epochs from one shard, as `write_tfrecords` takes them."""
    for epoch in range(FLAGS.dupe_factor):
        rows = batches.load(epoch, group)
        for first in range(0, len(rows), EXAMPLES):
            batch = batches.assemble(rows, slice(first, first + EXAMPLES), epoch)
            batch["next_sentence_labels"] = batch["pair_labels"]
            batch["masked_lm_weights"] = batch["masked_lm_weights"] > 0  # in training they sum to 1
            yield batch


if __name__ == "__main__":
    run_program(define_flags, job)
