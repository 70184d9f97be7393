"""Fine-tuned models of Hugging Face `transformers`, both ways: classes of texts, of tokens, answers to questions."""

from pathlib import Path

import numpy as np
from keras import ops

from tfkor.files import new_folder, write_json
from tfkor.interop.configs import config_from_huggingface, config_to_huggingface, labels_of, names_of, read_config
from tfkor.interop.folders import check_embeddings, fetch, tensors_of
from tfkor.interop.huggingface import PREFIXES, from_huggingface, to_huggingface, with_positions_from
from tfkor.interop.tensors import write_safetensors
from tfkor.interop.tokenizers import read_tokenizer, write_tokenizer

CLASSES = {
    "TextClassifier": "{}ForSequenceClassification",
    "TokenTagger": "{}ForTokenClassification",
    "QuestionAnswerer": "{}ForQuestionAnswering",
}


def load_task(folder, *, dtype=None, nfc=False, lowercase=None, revision=None, **options):
    """Returns the TextClassifier, TokenTagger or QuestionAnswerer of a folder that `transformers` wrote.

    Args:
      folder: or a name on the Hugging Face hub.
      dtype, nfc, lowercase, revision: as in `load_pretrained`.
      options: of the task, max_length for example.

    Raises:
      ValueError: a folder of another class, or tensors that do not fit; FileNotFoundError: a part of it is missing.
    """
    from tfkor import tasks

    folder = Path(folder) if Path(folder).exists() else fetch(str(folder), revision)
    values = read_config(folder / "config.json")
    encoder_class, config = config_from_huggingface(values, folder / "config.json")
    kind = task_of(values, encoder_class.__name__, folder)
    tensors = tensors_of(folder, values)
    check_embeddings(tensors, config, folder / "config.json")
    encoder = encoder_class(config, dtype=dtype)
    tokenizer = read_tokenizer(folder, nfc, lowercase)
    labels = labels_of(values, folder / "config.json")
    options = {"max_length": min(512, encoder.max_length), "tokenizer": tokenizer, **options}
    if kind == "TextClassifier":
        linear = len(labels) == 1 or values.get("problem_type") == "regression"
        activation = "linear" if linear else "sigmoid" if "multi" in (values.get("problem_type") or "") else "softmax"
        task = tasks.TextClassifier(encoder, labels=None if linear else labels, activation=activation, **options)
    elif kind == "TokenTagger":
        suffix = any(label.endswith(("-B", "-I")) for label in labels)
        task = tasks.TokenTagger(encoder, labels, suffix=suffix, **options)
    else:
        task = tasks.QuestionAnswerer(encoder, **options)
    for weight, name in head_names(task):
        found = tensors.pop(name, None)
        shape = tuple(weight.shape)[::-1]
        if found is None or found.shape != shape:
            told = "nothing" if found is None else found.shape
            raise ValueError(f"{folder}: {name} is {told}; expected {shape}")
        weight.assign(np.asarray(found, np.float32).T)
    if type(encoder).__name__ == "Roberta":  # what is the pooler of a BERT is a part of the head there
        add_roberta_pooler(task, kind, tensors)
    try:
        from_huggingface(encoder, tensors, pooler=False, prefix=True)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    return task


def save_task(folder, task, overwrite=False):
    """Writes a TextClassifier, TokenTagger or QuestionAnswerer as a folder that `transformers` loads.

    A RelationExtractor is written as the classifier of texts with markers that it is.

    Raises:
      FileExistsError: the folder is there and `overwrite` is False.
      ValueError: another task, or a classifier that pools otherwise than by the first token.
    """
    task = task.classifier if type(task).__name__ == "RelationExtractor" else task
    kind, encoder = type(task).__name__, task.encoder
    if kind not in CLASSES:
        raise ValueError(f"the task is {kind}; expected one of {', '.join(CLASSES)}")
    if kind == "TextClassifier" and task.pooling != "first":
        raise ValueError(f"pooling is {task.pooling!r}; transformers has no such classifier, only 'first'")
    architecture = type(encoder).__name__
    values = {}
    if kind != "QuestionAnswerer":
        labels = task.labels or ["value"]
        values = {"id2label": {str(i): name for i, name in enumerate(labels)}, "num_labels": len(labels)}
        values["label2id"] = {name: i for i, name in enumerate(labels)}
    if kind == "TextClassifier":
        types = {"softmax": "single_label_classification", "sigmoid": "multi_label_classification"}
        values["problem_type"] = types.get(task.activation, "regression")
    tensors = {PREFIXES[architecture] + name: value for name, value in to_huggingface(encoder).items()}
    pooler = PREFIXES[architecture] + "pooler.dense."
    if kind != "TextClassifier" or architecture == "Roberta":
        kept = {name: tensors.pop(name) for name in list(tensors) if ".pooler." in name}
        if kind == "TextClassifier":
            tensors |= {name.replace(pooler, "classifier.dense."): value for name, value in kept.items()}
    for weight, name in head_names(task):
        tensors[name] = np.ascontiguousarray(ops.convert_to_numpy(weight).T)
    with new_folder(folder, overwrite) as temporary:
        name = CLASSES[kind].format(architecture)
        config = config_to_huggingface(encoder, name, task.tokenizer, **values)
        write_json(temporary / "config.json", config)
        if architecture == "Roberta":
            tensors = with_positions_from(tensors, 1, config["pad_token_id"])
        write_safetensors(temporary / "model.safetensors", tensors)
        write_tokenizer(temporary, task.tokenizer, encoder.max_length, encoder.config.type_vocab_size > 1)


def task_of(values, architecture, folder):
    """The name of the task's class, by the class of transformers in config.json."""
    found = (names_of(values) or ["nothing"])[0]
    for kind, name in CLASSES.items():
        if found in (name.format(architecture), name.format(f"XLM{architecture}")):
            return kind
    expected = ", ".join(name.format(architecture) for name in CLASSES.values())
    raise ValueError(f"{folder / 'config.json'}: architectures is {found!r}; expected one of {expected}")


def head_names(task):
    """(weight, its name in transformers) of what a task has beside its encoder."""
    kind, architecture = type(task).__name__, type(task.encoder).__name__
    if kind == "QuestionAnswerer":
        layers = {"qa_outputs": task.model.dense}
    elif kind == "TokenTagger":
        layers = {"classifier": task.model.dense}
    elif architecture == "Electra":
        layers = {"classifier.dense": task.head_dense, "classifier.out_proj": task.head}
    else:
        layers = {"classifier.out_proj" if architecture == "Roberta" else "classifier": task.head}
    return [
        pair
        for name, layer in layers.items()
        for pair in ((layer.kernel, f"{name}.weight"), (layer.bias, f"{name}.bias"))
    ]


def add_roberta_pooler(task, kind, tensors):
    if kind == "TextClassifier":
        for part in ("weight", "bias"):
            tensors[f"roberta.pooler.dense.{part}"] = tensors.pop(f"classifier.dense.{part}")
