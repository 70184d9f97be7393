"""Trains a WordPiece tokenizer on text files.

  python -m tfkor.scripts.train_tokenizer --input=a.txt,more/*.txt.gz --vocab_size=32000 --output_dir=runs/tokenizer
  python -m tfkor.scripts.train_tokenizer --dataset=intents176 --vocab_size=8000 --output_dir=runs/tokenizer

Files are UTF-8 with one text a line, also .gz. They are read twice, as a stream: once to count characters, once to
learn. The same input gives the same vocabulary. What is written is a folder with vocab.txt and tokenizer_config.json,
for Tokenizer.load and --tokenizer_dir of other programs. The last line printed is one JSON object with the figures.
"""

import glob
import itertools
import sys
import tempfile
import time
from pathlib import Path

from absl import app, flags

from tfkor.scripts import run_program, say

FLAGS = flags.FLAGS
SAMPLE = 100_000  # lines that the figures are counted on


def define_flags():
    flags.DEFINE_list("input", [], "Text files, with commas between; * and ? are wildcards.")
    flags.DEFINE_string("dataset", None, "A data set that tfkor knows (intents176, 3i4k, nsmc), in place of files.")
    flags.DEFINE_string("output_dir", None, "Where the tokenizer goes.", required=True)
    flags.DEFINE_bool("overwrite", False, "Replace a tokenizer that is in output_dir.")
    # Vocabulary
    flags.DEFINE_integer("vocab_size", 32_000, "Entries of the vocabulary.", lower_bound=6)
    flags.DEFINE_integer("min_frequency", 2, "How often a piece must occur to become an entry.", lower_bound=1)
    flags.DEFINE_integer(
        "alphabet_limit", None, "Different characters at the most; a quarter of vocab_size if not given.", lower_bound=0
    )
    flags.DEFINE_bool("all_syllables", False, "Put all 11,172 Hangul syllables into the alphabet: 22,344 entries.")
    # Normalisation, the same for training and for use
    flags.DEFINE_bool("lowercase", False, "Fold case.")
    flags.DEFINE_bool("nfc", True, "Compose decomposed Hangul, as in file names of macOS.")
    flags.DEFINE_bool("clean_text", True, "Remove control characters, and make white space a blank.")
    flags.DEFINE_bool("full_width", False, "Make full-width forms ordinary ones.")
    flags.DEFINE_integer(
        "max_jamo_repeats", None, "How much to keep of a run of one jamo: 2 makes ㅋㅋㅋㅋㅋ ㅋㅋ.", 1, 100
    )
    flags.DEFINE_integer("max_word_chars", 100, "Longer words, in characters, are [UNK].", lower_bound=1)


class Progress:
    """Texts that can be iterated over again, with a line on standard error now and then."""

    def __init__(self, texts):
        self.texts, self.total, self.passes = texts, None, 0

    def __iter__(self):
        self.passes += 1
        start = shown = time.monotonic()
        count = 0
        for count, text in enumerate(self.texts, 1):
            yield text
            if (now := time.monotonic()) - shown > 5:
                shown = now
                done = f"pass {self.passes} of 2: {count:,} texts"
                if self.total:
                    done += f" of {self.total:,}, {(now - start) * (self.total - count) / count:.0f} s left"
                say(done)
        self.total = count
        say(f"pass {self.passes} of 2: {count:,} texts, {time.monotonic() - start:.1f} s")


def open_texts():
    """The texts of --input or --dataset, as something that can be iterated over twice."""
    from tfkor.text import Lines

    if bool(FLAGS.input) == bool(FLAGS.dataset):
        found = "both" if FLAGS.input else "neither"
        raise app.UsageError(f"found {found} of --input and --dataset; expected one of them")
    if FLAGS.dataset:
        from tfkor.data import load_dataset

        data = load_dataset(FLAGS.dataset, "train")
        return data.texts + (data.pairs or [])
    paths = []
    for pattern in FLAGS.input:
        matches = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
        if not matches:
            raise FileNotFoundError(f"--input={pattern}: no file matches; expected text files")
        paths += matches
    return Lines(paths)


def job():
    from tfkor.text import Tokenizer, train_wordpiece

    folder = Path(FLAGS.output_dir)
    if (folder / "vocab.txt").exists() and not FLAGS.overwrite:
        raise app.UsageError(f"--output_dir={folder} holds a tokenizer; name a new folder, or say --overwrite")
    try:  # now, not after the training
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"--output_dir={folder}: {error.strerror}; expected a folder that you may write to") from error

    start = time.monotonic()
    options = {name: FLAGS[name].value for name in ("lowercase", "nfc", "clean_text", "full_width", "max_jamo_repeats")}
    options["max_word_chars"] = FLAGS.max_word_chars
    required = "".join(map(chr, (*range(0x21, 0x7F), *(range(0xAC00, 0xD7A4) if FLAGS.all_syllables else ()))))
    texts = Progress(open_texts())
    vocab = train_wordpiece(
        texts,
        FLAGS.vocab_size,
        min_frequency=FLAGS.min_frequency,
        alphabet_limit=FLAGS.alphabet_limit,
        required_characters=required,
        show_progress=sys.stderr.isatty(),
        **options,
    )
    seconds = time.monotonic() - start
    tokenizer = Tokenizer.from_vocab(vocab, **options)
    tokenizer.save(folder)
    say(f"wrote {folder}")
    if tokenizer.vocab_size < FLAGS.vocab_size:
        say(f"the texts gave {len(vocab)} entries of {FLAGS.vocab_size}: no more pieces are frequent")

    sample = list(itertools.islice(texts.texts, SAMPLE))
    ids = tokenizer.ids(sample).values
    return {
        "vocab_size": tokenizer.vocab_size,
        "alphabet": sum(len(entry) == 1 for entry in vocab),
        "texts": texts.total,
        "seconds": round(seconds, 1),
        "characters_per_token": round(sum(map(len, sample)) / max(1, len(ids)), 3),
        "unk_share": round(int((ids == tokenizer.unk_id).sum()) / max(1, len(ids)), 6),
        "output_dir": str(folder),
    }


if __name__ == "__main__":
    run_program(define_flags, job)
