"""How fast text becomes ids: tfkor beside Hugging Face `tokenizers` and tensorflow_text.

  python benchmarks/tokenizer.py

Lines of NSMC and of a corpus (--data_dir), or the utterances of intents176 if there is neither. All methods take
turns on the same lines in each round; a ratio is the median over the rounds of one method's speed over that of
`tokenizers` `encode_batch` (all its threads) in the same round. All give the same ids, which is checked, apart from
FastBertTokenizer, the fastest of tensorflow_text, which doesn't know NFC or Hugging Face's character classes. The last
line is one JSON object.
"""

import gzip
import itertools
import multiprocessing
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow is imported below, and not by the other processes

from absl import flags
from tokenizers import Tokenizer as Reference
from tokenizers.models import WordPiece
from tokenizers.normalizers import NFC, BertNormalizer, Sequence
from tokenizers.pre_tokenizers import BertPreTokenizer

from tfkor.data import load_intents176
from tfkor.scripts import run_program
from tfkor.text import Tokenizer, train_wordpiece

FLAGS = flags.FLAGS
GRAPH_BATCH = 1_000


def define_flags():
    here = Path(__file__).resolve().parents[1]
    data = os.environ.get("TFKOR_DATA", here.parent / "shared" / "data")
    flags.DEFINE_string("data_dir", str(data), "Folder with nsmc-rebuilt/ and corpus/.")
    flags.DEFINE_string("corpus", "tensorflow_docs_ko", "File of corpus/, without .txt.gz.")
    flags.DEFINE_integer("lines", 50_000, "Lines of each source.")
    flags.DEFINE_integer("vocab_size", 16_000, "Entries of the vocabulary, which is learned from the lines.")
    flags.DEFINE_integer("rounds", 5, "Turns of each method.")
    flags.DEFINE_integer("processes", os.cpu_count(), "Processes of the method with several.")


def sources():
    """Name -> lines."""
    folder = Path(FLAGS.data_dir)
    files = {
        "nsmc": (folder / "nsmc-rebuilt" / "ratings_train.txt.gz", 1),
        FLAGS.corpus: (folder / "corpus" / f"{FLAGS.corpus}.txt.gz", 0),
    }
    found = {}
    for name, (path, column) in files.items():
        if path.is_file():
            with gzip.open(path, "rt", encoding="utf-8") as file:
                rows = (line.rstrip("\n").split("\t")[column] for line in file)
                found[name] = list(itertools.islice(filter(None, rows), FLAGS.lines))
    return found or {"intents176": (load_intents176("train").texts * 20)[: FLAGS.lines]}


def reference(vocab):
    tokenizer = Reference(WordPiece({entry: i for i, entry in enumerate(vocab)}, unk_token="[UNK]"))
    tokenizer.normalizer = Sequence([NFC(), BertNormalizer(strip_accents=False, lowercase=False)])
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def encode(tokenizer, lines, threads=True, fast=False):
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads else "false"
    encodings = (tokenizer.encode_batch_fast if fast else tokenizer.encode_batch)(lines)
    return sum(len(encoding.ids) for encoding in encodings)


def cached_words(tokenizer, lines):
    """A dict from blank-separated words to ids; `tokenizers` encodes the words that are not in it."""
    cache, count = {}, 0
    for start in range(0, len(lines), GRAPH_BATCH):
        parts = " ".join(lines[start : start + GRAPH_BATCH]).split(" ")
        missing = [part for part in set(parts) if part not in cache]
        for part, encoding in zip(missing, tokenizer.encode_batch_fast(missing), strict=True):
            cache[part] = encoding.ids
        count += sum(len(cache[part]) for part in parts)
    return count


def batches(lines, size):
    return [lines[start : start + size] for start in range(0, len(lines), size)]


def graph_methods(tokenizer, lines):
    """Methods in TensorFlow: the same ids in batches and in tf.data, and tensorflow_text's fast tokenizer."""
    import tensorflow as tf
    import tensorflow_text as tf_text

    from tfkor.text import GraphTokenizer

    signature = [tf.TensorSpec([None], tf.string)]
    ours = tf.function(GraphTokenizer(tokenizer).ids, input_signature=signature)
    bert = tf_text.FastBertTokenizer(tokenizer.vocab, token_out_type=tf.int32)
    theirs = tf.function(bert.tokenize, input_signature=signature)

    def in_turn(function):
        return sum(int(function(tf.constant(batch)).row_splits[-1]) for batch in batches(lines, GRAPH_BATCH))

    def in_tf_data():
        data = tf.data.Dataset.from_tensor_slices(lines).batch(GRAPH_BATCH)
        return sum(int(ids.row_splits[-1]) for ids in data.map(ours, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2))

    return {
        "GraphTokenizer": lambda: in_turn(ours),
        "GraphTokenizer in tf.data": in_tf_data,
        "tensorflow_text FastBertTokenizer": lambda: in_turn(theirs),
    }


def start_worker(vocab):
    global worker_tokenizer
    worker_tokenizer = Tokenizer(vocab)


def work(lines):
    return worker_tokenizer.ids(lines)


def measure(lines, vocab, pool):
    """Method -> {"lines_per_second": median, "ratio": to encode_batch}."""
    tokenizer, expected = Tokenizer(vocab), reference(vocab)
    parts = batches(lines, -(-len(lines) // (4 * FLAGS.processes)))
    methods = {
        "tokenizers encode_batch": lambda: encode(expected, lines),
        "tokenizers encode_batch, 1 thread": lambda: encode(expected, lines, threads=False),
        "tokenizers encode_batch_fast": lambda: encode(expected, lines, fast=True),
        "dict of words in front of tokenizers": lambda: cached_words(expected, lines),
        **graph_methods(tokenizer, lines),
        "Tokenizer": lambda: len(tokenizer.ids(lines).values),
        f"Tokenizer in {FLAGS.processes} processes": lambda: sum(len(ids.values) for ids in pool.map(work, parts)),
    }
    ids = tokenizer.ids(lines)
    assert ids.to_lists() == [encoding.ids for encoding in expected.encode_batch(lines)]
    seconds = {name: [] for name in methods}
    for turn in range(FLAGS.rounds + 1):
        for name, method in methods.items():
            start = time.perf_counter()
            count = method()
            if turn:  # the first turn is a warm-up
                seconds[name].append(time.perf_counter() - start)
            assert count == len(ids.values) or "FastBert" in name, (name, count, len(ids.values))
    base = seconds["tokenizers encode_batch"]
    return {
        name: {
            "lines_per_second": round(len(lines) / statistics.median(times)),
            "ratio": round(statistics.median(b / t for b, t in zip(base, times, strict=True)), 2),
        }
        for name, times in seconds.items()
    }


def job():
    found = sources()
    vocab = train_wordpiece([line for lines in found.values() for line in lines], FLAGS.vocab_size)
    results = {"cores": os.cpu_count(), "vocab_size": len(vocab), "rounds": FLAGS.rounds}
    with multiprocessing.get_context("spawn").Pool(FLAGS.processes, start_worker, [vocab]) as pool:
        for name, lines in found.items():
            results[name] = {"lines": len(lines), "characters": sum(map(len, lines)), **measure(lines, vocab, pool)}
            print(f"\n{name}: {len(lines):,} lines, {sum(map(len, lines)) / len(lines):.1f} characters a line")
            print(f"| {'':36} | lines/s | ratio |\n|{'-' * 38}|--------:|------:|")
            for method, measured in results[name].items():
                if isinstance(measured, dict):
                    print(f"| {method:36} | {measured['lines_per_second']:7,} | {measured['ratio']:5.2f} |")
    return results


if __name__ == "__main__":
    run_program(define_flags, job)
