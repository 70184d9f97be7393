"""A contender as a process that keeps its model: a line of JSON for each request, and for each answer."""

import contextlib
import json
import re
import subprocess
from pathlib import Path


class Ended(Exception):
    """The process gives no answer any more; the message has the end of its errors."""


class Worker:
    """Starts a command, and is asked by `ask`; its errors go to the file `errors`."""

    def __init__(self, command, environment, errors):
        self.errors = errors
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with open(errors, "w", encoding="utf-8") as file:
            self.process = subprocess.Popen(command, stderr=file, env=environment, **pipes)

    def ask(self, **request):
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self.answer()

    def answer(self):
        """The next answer; one comes before the first request."""
        line = self.process.stdout.readline()
        if not line:
            told = self.errors.read_text(encoding="utf-8")[-1000:]
            raise Ended(f"it ended with {self.process.wait()}: {told}")
        return json.loads(line)

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()  # ends the loop of its requests
        self.process.wait()
        self.process.stdout.close()


def peak_memory_mb():
    """The most memory that this process has had since its program began, in MB; of Linux.

    getrusage would also count what the process that started it had by then.
    """
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
