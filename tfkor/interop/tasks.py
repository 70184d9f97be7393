"""Fine-tuned models of Hugging Face `transformers`, both ways: classes of texts, of tokens, answers to questions."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from tfkor.files import new_folder, read_json, write_json
from tfkor.interop.architectures import Architecture, class_names_of, model_types, record_for, record_of
from tfkor.interop.configs import config_from_huggingface, config_to_huggingface, labels_of
from tfkor.interop.folders import check_embeddings, fetch, tensors_of
from tfkor.interop.huggingface import from_huggingface, to_huggingface
from tfkor.interop.tokenizers import read_tokenizer, write_tokenizer
from tfkor.layers.pooling import First
from tfkor.tasks import QuestionAnswerer, RelationExtractor, TextClassifier, TokenTagger
from tfkor.tasks.task import Task
from tfkor.tensor_files import write_safetensors

CLASSES = {
    TextClassifier: "{}ForSequenceClassification",
    TokenTagger: "{}ForTokenClassification",
    QuestionAnswerer: "{}ForQuestionAnswering",
}


def load_task(
    folder: str | os.PathLike,
    *,
    dtype: str | None = None,
    nfc: bool = False,
    lowercase: bool | None = None,
    revision: str | None = None,
    **options: Any,
) -> Task:
    """Returns the TextClassifier, TokenTagger or QuestionAnswerer of a folder that `transformers` wrote.

    Args:
      folder: a folder, or a name on the Hugging Face hub.
      dtype, nfc, lowercase, revision: as in `load_pretrained`.
      options: of the task, max_length for example.

    Raises:
      ValueError: a folder of another class, or tensors that do not fit; FileNotFoundError: a part of it is missing.
    """
    folder = Path(folder) if Path(folder).exists() else fetch(str(folder), revision)
    values = read_json(folder / "config.json")
    encoder_class, config = config_from_huggingface(values, folder / "config.json")
    _, record = record_for(values, folder / "config.json")
    kind = task_of(values, record, folder)
    tensors = tensors_of(folder, values)
    check_embeddings(tensors, config, folder / "config.json")
    encoder = encoder_class(config, dtype=dtype)
    tokenizer = read_tokenizer(folder, nfc, lowercase)
    labels = labels_of(values, folder / "config.json")
    options = {"max_length": min(512, encoder.max_length), "tokenizer": tokenizer, **options}
    if kind is TextClassifier:
        linear = len(labels) == 1 or values.get("problem_type") == "regression"
        activation = "linear" if linear else "sigmoid" if "multi" in (values.get("problem_type") or "") else "softmax"
        task = TextClassifier(encoder, labels=None if linear else labels, activation=activation, **options)
    elif kind is TokenTagger:
        suffix = any(label.endswith(("-B", "-I")) for label in labels)
        task = TokenTagger(encoder, labels, suffix=suffix, **options)
    else:
        task = QuestionAnswerer(encoder, **options)
    for weight, name in head_names(task, record):
        found = tensors.pop(name, None)
        shape = tuple(weight.shape)[::-1]
        if found is None or found.shape != shape:
            shown = "nothing" if found is None else found.shape
            raise ValueError(f"{folder}: {name} is {shown}; expected {shape}")
        weight.assign(np.asarray(found, np.float32).T)
    if kind is TextClassifier and record.classifier_pooler:
        tensors = renamed(tensors, record.classifier_pooler, record.prefix + "pooler.dense")
    try:
        from_huggingface(encoder, tensors, pooler=False, prefix=True)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    return task


def save_task(folder: str | os.PathLike, task: Task, overwrite: bool = False) -> None:
    """Writes a TextClassifier, TokenTagger or QuestionAnswerer as a folder that `transformers` loads.

    A RelationExtractor is written as the classifier of texts with markers that it is.

    Raises:
      FileExistsError: the folder is there and `overwrite` is False.
      ValueError: another task, or a classifier that pools otherwise than by the first token.
    """
    task = task.classifier if isinstance(task, RelationExtractor) else task
    kind, encoder = type(task), task.encoder
    if kind not in CLASSES:
        raise ValueError(f"the task is {kind.__name__}; expected one of {', '.join(each.__name__ for each in CLASSES)}")
    if kind is TextClassifier and task.pooling != First():
        raise ValueError(f"pooling is {task.pooling.name!r}; transformers has no such classifier, only 'first'")
    record = record_of(encoder)
    tensors = {record.prefix + name: value for name, value in to_huggingface(encoder).items()}
    if kind is not TextClassifier:
        tensors = {name: value for name, value in tensors.items() if not name.startswith(f"{record.prefix}pooler.")}
    elif record.classifier_pooler:
        tensors = renamed(tensors, record.prefix + "pooler.dense", record.classifier_pooler)
    for weight, name in head_names(task, record):
        tensors[name] = np.ascontiguousarray(ops.convert_to_numpy(weight).T)
    with new_folder(folder, overwrite) as temporary:
        name = CLASSES[kind].format(record.class_name)
        config = config_to_huggingface(encoder, name, task.tokenizer, **about_labels(task))
        write_json(temporary / "config.json", config)
        write_safetensors(temporary / "model.safetensors", record.tensors_out(tensors, config))
        write_tokenizer(temporary, task.tokenizer, encoder.max_length, encoder.config.type_vocab_size > 1)


def holds_task(folder: str | os.PathLike) -> bool:
    """Whether a folder is one of `transformers` with a fine-tuned model that `load_task` knows."""
    path = Path(folder) / "config.json"
    if not path.is_file():
        return False
    found = class_names_of(read_json(path))
    known = [kind.format(prefix) for prefix in class_prefixes() for kind in CLASSES.values()]
    return any(name in known for name in found[:1])


def class_prefixes() -> list[str]:
    """The prefixes of the class names in transformers, of all architectures."""
    return [name for record in model_types().values() for name in record.class_names]


def about_labels(task: Task) -> dict[str, Any]:
    """The entries of config.json about a task's labels."""
    if isinstance(task, QuestionAnswerer):
        return {}
    labels = task.labels or ["value"]
    values = {"id2label": {str(i): name for i, name in enumerate(labels)}, "num_labels": len(labels)}
    values["label2id"] = {name: i for i, name in enumerate(labels)}
    if isinstance(task, TextClassifier):
        types = {"softmax": "single_label_classification", "sigmoid": "multi_label_classification"}
        values["problem_type"] = types.get(task.activation, "regression")
    return values


def task_of(values: dict[str, Any], record: Architecture, folder: Path) -> type[Task]:
    """The task's class, by the class of transformers in config.json."""
    found = (class_names_of(values) or ["nothing"])[0]
    for kind, name in CLASSES.items():
        if found in [name.format(prefix) for prefix in record.class_names]:
            return kind
    expected = ", ".join(name.format(record.class_name) for name in CLASSES.values())
    raise ValueError(f"{folder / 'config.json'}: architectures is {found!r}; expected one of {expected}")


def head_names(task: Task, record: Architecture) -> list[tuple[keras.Variable, str]]:
    """(weight, its name in transformers) of the head of a task."""
    if isinstance(task, QuestionAnswerer):
        layers = {"qa_outputs": task.model.dense}
    elif isinstance(task, TokenTagger):
        layers = {"classifier": task.model.dense}
    else:
        layers = {name: getattr(task.model, attribute) for attribute, name in record.classifier.items()}
    return [
        pair
        for name, layer in layers.items()
        for pair in ((layer.kernel, f"{name}.weight"), (layer.bias, f"{name}.bias"))
    ]


def renamed(tensors: dict[str, np.ndarray], old: str, new: str) -> dict[str, np.ndarray]:
    """The tensors, with the layer `old` under the name `new`."""
    return {
        new + name.removeprefix(old) if name.startswith(f"{old}.") else name: value for name, value in tensors.items()
    }
