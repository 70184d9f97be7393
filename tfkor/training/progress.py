"""A progress line for long jobs."""

import sys
import time


class Progress:
    """Prints `title  step/total  examples/s  time left  metrics` to standard error.

    On a terminal the line is rewritten; elsewhere a new one is printed every `every` seconds. `done` is the number of
    steps that a resumed run had done before.
    """

    def __init__(
        self, title: str, total: int, unit: str = "examples", every: float = 10.0, stream=None, done: int = 0
    ):
        self.title, self.total, self.unit, self.done = title, total, unit, done
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.every = 0.3 if self.terminal else every
        self.start = self.printed = time.monotonic()
        self.steps, self.units = done, 0

    def update(self, units: int = 0, **metrics):
        """Counts a step of `units` units; a metric may be a function, which is called only when it is printed."""
        self.steps += 1
        self.units += units
        if time.monotonic() - self.printed >= self.every:
            self.print(metrics)

    def print(self, metrics):
        self.printed = now = time.monotonic()
        seconds = max(now - self.start, 1e-9)
        left = seconds / max(self.steps - self.done, 1) * (self.total - self.steps)
        values = {name: value() if callable(value) else value for name, value in metrics.items()}
        shown = "  ".join(
            f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
        )
        rate = f"{self.units / seconds:,.0f} {self.unit}/s"
        line = f"{self.title}  {self.steps}/{self.total}  {rate}  {clock(left)} left  {shown}"
        self.stream.write(f"\r{line:<110}" if self.terminal else line + "\n")
        self.stream.flush()

    def close(self, **metrics):
        """Prints the last state and ends the line."""
        self.print(metrics)
        if self.terminal:
            self.stream.write("\n")
            self.stream.flush()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start


def clock(seconds):
    """75 -> "1:15", 3700 -> "1:01:40"."""
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
