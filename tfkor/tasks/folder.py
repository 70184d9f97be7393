"""A task in a folder: task.json, head.safetensors, and encoder/ as `tfkor.models.folder` writes it.

task.json holds the name of the task, its settings, and the SHA-256 of each file of weights. Weights are saved by name.
"""

import os
from pathlib import Path
from typing import Any

from tfkor.files import new_folder, read_json, write_json
from tfkor.models.folder import CONFIG, load_encoder, save_encoder
from tfkor.models.lora import LORA, lora_layers, save_lora
from tfkor.models.weights import load_weights, save_weights
from tfkor.tasks import legacy
from tfkor.tasks.registry import get_task, name_of
from tfkor.version import __version__

SETTINGS, WEIGHTS, ENCODER = "task.json", "head.safetensors", "encoder"
ABOUT = ("task", "tfkor", "sha256")  # keys of task.json beside the settings


def save_task(folder: str | os.PathLike, task: Any, overwrite: bool = True) -> None:
    """Writes a task into `folder`, whole or not at all; see `Task.save`."""
    if task.model is None or task.tokenizer is None:
        missing = "head" if task.model is None else "tokenizer"
        raise ValueError(f"the {type(task).__name__} has no {missing}; expected to save it after fit, with a tokenizer")
    with new_folder(folder, overwrite) as temporary:
        save_encoder(temporary / ENCODER, task.encoder, task.tokenizer)
        sums = {WEIGHTS: save_weights(temporary / WEIGHTS, task.head_weights()), **encoder_sums(temporary)}
        about = {"task": name_of(task), "tfkor": __version__, "sha256": sums}
        write_json(temporary / SETTINGS, {**about, **task.get_settings()})
        if lora_layers(task.encoder):
            save_lora(temporary / LORA, task.encoder, task.tokenizer)


def encoder_sums(folder: Path) -> dict[str, str]:
    """{path: SHA-256} of the encoder's files of weights, as its config.json states."""
    sums = read_json(folder / ENCODER / CONFIG).get("sha256") or {}
    return {f"{ENCODER}/{name}": value for name, value in sums.items()}


def is_task_folder(folder: str | os.PathLike) -> bool:
    """Whether a folder holds a task that tfkor wrote."""
    return (Path(folder) / SETTINGS).is_file() or legacy.is_classifier(Path(folder))


def task_class_of(folder: str | os.PathLike, expected: type | None = None) -> type:
    """The class of the task in a folder.

    Raises:
      FileNotFoundError: the folder holds no task.
      ValueError: it holds one that isn't of the class `expected`.
    """
    folder = Path(folder)
    if not is_task_folder(folder):
        name = "a task" if expected is None else expected.__name__
        raise FileNotFoundError(f"{folder} has no {SETTINGS}; expected a folder that the save of {name} wrote")
    path = folder / SETTINGS
    found = get_task(read_json(path).get("task") if path.is_file() else legacy.CLASSIFIER_TASK, str(path))
    if expected is not None and not issubclass(found, expected):
        raise ValueError(f"{folder} holds a {found.__name__}; expected a {expected.__name__}")
    return found


def load_task(
    folder: str | os.PathLike, dtype: str | None = None, task_class: type | None = None
) -> Any:
    """Returns the task in a folder, of any class; see `Task.load`."""
    folder = Path(folder)
    task_class = task_class or task_class_of(folder)
    path = folder / SETTINGS
    if not path.is_file():
        return legacy.load_classifier(folder, dtype)
    is_old = legacy.has_head(folder)
    for name in (ENCODER, *(() if is_old else (WEIGHTS,))):
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder} has no {name}; expected a folder that {task_class.__name__}.save wrote")
    settings = read_json(path)
    about = {name: settings.pop(name, None) for name in ABOUT}
    sums = about["sha256"] or {}
    check_encoder(folder, sums)
    found = load_encoder(folder / ENCODER, dtype=dtype)
    try:
        task = task_class(found.encoder, tokenizer=found.tokenizer, **settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    if task.model is None:
        raise ValueError(f"{path}: the settings make no head; expected those of a {task_class.__name__} with one")
    if is_old:
        legacy.load_head(folder, task)
    else:
        name = f"the head of the {task_class.__name__} in {path}"
        load_weights(folder / WEIGHTS, task.head_weights(), sums.get(WEIGHTS), name)
    return task


def check_encoder(folder: Path, sums: dict[str, str]) -> None:
    """Raises ValueError where the encoder in the folder is another one than the head was saved with."""
    for name, value in encoder_sums(folder).items():
        if sums.get(name, value) != value:
            raise ValueError(
                f"{folder / name}: SHA-256 is {value}; {SETTINGS} has {sums[name]}; expected the encoder that the "
                "head was trained with"
            )
