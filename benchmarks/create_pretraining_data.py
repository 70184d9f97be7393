"""Text to pretraining data: tfkor beside TF Model Garden's create_pretraining_data.py, google-research/bert's logic.

  python -m venv garden && garden/bin/pip install "tf-models-official==2.20.*"
  python benchmarks/create_pretraining_data.py --peer_python=garden/bin/python

Both get the same sentences of a corpus, the same WordPiece vocabulary, cased, and write their output; Model Garden with
duplication factor 1, length 128 and 20 predictions. They take turns over the rounds, with each of two sizes of the
corpus. Wall time is measured from the text file to the written output, after the libraries have been imported;
tfkor's includes the start of its workers. CPU time is measured too, since other jobs on the machine affect it less;
tfkor's includes the imports of all its processes, Model Garden's does not. Memory is the sum of the peaks of all
processes of a contender. The difference between the small corpus and the large one gives the rate without start-up.

Is it the same information? Model Garden's examples contain each sentence about once, truncated and masked, with a
random second segment in half of them. tfkor's shards contain the ids of all sentences, and where sentences, documents
and eojeols begin; the script compares these ids, sentence by sentence, with those of Model Garden's tokenizer, and
their documents.
`tfkor with TFRecords` writes Model Garden's examples as well. The last line is one JSON object.
"""

import contextlib
import gzip
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from absl import app, flags

from tfkor.data.shards import ShardFolder
from tfkor.scripts import run_program, say
from tfkor.text import Lines, Tokenizer, train_wordpiece

FLAGS = flags.FLAGS

PEER = """
import json, logging, sys, time
from absl import app, flags
from official.nlp.data import create_pretraining_data as program

def main(argv):
    logging.getLogger("absl").setLevel(logging.ERROR)
    start, cpu = time.perf_counter(), time.process_time()
    program.main(argv)
    print(json.dumps({"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}))

flags.mark_flags_as_required(["input_file", "output_file", "vocab_file"])
app.run(main)
"""
PEER_IDS = """
import json, sys
from official.nlp.tools import tokenization
tokenizer = tokenization.FullTokenizer(vocab_file=sys.argv[1], do_lower_case=False)
for line in open(sys.argv[2], "rb"):
    tokens = tokenizer.tokenize(tokenization.convert_to_unicode(line).strip())
    print(json.dumps(tokenizer.convert_tokens_to_ids(tokens)))
"""


def define_flags():
    here = Path(__file__).resolve().parents[1]
    data = os.environ.get("TFKOR_DATA", here.parent / "shared" / "data")
    flags.DEFINE_string("peer_python", None, "Python of an environment with tf-models-official.", required=True)
    flags.DEFINE_string("data_dir", str(data), "Folder with corpus/.")
    names = ["tensorflow_docs_ko", "president_speeches", "msdocs_visualstudio_ko"]
    flags.DEFINE_list("corpus", names, "Files of corpus/, without .txt.gz.")
    flags.DEFINE_list("sentences", ["30000", "120000"], "Sizes of the corpus: a small one and a large one.")
    flags.DEFINE_integer("vocab_size", 16_000, "Entries of the vocabulary, learned from the larger one.")
    flags.DEFINE_integer("rounds", 3, "Turns of each contender.", lower_bound=1)
    flags.DEFINE_integer("workers", os.cpu_count(), "Processes of tfkor.", lower_bound=1)
    flags.DEFINE_float("shard_mb", 2.0, "Text of a shard of tfkor, in 10**6 bytes.")
    flags.DEFINE_bool("tfrecords", True, "Also measure tfkor with TFRecords.")


def write_corpus(folder):
    """[(number of sentences, path), ...]: whole documents from the start of each corpus, in equal parts."""
    found = []
    for size in map(int, FLAGS.sentences):
        path = folder / f"{size}.txt"
        with open(path, "w", encoding="utf-8") as file:
            count = sum(_copy(name, size // len(FLAGS.corpus), file) for name in FLAGS.corpus)
        found.append((count, path))
    return found


def _copy(name, size, out):
    count, document = 0, []
    with gzip.open(Path(FLAGS.data_dir) / "corpus" / f"{name}.txt.gz", "rt", encoding="utf-8") as file:
        for line in file:
            if line.strip():
                document.append(line)
                continue
            out.writelines([*document, "\n"])
            count, document = count + len(document), []
            if count >= size:
                break
    return count


def measured(command):
    """The JSON object on the last line that the command prints, with the CPU time and memory of all its processes."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=tempfile.gettempdir()
    )
    peaks, ended = {}, threading.Event()

    def watch():
        while not ended.wait(0.05):
            for pid in _family(process.pid):
                peaks[pid] = max(peaks.get(pid, 0), _peak_kb(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, errors = process.communicate()
    ended.set()
    watcher.join()
    if process.returncode:
        raise app.UsageError(f"{' '.join(command[:4])} ... ended with {process.returncode}: {errors[-1000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    measured = {"cpu_seconds": cpu, **json.loads(output.splitlines()[-1])}
    return {**measured, "peak_mb": round(sum(peaks.values()) / 1024)}


def _family(pid):
    """The ids of a process and of all its descendants."""
    found = [pid]
    for pid in found:
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # it has ended
                found += map(int, path.read_text().split())
    return found


def _peak_kb(pid):
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def tfkor(text, folder, *more_flags):
    out = folder / "shards"
    shutil.rmtree(out, ignore_errors=True)
    return measured(
        [
            sys.executable, "-m", "tfkor.scripts.create_pretraining_data", f"--input={text}", f"--output_dir={out}",
            f"--tokenizer={folder / 'tokenizer'}", f"--workers={FLAGS.workers}", f"--shard_mb={FLAGS.shard_mb}",
            *more_flags,
        ]
    )  # fmt: skip


def tfkor_tfrecords(text, folder):
    shutil.rmtree(folder / "tfrecords", ignore_errors=True)
    more = ("max_seq_length=128", "max_predictions_per_seq=20", "dupe_factor=1")
    return tfkor(text, folder, f"--tfrecord_dir={folder / 'tfrecords'}", *(f"--{flag}" for flag in more))


def model_garden(text, folder):
    return measured(
        [
            FLAGS.peer_python, "-c", PEER, f"--input_file={text}", f"--output_file={folder / 'peer.tfrecord'}",
            f"--vocab_file={folder / 'tokenizer/vocab.txt'}", "--do_lower_case=False", "--dupe_factor=1",
            "--max_seq_length=128", "--max_predictions_per_seq=20",
        ]
    )  # fmt: skip


def compare(text, folder):
    """Sentences whose ids in the shards differ from those of Model Garden's tokenizer, and documents that differ."""
    command = [FLAGS.peer_python, "-c", PEER_IDS, str(folder / "tokenizer/vocab.txt"), str(text)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    theirs, document = [], []
    for ids in [*map(json.loads, done.stdout.splitlines()), []]:
        if ids:
            document.append(ids)
        elif document:
            theirs.append(document)
            document = []
    shards = ShardFolder(folder / "shards")
    ours = [[s.tolist() for s in d] for i in range(len(shards)) for d in shards.read(i).documents()]
    if list(map(len, ours)) != list(map(len, theirs)):
        return {"documents": len(theirs), "documents_in_shards": len(ours)}
    pairs = [pair for a, b in zip(ours, theirs) for pair in zip(a, b)]
    return {"documents": len(theirs), "sentences": len(pairs), "sentences_that_differ": sum(a != b for a, b in pairs)}


def job():
    if len(FLAGS.sentences) != 2:
        raise app.UsageError(f"--sentences={','.join(FLAGS.sentences)}; expected two sizes")
    contenders = {"tfkor": tfkor, "tfkor with TFRecords": tfkor_tfrecords, "Model Garden": model_garden}
    if not FLAGS.tfrecords:
        del contenders["tfkor with TFRecords"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        corpora = write_corpus(folder)
        Tokenizer.from_vocab(train_wordpiece(Lines(corpora[-1][1]), FLAGS.vocab_size)).save(folder / "tokenizer")
        runs = {(name, count): [] for count, _ in corpora for name in contenders}
        for turn in range(FLAGS.rounds):
            for count, text in corpora:
                for name, contender in contenders.items():
                    found = contender(text, folder)
                    runs[name, count].append(found)
                    seconds = found["seconds"] + found.get("tfrecord_seconds", 0)
                    found["seconds"] = seconds
                    say(f"round {turn + 1}, {name}: {count:,} sentences, {seconds:.1f} s, {found['peak_mb']} MB")
        same = compare(corpora[-1][1], folder)

    results = {"cores": os.cpu_count(), "workers": FLAGS.workers, "rounds": FLAGS.rounds, "compared": same}
    print(f"\n| {'':22} | sentences | sentences/s | over Model Garden | per CPU second | over Model Garden | peak MB |")
    print(f"|{'-' * 24}{'|--:' * 6}|")
    for name in contenders:
        for count, _ in corpora:
            row = {}
            for clock in ("seconds", "cpu_seconds"):
                times, peers = ([run[clock] for run in runs[of, count]] for of in (name, "Model Garden"))
                row[f"sentences_per_{clock[:-1]}"] = round(count / statistics.median(times))
                row[f"{clock}_ratio"] = round(statistics.median(b / a for a, b in zip(times, peers)), 2)
            row["peak_mb"] = round(statistics.median(run["peak_mb"] for run in runs[name, count]))
            results.setdefault(name, {})[count] = row
            print(f"| {name:22} | {count:,} | {' | '.join(f'{value:,}' for value in row.values())} |")
    (small, _), (large, _) = corpora
    results["marginal"] = {name: marginal(runs[name, small], runs[name, large], large - small) for name in contenders}
    print(f"\nSentences per CPU second, from {small:,} to {large:,} sentences: {results['marginal']}")
    return results


def marginal(small, large, sentences):
    """Sentences per CPU second, for the sentences that only the large corpus has."""
    seconds = statistics.median(b["cpu_seconds"] - a["cpu_seconds"] for a, b in zip(small, large))
    return round(sentences / seconds) if seconds > 0 else None


if __name__ == "__main__":
    run_program(define_flags, job)
