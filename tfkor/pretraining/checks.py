"""What would end a pretraining in an error, or train on less than it seems, found before its first step."""

import json
import time


def check_batches(phases, parts, replicas):
    """Each batch is cut evenly: over `replicas` devices, and there into `parts` of gradient accumulation.

    Raises:
      ValueError: a batch that can't be.
    """
    if parts < 1:
        raise ValueError(f"accumulation is {parts}; expected 1 at least (--accumulation)")
    for number, phase in enumerate(phases):
        flag, size = "long_batch_size" if number else "batch_size", phase.batches.batch_size
        if size < 1 or size % (parts * replicas):
            devices = f", on {replicas} devices" if replicas > 1 else ""
            raise ValueError(
                f"--{flag} is {size} and --accumulation {parts}{devices}; expected a batch that is a multiple of "
                f"{parts * replicas}, so that no row is left out"
            )


def check_lengths(phases, encoders):
    """Raises ValueError if a phase has longer rows than the position table of an encoder, {name: Encoder}."""
    for number, phase in enumerate(phases):
        flag = "long_length" if number else "length"
        for name, encoder in encoders.items():
            if phase.batches.recipe.length > encoder.max_length:
                raise ValueError(
                    f"--{flag}: rows of {phase.batches.recipe.length} ids, but the {name} has {encoder.max_length} "
                    "positions; expected shorter rows, or a larger --max_positions (an --init_checkpoint has its own)"
                )


def read_plan(path, asked, settings, is_saved):
    """The plan in a folder, a dict with `steps`, if it is this run's: it goes on with what it was begun with.

    Args:
      path: of plan.json.
      asked, settings: {"steps": int or None, "hours": float or None}, and {flag: value} of all else that decides the
        run. An older plan may know less of them.
      is_saved: whether the folder has checkpoints; without them a run with other values may begin anew.

    Returns:
      The dict, or None: the run begins.

    Raises:
      ValueError: names each value that differs.
    """
    if not path.is_file():
        return None
    plan = json.loads(path.read_text(encoding="utf-8"))
    begun = {**plan.get("settings", {}), **plan.get("asked", {})}
    found = {**settings, **asked}
    flags = {"hours": "train_hours"}
    wrong = [
        f"--{flags.get(name, name)}: found {found[name]}, expected {value}"
        for name, value in begun.items()
        if name in found and found[name] != value
    ]
    if wrong and is_saved:
        raise ValueError(
            f"{path}: the run was begun with other values: {'; '.join(wrong)}. Name a new folder for another run"
        )
    return None if wrong else plan


def await_plan(path, read, seconds=1800):
    """What `read()` gives once it is not None: the plan that the first worker writes.

    Raises:
      FileNotFoundError: it didn't come in so many seconds.
    """
    end = time.monotonic() + seconds
    while (plan := read()) is None:
        if time.monotonic() > end:
            raise FileNotFoundError(
                f"{path}: not there after {seconds:g} s; expected the first worker to write it: all machines must "
                "share the file system of --model_dir"
            )
        time.sleep(0.1)
    return plan
