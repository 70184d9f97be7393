"""A contender as a process that keeps its model; each request and each answer is a line of JSON."""

import contextlib
import json
import re
import subprocess
from pathlib import Path


class Ended(Exception):
    """The process has ended; the message has the end of its standard error."""


class Worker:
    """Starts a command, to which `ask` sends requests; its standard error goes to the file `errors`."""

    def __init__(self, command, environment, errors):
        self.errors = errors
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with open(errors, "w", encoding="utf-8") as file:
            self.process = subprocess.Popen(command, stderr=file, env=environment, **pipes)

    def ask(self, **request):
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self.answer()

    def answer(self):
        """The next answer; the process sends one before the first request."""
        line = self.process.stdout.readline()
        if not line:
            errors = self.errors.read_text(encoding="utf-8")[-1000:]
            raise Ended(f"it ended with {self.process.wait()}: {errors}")
        return json.loads(line)

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()  # ends the loop of its requests
        self.process.wait()
        self.process.stdout.close()


def peak_memory_mb():
    """The peak memory of this process since its program began, in MB; Linux only.

    getrusage would also count the memory of the process that started it.
    """
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
