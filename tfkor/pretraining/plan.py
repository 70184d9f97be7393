"""plan.json in the folder of a run: the settings that it was started with, and its number of steps."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from tfkor.files import write_json

PLAN = "plan.json"
RENAMED = {"hours": "train_hours"}  # in plans of older versions
BUDGETS = ("steps", "train_hours")  # of them one is set, and decides `steps` of the plan


def write_plan(folder: Path, steps: int, settings: dict, seconds_a_step: list[float] | None = None):
    """Writes the number of steps, and the settings; `asked` has those that set the number of steps."""
    asked = {name: settings[name] for name in BUDGETS}
    others = {name: value for name, value in settings.items() if name not in BUDGETS}
    plan = {"steps": steps, "asked": asked, "seconds_a_step": seconds_a_step, "settings": others}
    write_json(folder / PLAN, plan)


def read_plan(folder: Path, settings: dict, is_saved: bool) -> dict | None:
    """The plan in a folder, a dict with `steps`, if it has the settings of this run.

    Args:
      settings: {name: value} of all that decides the run. An older plan may have fewer of them.
      is_saved: whether the folder has checkpoints; without them a run with other values may start from scratch.

    Returns:
      The dict, or None for a run that starts from scratch.

    Raises:
      ValueError: the folder has checkpoints of a run with other values; the message names them.
    """
    path = folder / PLAN
    if not path.is_file():
        return None
    plan = json.loads(path.read_text(encoding="utf-8"))
    started = {**plan.get("settings", {}), **plan.get("asked", {})}
    started = {RENAMED.get(name, name): value for name, value in started.items()}
    wrong = [
        f"{name}: found {settings[name]}, expected {value}"
        for name, value in started.items()
        if name in settings and settings[name] != value
    ]
    if wrong and is_saved:
        raise ValueError(
            f"{path}: the run was started with other values: {'; '.join(wrong)}. Choose a new folder for another run"
        )
    return None if wrong else plan


def await_plan(folder: Path, read: Callable[[], dict | None], seconds: float = 1800) -> dict:
    """Waits for the plan that the first worker writes, until `read()` returns it.

    Raises:
      FileNotFoundError: there was no plan after `seconds`.
    """
    end = time.monotonic() + seconds
    while (plan := read()) is None:
        if time.monotonic() > end:
            raise FileNotFoundError(
                f"{folder / PLAN}: not there after {seconds:g} s; expected the first worker to write it: the "
                "folder of the run must be on a file system that all machines can write to"
            )
        time.sleep(0.1)
    return plan
