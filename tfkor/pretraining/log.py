"""log.jsonl in the folder of a run, and the counters between two of its lines."""

import json
import time
from pathlib import Path

from tfkor.files import new_file

LOG = "log.jsonl"


class RunLog:
    """One JSON object per line: the metrics of the last steps, or of an evaluation, with the `step`."""

    def __init__(self, folder: Path):
        self.path = folder / LOG

    def write(self, line: dict):
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def forget_after(self, step: int):
        """Removes the lines of later steps, which a resumed run repeats, and the incomplete line of a killed run."""
        if self.path.is_file():
            lines = [line for line in self.path.read_text(encoding="utf-8").splitlines() if is_before(line, step)]
            with new_file(self.path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def is_before(line, step):
    """Whether a line of the log is complete and not of a later step."""
    try:
        return json.loads(line)["step"] <= step
    except (ValueError, KeyError):
        return False


class Window:
    """The steps between two log lines: their metrics, tokens without padding, and seconds.

    Metrics are kept unread until the next log line, since reading them may wait for a device or a worker.

    Args:
      metrics: those of earlier steps that the mean loss includes.
    """

    def __init__(self, metrics=()):
        self.start, self.steps, self.tokens, self.metrics = time.monotonic(), 0, 0, list(metrics)

    def add(self, tokens: int, metrics):
        self.steps += 1
        self.tokens += tokens
        self.metrics.append(metrics)

    def mean_loss(self) -> float:
        return sum(float(metrics["loss"]) for metrics in self.metrics) / len(self.metrics)

    def seconds(self) -> float:
        return max(time.monotonic() - self.start, 1e-9)
