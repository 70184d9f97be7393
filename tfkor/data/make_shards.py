"""Text to shards, on all cores of one machine, in bounded memory; a killed run resumes where it stopped."""

import contextlib
import fcntl
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfkor.data import sentences
from tfkor.data.corpus import corpus_files, read_blocks, read_lines
from tfkor.data.duplicates import DuplicateFinder
from tfkor.data.encoding import MEGABYTE, ShardRecipe, encode_lines
from tfkor.data.shards import COUNTS, MANIFEST, shard_name, write_manifest, write_shard
from tfkor.data.text_data import DataError
from tfkor.files import write_json

SETTINGS = "settings.json"


def make_shards(
    inputs: Sequence[str | os.PathLike],
    tokenizer_folder: str | os.PathLike,
    output_dir: str | os.PathLike,
    recipe: ShardRecipe | None = None,
    workers: int | None = None,
    memory_mb: int = 1024,
    say: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Writes the shards of a corpus, or resumes a killed run of the same call.

    Shard i contains the documents of block i of the text, whatever the number of workers, so that a resumed run ends
    with the same bytes.

    Args:
      inputs: files, folders, glob patterns, see `corpus_files`.
      tokenizer_folder: a folder that Tokenizer.save wrote.
      output_dir: a new folder, or that of the killed run.
      recipe: ShardRecipe, or None for the defaults.
      workers: number of processes; None for one on each core.
      memory_mb: memory, in 10**6 bytes, that merging the hashes of duplicates may use, in all processes together.
      say: called with each line of progress.

    Returns:
      dict: counts of documents, sentences, tokens, shards, lines (also the dropped ones) and bytes; seconds;
        lines_per_second; output_dir.

    Raises:
      DataError: bad input, see `corpus_files`, `read_blocks`, `read_lines`; no text; or a folder in which a run with
        another input, tokenizer or recipe was begun.
      BlockingIOError: another run writes to the folder.
      ChildProcessError: a worker died.
    """
    from tfkor.text import Tokenizer

    recipe = recipe or ShardRecipe()
    sentences.sentence_splitter(recipe.split_sentences)  # fails early if Kiwi is not installed
    tokenizer = Tokenizer.load(tokenizer_folder)
    files = corpus_files(inputs)
    settings = {
        "format": "create_pretraining_data 1",
        "tokenizer": tokenizer.fingerprint,
        **asdict(recipe),
        "input": [{"file": Path(file).name, "bytes": os.path.getsize(file)} for file in files],
    }
    most_blocks = 1 + sum(os.path.getsize(file) * _expansion(file) // recipe.block_bytes for file in files)
    workers = min(workers or os.cpu_count(), most_blocks)
    output = Path(output_dir)
    with _locked(output):
        _check_settings(output, settings)
        run = _Run(files, str(tokenizer_folder), output, recipe, workers, memory_mb, say)
        summary = run.run()
        blocks = [entry["block"] for entry in run.entries]
        shards = [entry["shard"] for entry in run.entries if entry["shard"]]
        if not shards:
            raise DataError(f"{', '.join(files[:3])}: no text that gives a token; expected lines of text")
        write_manifest(output, tokenizer, shards, blocks=blocks, settings=settings)
        for folder in (run.progress, run.duplicates):
            shutil.rmtree(folder, ignore_errors=True)
    return summary


def _expansion(file):
    """How many times larger than the file its text may be."""
    return 20 if file.endswith(".gz") else 1


@contextlib.contextmanager
def _locked(folder):
    """Locks the folder for this process, and removes files that an earlier one left half written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "w")  # noqa: SIM115
    except OSError as error:
        raise PermissionError(f"can't write {folder}: {error.strerror}; name a folder that you may write to") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"{folder}: another run is writing to it; wait for it, or name another one") from None
        except OSError:
            pass  # a file system without locks
        for path in [*folder.glob(".*.tmp-*"), *folder.glob("*/.*.tmp-*")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield


def _check_settings(folder, settings):
    path = folder / SETTINGS
    if not path.exists():
        if others := sorted(p.name for p in folder.iterdir() if p.name != ".lock"):
            raise DataError(f"{folder}: not empty, it holds {', '.join(others[:5])}; expected a new folder")
        write_json(path, settings)
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    if {p.name for p in folder.iterdir()} <= {SETTINGS, ".lock", "progress", "duplicates"}:
        for name in ("progress", "duplicates") if before != settings else ():
            shutil.rmtree(folder / name, ignore_errors=True)
        before = settings  # there is no shard yet
        write_json(path, settings)
    for name in settings:
        if before.get(name) != settings[name]:
            raise DataError(
                f"{folder} was begun with another {name}: found {_short(before.get(name))} there, now it is "
                f"{_short(settings[name])}; expected the same: name a new folder, or delete this one"
            )


def _short(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:200] + "..."


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


class _Run:
    """One run of make_shards: duplicates first, if they are to be dropped, then the shards."""

    def __init__(self, files, tokenizer_folder, output, recipe, workers, memory_mb, say):
        self.files, self.output, self.recipe, self.workers, self.say = files, output, recipe, workers, say
        self.progress, self.duplicates = output / "progress", output / "duplicates"
        self.finder = None
        if recipe.duplicates != "none":
            memory = max(1, memory_mb * MEGABYTE // workers)
            self.finder = DuplicateFinder(self.duplicates, recipe.duplicates, memory)
        self.setup = (tokenizer_folder, output, recipe, self.finder)
        self.is_complete = (output / MANIFEST).exists()
        self.finished = self._finished_entries()
        self.entries = []

    def run(self):
        start = time.monotonic()
        with self._pool() as pool:
            if self.finder and not self.is_complete:
                self._find_duplicates(pool)
            made = self._each_block(pool, "shards", self.finished.get, _write_block, self.entries.append)
        seconds = time.monotonic() - start
        blocks = [entry["block"] for entry in self.entries]
        shards = [entry["shard"] for entry in self.entries if entry["shard"]]
        return {
            **{name: sum(shard[name] for shard in shards) for name in COUNTS},
            "shards": len(shards),
            "shards_that_were_there": sum(entry["shard"] is not None for entry in self.finished.values()),
            "bytes": sum(shard["bytes"] for shard in shards),
            "lines": sum(block["lines"] for block in blocks),
            "lines_dropped": sum(block["dropped"] for block in blocks),
            "documents_cut": sum(block["cut"] for block in blocks),
            "seconds": round(seconds, 2),
            "lines_per_second": round(made / seconds),
            "output_dir": str(self.output),
        }

    @contextlib.contextmanager
    def _pool(self):
        """Yields submit(function, *arguments) -> Future; with one worker, it runs in this process."""
        if self.workers == 1:
            _start(*self.setup)
            yield _call
            return
        context = multiprocessing.get_context("spawn")  # a fork would copy locks that libraries' threads hold
        with ProcessPoolExecutor(self.workers, context, _start, (*self.setup, os.getpid())) as pool:
            try:
                yield pool.submit
            except BrokenProcessPool:
                raise ChildProcessError(
                    "a worker died, perhaps because memory ran out; use fewer workers or a smaller shard_mb, and start "
                    "again: the shards that are complete stay"
                ) from None
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _find_duplicates(self, pool):
        def sketched(number):
            found = self.finder.sketched(number)
            return found and {"block": {"sha256": found}}

        results = []
        self._each_block(pool, "duplicates", sketched, _sketch_block, results.append)
        for name in ("lines", "bands")[: 1 + (self.recipe.duplicates == "near")]:
            ranges = self.finder.ranges(name, len(results))
            self.say(f"duplicates: merging the hashes of {name} in {ranges} range{'s' * (ranges > 1)}")
            window = deque()
            for number in range(ranges):
                window.append(pool(_merge, name, number, ranges, len(results)))
                if len(window) > 2 * self.workers:
                    window.popleft().result()
            for future in window:
                future.result()

    def _each_block(self, pool, what, finished, work, take):
        """Calls `work` with each block that has no `finished(number)` result, and `take` with all results, in order.

        Blocks are read only as fast as the workers take them, which bounds the memory. Returns the number of lines in
        the blocks that were processed.
        """
        progress = _Progress(self.files, what, self.say)
        window = deque()

        def take_first():
            position, was_finished, future = window.popleft()
            result = future.result()
            if was_finished:
                progress.skip(position)
            else:
                progress.show(result["block"]["lines"], position)
            take(result)

        for block in read_blocks(self.files, self.recipe.block_bytes):
            result = finished(block.number)
            if result is None:
                window.append((block.position, False, pool(work, block)))
            elif result["block"]["sha256"] == block.sha256:
                window.append((block.position, True, _call(dict, result)))
            else:
                raise DataError(
                    f"{block.parts[0].path}, from line {block.parts[0].line}: the text has changed since "
                    f"{self.output} was begun; expected the same input: name a new folder, or delete this one"
                )
            del block
            if len(window) > self.workers:
                take_first()
        while window:
            take_first()
        progress.end()
        return progress.lines

    def _finished_entries(self):
        """{block number: entry} of the blocks whose shards are complete."""
        if self.is_complete:
            manifest = json.loads((self.output / MANIFEST).read_text(encoding="utf-8"))
            shards = {shard["file"]: shard for shard in manifest["shards"]}
            entries = [{"block": block, "shard": shards.get(block["file"])} for block in manifest["blocks"]]
        else:
            entries = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(self.progress.glob("*.json"))]
        finished = {}
        for entry in entries:
            file = self.output / entry["block"]["file"] if entry["shard"] else None
            if file is None or _sha256(file) == entry["shard"]["sha256"]:
                finished[entry["block"]["number"]] = entry
            else:
                self.say(f"{file}: missing or damaged; it is written again")
                self.is_complete = False
        return finished


class _Progress:
    """Reports the progress every five seconds."""

    def __init__(self, files, what, say):
        self.total, self.what, self.say = sum(map(os.path.getsize, files)), what, say
        self.start = self.shown = time.monotonic()
        self.lines = self.position = self.skipped = self.blocks = 0

    def skip(self, position):
        self.skipped = self.position = position
        self.blocks += 1

    def show(self, lines, position):
        self.lines, self.position, self.blocks = self.lines + lines, position, self.blocks + 1
        now = time.monotonic()
        if now - self.shown >= 5:
            self.shown = now
            done, left = max(1, position - self.skipped), self.total - position
            self.say(
                f"{self.what}: {self.lines:,} lines, {self.lines / (now - self.start):,.0f} lines/s, {self.blocks} "
                f"blocks, {100 * position / self.total:.0f}% read, {(now - self.start) * left / done:.0f} s left"
            )

    def end(self):
        seconds = time.monotonic() - self.start
        self.say(f"{self.what}: {self.lines:,} lines in {seconds:.1f} s, {self.blocks} blocks")


# === Worker processes ===


def _start(tokenizer_folder, output, recipe, finder, parent=None):
    global _worker
    from tfkor.text import Tokenizer

    if parent is not None:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    split = sentences.sentence_splitter(recipe.split_sentences)
    _worker = Tokenizer.load(tokenizer_folder), output, recipe, finder, split


def _end_with_parent():
    """Ends a worker whose parent was killed, which would otherwise wait for work forever."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _call(function, *arguments):
    future = Future()
    future.set_result(function(*arguments))
    return future


def _sketch_block(block):
    _, _, recipe, finder, _ = _worker
    lines = read_lines(block, recipe.text_column)
    finder.sketch(block.number, lines.lines, block.sha256)
    return {"block": {"sha256": block.sha256, "lines": len(lines.lines)}}


def _merge(*arguments):
    _worker[3].merge(*arguments)


def _write_block(block):
    """Writes the shard of a block, then its entry; a block without a token has no shard."""
    tokenizer, output, recipe, finder, split = _worker
    lines = read_lines(block, recipe.text_column)
    dropped = finder.dropped(block.number) if finder else ()
    shard = encode_lines(lines, tokenizer, split, dropped)
    name = shard_name(block.number)
    entry = None
    if len(shard.tokens):
        entry = write_shard(output / name, shard, tokenizer.vocab_size)
    cut = sum(part.cut for part in block.parts)
    block_entry = {"number": block.number, "file": entry and name, "sha256": block.sha256, "lines": len(lines.lines)}
    result = {"block": {**block_entry, "dropped": len(dropped), "cut": cut}, "shard": entry}
    write_json(output / "progress" / f"{block.number:05d}.json", result)
    return result
