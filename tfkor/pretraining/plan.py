"""plan.json in the folder of a run: what it was begun with, and the number of its steps."""

import json
import time
from pathlib import Path

from tfkor.files import write_json

PLAN = "plan.json"
RENAMED = {"hours": "train_hours"}  # in plans of older versions
BUDGETS = ("steps", "train_hours")  # what was asked for, which `steps` of the plan follows from


def write_plan(folder: Path, steps: int, settings: dict, seconds_a_step=None):
    """Writes the number of steps and the settings, those that ask for it apart."""
    asked = {name: settings[name] for name in BUDGETS}
    others = {name: value for name, value in settings.items() if name not in BUDGETS}
    plan = {"steps": steps, "asked": asked, "seconds_a_step": seconds_a_step, "settings": others}
    write_json(folder / PLAN, plan)


def read_plan(folder: Path, settings: dict, is_saved: bool) -> dict | None:
    """The plan in a folder, a dict with `steps`, if it is this run's: it goes on with what it was begun with.

    Args:
      settings: {name: value} of all that decides the run. An older plan may know less of them.
      is_saved: whether the folder has checkpoints; without them a run with other values may begin anew.

    Returns:
      The dict, or None: the run begins.

    Raises:
      ValueError: names each value that differs.
    """
    path = folder / PLAN
    if not path.is_file():
        return None
    plan = json.loads(path.read_text(encoding="utf-8"))
    begun = {**plan.get("settings", {}), **plan.get("asked", {})}
    begun = {RENAMED.get(name, name): value for name, value in begun.items()}
    wrong = [
        f"{name}: found {settings[name]}, expected {value}"
        for name, value in begun.items()
        if name in settings and settings[name] != value
    ]
    if wrong and is_saved:
        raise ValueError(
            f"{path}: the run was begun with other values: {'; '.join(wrong)}. Name a new folder for another run"
        )
    return None if wrong else plan


def await_plan(folder: Path, read, seconds: float = 1800) -> dict:
    """What `read()` gives once it is not None: the plan that the first worker writes.

    Raises:
      FileNotFoundError: it didn't come in so many seconds.
    """
    end = time.monotonic() + seconds
    while (plan := read()) is None:
        if time.monotonic() > end:
            raise FileNotFoundError(
                f"{folder / PLAN}: not there after {seconds:g} s; expected the first worker to write it: all machines "
                "must have the folder of the run on one file system"
            )
        time.sleep(0.1)
    return plan
