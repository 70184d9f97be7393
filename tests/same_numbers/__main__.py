"""Shows that two commits compute the same numbers at the same speed, from the same stored weights.

    python tests/same_numbers --old=f0efc96 --new=.                  # . is the working tree
    python tests/same_numbers --old=f0efc96 --only=encoders,exports  # some groups alone
    python tests/same_numbers --old=f0efc96 --only=speed --turns=9

The old commit writes folders (encoders, objectives with heads, runs of run_pretraining, tasks, shards, tokenizers);
then one process a commit loads them and writes what it computes, and the two are compared. It prints a table, then one
JSON object, and exits with 1 where something differs by more than is allowed. pytest does not collect it.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import compare

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
GROUPS = {  # name: the largest difference that is allowed, relative to the largest value where that exceeds 1
    "tokenizers": 0.0,
    "batches": 0.0,
    "encoders": 1e-6,
    "objectives": 1e-6,
    "tasks": 1e-6,
    "predictions": 1e-6,
    "exports": 1e-6,
    "steps_float32": 1e-4,
    "steps_bfloat16": 1e-2,
    "dropout": None,  # see compare.py
}
TURNS = ("training_step", "fine_tuning", "prediction", "tokenizer")
ALLOWED_RATIO = 1.05


class Worker:
    """A process that imports tfkor from `root`, and does what it is asked to."""

    def __init__(self, name, root, log, threads):
        self.name, self.log = name, log
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
        limits = {} if not threads else {
            key: str(threads) for key in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
        }  # fmt: skip
        environment = {**os.environ, **quiet, **limits, "PYTHONPATH": str(root)}
        with open(log, "w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "worker.py"), str(root)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=root, env=environment,
            )  # fmt: skip

    def do(self, request, **arguments):
        """Returns what the worker answers.

        Raises:
          RuntimeError: it failed there, or has ended.
        """
        with contextlib.suppress(BrokenPipeError):  # the worker has ended; its log says why
            self.process.stdin.write(json.dumps({"do": request, **arguments}) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": Path(self.log).read_text(errors="replace")[-3000:]}
        if "error" in answer:
            raise RuntimeError(f"{self.name} commit, {request} {arguments}:\n{answer['error']}")
        return answer

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def checkout(commit, folder):
    """The folder that holds `tfkor` as of a commit; "." is the working tree, another path that folder itself."""
    if commit == ".":
        return REPOSITORY
    if (Path(commit) / "tfkor").is_dir():
        return Path(commit).resolve()
    folder.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", commit, "tfkor"], cwd=REPOSITORY, check=True, stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


def described(commit):
    """The name of a commit for the record; of the working tree its last commit, with "+" if something is changed."""
    if commit != ".":
        return commit
    command = ["git", "describe", "--always", "--dirty=+"]
    last = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    return last.stdout.strip() or commit


def compare_numbers(workers, groups, folder, say):
    """A list of compare.Finding: both workers compute each group, at the same time."""
    findings = []
    with ThreadPoolExecutor(2) as pool:
        for group in groups:
            say(f"{group} ...")

            def compute(worker, group=group):
                out = folder / f"{worker.name}-{group}"
                try:
                    answer = worker.do("numbers", group=group, folder=str(folder / "stored"), out=str(out))
                    return compare.read(out), answer["seconds"]
                except RuntimeError as error:
                    return str(error), 0.0

            results = list(pool.map(compute, workers))
            broken = [result for result, _ in results if isinstance(result, str)]
            if broken:
                findings += [compare.Finding(group, "failed", float("inf"), 0.0, text) for text in broken]
                continue
            old, new = (result for result, _ in results)
            findings += compare.compared(group, old, new, GROUPS[group])
            worst = max((each.difference for each in findings if each.group == group), default=0.0)
            say(f"{group}: {len(old)} items, at most {worst:.3g}, {results[0][1]:.0f} and {results[1][1]:.0f} s")
    return findings


def compare_speed(workers, turns, folder, only, say):
    """{what: figures}; the workers take turns, each works while the other waits."""
    found = {}
    for what in only:
        seconds = {worker.name: [] for worker in workers}
        try:
            for turn in range(-1, turns):  # the first one warms up
                for worker in workers if turn % 2 else workers[::-1]:
                    answer = worker.do("turn", what=what, folder=str(folder / "stored"))
                    if turn >= 0:
                        seconds[worker.name].append(answer["cpu_seconds"])
            found[what] = compare.speed_of(seconds["old"], seconds["new"])
        except RuntimeError as error:
            found[what] = {"old": 0.0, "new": 0.0, "ratio": float("inf"), "turns": 0, "failed": str(error)}
        say(f"{what}: {found[what]}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", required=True, help="the commit to compare with; it writes the folders")
    parser.add_argument("--new", default=".", help="a commit, . for the working tree, or a folder that holds tfkor")
    parser.add_argument("--only", default="", help=f"some of {', '.join([*GROUPS, 'speed', *TURNS])}; default: all")
    parser.add_argument("--turns", type=int, default=9, help="of each commit, for the speed")
    parser.add_argument("--threads", type=int, default=1, help="of TensorFlow's operations; 0: as many as it takes")
    parser.add_argument("--report", help="write all items, with their differences, into this JSON file")
    options = parser.parse_args()
    only = [name for name in options.only.split(",") if name] or [*GROUPS, "speed"]
    if unknown := set(only) - {*GROUPS, *TURNS, "speed"}:
        parser.error(f"--only={options.only}: found {sorted(unknown)}; expected {[*GROUPS, 'speed', *TURNS]}")
    groups = [name for name in GROUPS if name in only]
    turns = [name for name in TURNS if name in only or "speed" in only]

    def say(line):
        print(line, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="same-numbers-") as temporary:
        folder = Path(temporary)
        commits = {"old": options.old, "new": options.new}
        roots = {name: checkout(commit, folder / name) for name, commit in commits.items()}
        workers = [Worker(name, root, folder / f"{name}.log", options.threads) for name, root in roots.items()]
        try:
            say("the old commit writes the folders ...")
            needed = [*groups, "speed"] if turns else groups
            answer = workers[0].do("write", folder=str(folder / "stored"), groups=needed)
            say(f"written in {answer['seconds']:.0f} s")
            findings = compare_numbers(workers, groups, folder, say)
            speed = compare_speed(workers, options.turns, folder, turns, say)
        finally:
            for worker in workers:
                worker.close()
    over = compare.show(findings, speed, ALLOWED_RATIO)
    if options.report:
        Path(options.report).write_text(json.dumps([each._asdict() for each in findings], indent=1), encoding="utf-8")
    summary = compare.summary(findings, speed)
    commits = {name: described(commit) for name, commit in commits.items()}
    print(json.dumps({**commits, "threads": options.threads, **summary, "over": len(over), "first_over": over[:10]}))
    return int(bool(over))


if __name__ == "__main__":
    sys.exit(main())
