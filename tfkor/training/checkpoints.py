"""Checkpoints that are complete or absent: each is written to a temporary folder, with checksums, and then renamed."""

import json
import os
import re
import shutil
from pathlib import Path

import keras
import numpy as np

from tfkor.files import new_folder
from tfkor.tensor_files import sha256

NAME = re.compile(r"step-(\d+)$")


class Checkpoints:
    """The last `keep` checkpoints of a run, each a folder `step-00001000` under `folder`.

    A checkpoint consists of groups of arrays, one .npz each, and state.json: the step, whatever else the run needs to
    resume, and the SHA-256 of each .npz.

    Args:
      folder: created by the first save.
      keep: how many checkpoints to keep, the newest ones; None keeps all.
      on_damage: what `latest` does about a damaged checkpoint: "skip" it with a warning and take the one before, or
        "stop" with an error.
    """

    def __init__(self, folder: str | Path, keep: int | None = 3, on_damage: str = "skip"):
        if on_damage not in ("skip", "stop"):
            raise ValueError(f'on_damage is {on_damage!r}; expected "skip" or "stop"')
        if keep is not None and keep < 1:
            raise ValueError(f"keep is {keep}; expected at least 1, or None for all")
        self.folder, self.keep, self.on_damage = Path(folder), keep, on_damage

    def steps(self) -> list[int]:
        """The steps of the checkpoints in the folder, ascending; some may be damaged."""
        if not self.folder.is_dir():
            return []
        found = (NAME.match(path.name) for path in self.folder.iterdir() if path.is_dir())
        return sorted(int(match[1]) for match in found if match)

    def path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def save(self, step: int, groups: dict, state: dict | None = None):
        """Writes a checkpoint, then removes the oldest ones beyond `keep`; a failure leaves existing checkpoints alone.

        Args:
          groups: {group: {name: array}}.
          state: a dict that JSON can hold.

        Raises:
          OSError: it could not be written; the message names the newest checkpoint before it.
        """
        self.remove_leftovers()
        try:
            with new_folder(self.path(step), overwrite=True) as temporary:
                sums = {}
                for group, arrays in groups.items():
                    path = temporary / f"{group}.npz"
                    with open(path, "wb") as file:
                        np.savez(file, **{name.replace("/", "|"): value for name, value in arrays.items()})
                        file.flush()
                        os.fsync(file.fileno())
                    sums[path.name] = sha256(path)
                content = {"step": step, "sha256": sums, "state": state or {}}
                with open(temporary / "state.json", "w", encoding="utf-8") as file:
                    json.dump(content, file, ensure_ascii=False, indent=1)
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            kept = [s for s in self.steps() if s != step]
            before = f"the last one is {self.path(kept[-1])}" if kept else "there is none before it"
            reason = error.strerror or error
            raise OSError(f"{self.path(step)}: the checkpoint can't be written ({reason}); {before}") from error
        if self.keep is not None:
            for old in self.steps()[: -self.keep]:
                shutil.rmtree(self.path(old), ignore_errors=True)

    def load(self, step: int) -> tuple[dict, dict]:
        """Returns (groups, state) of a checkpoint.

        Raises:
          ValueError: a file of it is missing or damaged.
        """
        path = self.path(step)
        try:
            content = json.loads((path / "state.json").read_text(encoding="utf-8"))
            sums, state = content["sha256"], content["state"]
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{path / 'state.json'}: can't be read ({error}); expected a whole checkpoint") from error
        groups = {}
        for name, expected in sums.items():
            file = path / name
            found = sha256(file) if file.is_file() else "no such file"
            if found != expected:
                raise ValueError(f"{file}: SHA-256 is {found}; expected {expected}, the checkpoint is damaged")
            with np.load(file) as arrays:
                groups[file.stem] = {key.replace("|", "/"): arrays[key] for key in arrays.files}
        return groups, state

    def latest(self) -> tuple[int, dict, dict] | None:
        """Returns (step, groups, state) of the newest complete checkpoint, or None if there are no checkpoints.

        Raises:
          ValueError: one is damaged and `on_damage` is "stop", or all are.
        """
        from absl import logging

        steps = self.steps()
        for step in reversed(steps):
            try:
                return (step, *self.load(step))
            except ValueError as error:
                if self.on_damage == "stop":
                    raise ValueError(f"{error}. Delete that folder to resume from the one before") from error
                logging.warning("%s; it is skipped", error)
        if steps:
            raise ValueError(f"{self.folder}: none of its {len(steps)} checkpoints is complete; expected at least one")
        return None

    def remove_leftovers(self):
        """Removes the temporary folders of saves that were killed."""
        for path in self.folder.glob(".step-*.tmp-*"):
            shutil.rmtree(path, ignore_errors=True)


def arrays_of(groups: dict) -> dict:
    """{group: variables} -> {group: {name: array}}, where the names keep the order of the variables."""
    return {
        group: {f"{i:04d}/{v.path}": keras.ops.convert_to_numpy(v) for i, v in enumerate(variables)}
        for group, variables in groups.items()
    }


def assign_arrays(groups: dict, arrays: dict, source: str | Path = "checkpoint"):
    """Assigns the values that `arrays_of` returned to {group: variables}.

    Raises:
      ValueError: their number or shapes differ; the message names `source`.
    """
    for group, variables in groups.items():
        found = list(arrays[group].values())
        if [value.shape for value in found] != [tuple(v.shape) for v in variables]:
            raise ValueError(
                f"{source}: its {len(found)} arrays of the {group} are not those of this run, {len(variables)}; "
                "expected the same settings as when the run was started"
            )
        for variable, value in zip(variables, found, strict=True):
            variable.assign(value)
