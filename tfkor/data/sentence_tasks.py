"""Public Korean tasks with one sentence or a pair, read from their official formats as TextData."""

import os
from dataclasses import dataclass, field
from typing import Any

from tfkor.data.json_files import read_json, value_of
from tfkor.data.tables import read_table
from tfkor.data.text_data import DataError, TextData, parse_label

YNAT_TOPICS = ("정치", "경제", "사회", "생활문화", "세계", "IT과학", "스포츠")


@dataclass(frozen=True)
class SentenceTask:
    """A task and its files.

    Attributes:
      text, pair, label: columns of the files, or keys of a JSON list's objects; "a.b" is the key b of the object a.
      labels: the class names in the official order; None for numbers.
      names: {label in the file: our name}, where they differ.
      files: {split: names below the data folder; the first one that exists is read}.
      metric: the official metric: accuracy, macro_f1, spearman or pearson.
      licence, source: of the data.
    """

    text: str
    label: str
    pair: str | None = None
    labels: tuple[str, ...] | None = None
    names: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    metric: str = "accuracy"
    licence: str = ""
    source: str = ""

    @property
    def label_type(self) -> str:
        return "class" if self.labels else "regression"

    def read(self, path: str | os.PathLike) -> TextData:
        """TextData of a file in this task's format, .tsv or .json, also gzipped.

        Raises:
          DataError: as read_table; a label that the task does not have; the message names file and line.
        """
        is_json = ".json" in str(path)
        data = self.read_json(path) if is_json else self.read_tsv(path)
        if self.labels:
            data.labels = [self.names.get(label, label) for label in data.labels]
            for row, label in enumerate(data.labels):
                if label not in self.labels:
                    raise DataError(f"{data.where(row)}: the label {label!r}; expected one of {', '.join(self.labels)}")
        return data

    def read_tsv(self, path: str | os.PathLike) -> TextData:
        columns = dict(text_column=self.text, label_column=self.label, pair_column=self.pair)
        return read_table(path, delimiter="\t", label_type=self.label_type, **columns)

    def read_json(self, path: str | os.PathLike) -> TextData:
        names = [self.text, self.label] + ([self.pair] if self.pair else [])
        examples = read_json(path, list, f"a JSON list of objects with {', '.join(names)}")
        rows = [self.of_example(example, f"{path}, row {number}") for number, example in enumerate(examples, 1)]
        texts, labels, *pairs = map(list, zip(*rows))
        return TextData(texts, pairs[0] if pairs else None, labels, str(path), list(range(1, len(rows) + 1)))

    def of_example(self, example: dict, where: str) -> list:
        """An object of the file -> [text, label], or [text, label, second text] for pairs."""
        kinds = (str, int) if self.labels else (float, int)
        texts = [at(example, name, str, where) for name in (self.text, self.pair) if name]
        label = at(example, self.label, kinds, where)
        try:
            label = parse_label(label, self.label_type)
        except ValueError as error:  # an empty name, or NaN
            raise DataError(f"{where}: {error}") from None
        return [texts[0], label, *texts[1:]]


def at(example: dict, name: str, kinds: type | tuple[type, ...], where: str) -> Any:
    """The value of the key "a.b": as `value_of`, for the key b of the object a in `example`."""
    *outer, last = name.split(".")
    for part in outer:
        example = value_of(example, part, dict, where)
    return value_of(example, last, kinds, where)


def tsv(folder: str, **splits: str) -> dict[str, tuple[str, ...]]:
    return {split: (f"{folder}/{name}", f"{folder}/{name}.gz") for split, name in splits.items()}


NLI = ("entailment", "contradiction", "neutral")
TASKS = {
    "ynat": SentenceTask(
        "title", "label", labels=YNAT_TOPICS, metric="macro_f1", licence="CC BY-SA 4.0", source="KLUE",
        files=tsv("ynat", train="ynat-v1.1_train.json", dev="ynat-v1.1_dev.json"),
    ),
    "klue-nli": SentenceTask(
        "premise", "gold_label", "hypothesis", NLI, licence="CC BY-SA 4.0", source="KLUE",
        files=tsv("klue-nli", train="klue-nli-v1.1_train.json", dev="klue-nli-v1.1_dev.json"),
    ),
    "klue-sts": SentenceTask(
        "sentence1", "labels.real-label", "sentence2", metric="pearson", licence="CC BY-SA 4.0", source="KLUE",
        files=tsv("klue-sts", train="klue-sts-v1.1_train.json", dev="klue-sts-v1.1_dev.json"),
    ),
    "kornli": SentenceTask(
        "sentence1", "gold_label", "sentence2", NLI, licence="CC BY-SA 4.0", source="kakaobrain/KorNLUDatasets",
        files=tsv("kornli", train="multinli.train.ko.tsv", dev="xnli.dev.ko.tsv", test="xnli.test.ko.tsv"),
    ),
    "korsts": SentenceTask(
        "sentence1", "score", "sentence2", metric="spearman", licence="CC BY-SA 4.0",
        source="kakaobrain/KorNLUDatasets",
        files=tsv("korsts", train="sts-train.tsv", dev="sts-dev.tsv", test="sts-test.tsv"),
    ),
    "paws": SentenceTask(
        "sentence1", "label", "sentence2", ("different", "paraphrase"), {"0": "different", "1": "paraphrase"},
        licence="free, with credit to Google LLC", source="google-research-datasets/paws, paws-x",
        files=tsv("paws-x-ko", train="translated_train.tsv", dev="dev_2k.tsv", test="test_2k.tsv"),
    ),
    "question-pair": SentenceTask(
        "question1", "is_duplicate", "question2", ("duplicate", "different"), {"0": "duplicate", "1": "different"},
        licence="not stated", source="songys/Question_pair, as KoELECTRA ships it",
        files=tsv("question-pair", train="train.tsv", dev="dev.tsv", test="test.tsv"),
    ),
    "hate-speech": SentenceTask(
        "comments", "hate", labels=("none", "offensive", "hate"), metric="macro_f1", licence="CC BY-SA 4.0",
        source="kocohub/korean-hate-speech",
        files=tsv("korean-hate-speech", train="train.tsv", dev="dev.tsv"),
    ),
}  # fmt: skip
