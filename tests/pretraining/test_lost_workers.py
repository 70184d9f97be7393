"""What the processes of a run do when one of them dies, and that all can be started again."""

import json
import os
import subprocess
import sys
import time

import pytest
from free_ports import free_ports
from tiny_corpus import write_shards


def start_tasks(folder, backend, strategy, kinds, steps):
    """run_pretraining in a process for each of `kinds`; what they say goes to the files 0, 1, ..."""
    hosts = [f"127.0.0.1:{port}" for port in free_ports(len(kinds))]
    cluster = {kind: [host for host, each in zip(hosts, kinds) if each == kind] for kind in kinds}
    flags = f"--strategy={strategy} --size=tiny --max_positions=32 --length=24 --batch_size=8 --save_every=5"
    command = [sys.executable, "-m", "tfkor.scripts.run_pretraining", *flags.split(), f"--steps={steps}"]
    command += [f"--shards={folder / 'shards'}", f"--model_dir={folder / 'run'}", "--held_out=0"]
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    tasks = []
    for i, kind in enumerate(kinds):
        if backend == "tensorflow":
            task = {"type": kind, "index": kinds[:i].count(kind)}
            environment["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
        else:
            said = {"JOB_ADDRESSES": ",".join(hosts), "NUM_PROCESSES": str(len(hosts)), "PROCESS_ID": str(i)}
            environment |= {f"KERAS_DISTRIBUTION_{name}": value for name, value in said.items()}
        with open(folder / str(i), "w") as log:
            tasks.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
    return tasks


def start_workers(folder, backend, steps):
    strategy = {"tensorflow": "multi_worker", "jax": "data_parallel"}[backend]
    return start_tasks(folder, backend, strategy, ("worker", "worker"), steps)


def newest_step(folder):
    return max((int(path.name[5:]) for path in (folder / "run/checkpoints").glob("step-*")), default=0)


def wait_for_step(folder, step, task):
    end = time.monotonic() + 300
    while newest_step(folder) < step:
        assert time.monotonic() < end and task.poll() is None, (folder / "0").read_text()[-2000:]
        time.sleep(0.1)


@pytest.mark.slow
def test_a_chief_goes_on_without_a_worker_and_names_a_lost_parameter_server(tmp_path):
    (tmp_path / "shards").mkdir()
    write_shards(tmp_path / "shards")
    kinds = ("chief", "ps", "worker", "worker")
    chief, server, *workers = start_tasks(tmp_path, "tensorflow", "parameter_server", kinds, steps=100_000)
    wait_for_step(tmp_path, 5, chief)
    workers[1].kill()
    wait_for_step(tmp_path, newest_step(tmp_path) + 20, chief)
    server.kill()
    assert chief.wait(60) == 1
    last = (tmp_path / "0").read_text().splitlines()[-1]
    assert last.startswith("error: lost /job:ps/replica:0/task:0, so this process ends too. Start all again"), last
    assert workers[0].wait(60) == 0


GONE = {
    "tensorflow": ("error: lost /job:worker/replica:0/task:1, so this process ends too. Start all again",),
    "jax": ("error: lost another of the 2 processes, so this one, 0, ends too", "Task 1 heartbeat timeout"),
}


@pytest.mark.slow
@pytest.mark.parametrize("backend", GONE)
def test_when_a_worker_dies_the_other_names_it_and_ends_and_all_can_go_on(tmp_path, backend):
    pytest.importorskip(backend)
    (tmp_path / "shards").mkdir()
    write_shards(tmp_path / "shards")
    workers = start_workers(tmp_path, backend, steps=100_000)
    wait_for_step(tmp_path, 5, workers[0])
    workers[1].kill()
    assert workers[0].wait(60) != 0
    said = (tmp_path / "0").read_text()
    assert all(words in said for words in GONE[backend]), said[-3000:]
    (plan,) = tmp_path.glob("run/plan.json")
    step = newest_step(tmp_path)
    plan.write_text(json.dumps({"steps": step + 5, "asked": {"steps": step + 5, "hours": None}}))
    assert [worker.wait(300) for worker in start_workers(tmp_path, backend, steps=step + 5)] == [0, 0]
    last = next(line for line in (tmp_path / "0").read_text().splitlines() if line.startswith("{"))
    assert json.loads(last)["steps"] == step + 5
