"""Korean data sets in their official formats: intents176 (ships with tfkor), 3i4k, NSMC."""

import logging
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from tfkor.data.download import cache_dir, fetch
from tfkor.data.sentence_tasks import TASKS
from tfkor.data.tables import read_table
from tfkor.data.text_data import DataError, TextData

log = logging.getLogger(__name__)

# Index = the number in the official files.
LABELS_3I4K = (
    "fragment",
    "statement",
    "question",
    "command",
    "rhetorical question",
    "rhetorical command",
    "intonation-dependent utterance",
)
LABELS_NSMC = ("negative", "positive")


class Intent(NamedTuple):
    """A class of intents176, e.g. Intent(0, "bank.balance_check", "은행", "계좌 잔액 조회")."""

    id: int
    intent: str
    domain: str
    description: str


class Source(NamedTuple):
    """Where to find a file: names below the data folder, tried in this order, and its published URL."""

    names: tuple[str, ...]
    url: str
    sha256: str | None = None


_3I4K = (
    "https://raw.githubusercontent.com/warnikchow/3i4k/cfa90c15f808becafca2d8ef8649b8b71f6bbe71/data/train_val_test/"
)
_NSMC = "https://raw.githubusercontent.com/e9t/nsmc/cc0670e872d4ac27bfe36c87456783004b39ef6c/"


def _nsmc_names(file):
    return tuple(f"{folder}{file}{end}" for folder in ("nsmc/", "", "nsmc-rebuilt/") for end in ("", ".gz"))


def _3i4k_names(file):
    return tuple(f"{folder}{file}{end}" for folder in ("3i4k/", "") for end in ("", ".gz"))


SOURCES = {
    "3i4k": {
        "train": Source(
            _3i4k_names("fci_train_val.txt"),
            _3I4K + "fci_train_val.txt",
            "646f450b84992c6df806ea72aa35374db7ec30d7739920b86dfa878e73b69079",
        ),
        "test": Source(
            _3i4k_names("fci_test.txt"),
            _3I4K + "fci_test.txt",
            "d74c5b376c7d231bd4d5a94de855e47b6e70c96abeeaaf75cffbdb8506a87ff2",
        ),
    },
    "nsmc": {  # no SHA-256 pinned: ours was never computed from the official files
        "train": Source(_nsmc_names("ratings_train.txt"), _NSMC + "ratings_train.txt"),
        "test": Source(_nsmc_names("ratings_test.txt"), _NSMC + "ratings_test.txt"),
    },
}


def load_dataset(name: str, split: str) -> TextData:
    """TextData of "intents176" (train, dev, test), "3i4k" (train, test), "nsmc" (train, test), or one of the TASKS of
    tfkor.data.sentence_tasks: ynat, klue-nli, klue-sts, kornli, korsts, paws, question-pair, hate-speech.

    A file is looked for in the folder TFKOR_DATA (default: ../shared/data beside a source checkout), e.g. as
    3i4k/fci_test.txt, nsmc/ratings_test.txt or nsmc-rebuilt/ratings_test.txt.gz (a split rebuilt from NSMC's raw data,
    not the official one), then in the cache; then, except for the TASKS, it is downloaded into the cache. `source` of
    the result is the file that was read.

    Raises:
      DataError: an unknown name or split, a file that is not found and can't be downloaded, or one in another format.
    """
    splits = splits_of_datasets()
    if name not in splits:
        raise DataError(f"no data set {name!r}; expected one of {', '.join(splits)}; read other files with read_table")
    if split not in splits[name]:
        raise DataError(f"{name} has no split {split!r}; expected one of {', '.join(splits[name])}")
    if name == "intents176":
        return load_intents176(split)
    if name in TASKS:
        return TASKS[name].read(find_local(name, TASKS[name].files[split]))
    path = find_file(name, SOURCES[name][split])
    return read_3i4k(path) if name == "3i4k" else read_nsmc(path)


def splits_of_datasets() -> dict[str, tuple[str, ...]]:
    """{name: its splits} of the data sets that `load_dataset` knows."""
    files = {**SOURCES, **{name: task.files for name, task in TASKS.items()}}
    return {"intents176": ("train", "dev", "test"), **{name: tuple(splits) for name, splits in files.items()}}


def find_local(name: str, names: Sequence[str]) -> Path:
    """The path of the first of `names` that is in the data folder or in the cache.

    Raises:
      DataError: none of them is there.
    """
    folders = (data_dir(), cache_dir())
    for path in (folder / candidate for folder in folders for candidate in names):
        if path.is_file():
            return path
    raise DataError(
        f"{name}: no {names[0]} in {folders[0]} and none in {folders[1]}; get it from {TASKS[name].source} and put it "
        "there, or set TFKOR_DATA to the folder that holds it"
    )


def find_file(name: str, source: Source) -> Path:
    """The path of a Source: in the data folder, the cache, or downloaded into the cache as name/file."""
    folder = data_dir()
    for candidate in source.names:
        if (folder / candidate).is_file():
            return folder / candidate
    hint = (
        f"with a copy on this machine, set TFKOR_DATA to the folder that holds {source.names[0]} (now {folder}), "
        f"or put it into {cache_dir() / name}"
    )
    return fetch(source.url, f"{name}/{Path(source.url).name}", source.sha256, hint)


def data_dir() -> Path:
    """The folder of data sets: TFKOR_DATA, or ../shared/data beside a source checkout."""
    return Path(os.environ.get("TFKOR_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def read_3i4k(path: str | os.PathLike) -> TextData:
    """3i4k, the intention of an utterance in 7 classes (`LABELS_3I4K`), from fci_train_val.txt or fci_test.txt.

    Format: `label<TAB>text` without a header, label 0 to 6; 55,134 and 6,121 rows. Source:
    https://github.com/warnikchow/3i4k, Cho et al. 2018 (arXiv:1811.04231), CC BY-SA 4.0.

    Raises:
      DataError: as read_table; a label that is not 0 to 6; an empty text.
    """
    data = read_table(path, text_column=1, label_column=0, delimiter="\t", header=False)
    for row, text in enumerate(data.texts):
        if not text.strip():
            raise DataError(f"{data.where(row)}: the text is empty; expected `label<TAB>text`")
    return _named(data, LABELS_3I4K, "3i4k")


def read_nsmc(path: str | os.PathLike, drop_blank: bool = False) -> TextData:
    """NSMC, negative and positive movie reviews, from ratings_train.txt or ratings_test.txt.

    Format: `id<TAB>document<TAB>label` with this header, label 0 or 1, quotes are plain characters; 150,000 and
    50,000 rows. Source: https://github.com/e9t/nsmc, CC0 1.0. A few documents are blank (8 of the training and 3 of the
    test rows in the split rebuilt from the raw data). They are kept, since published accuracies count all rows of the
    test file; `drop_blank=True` drops them and logs how many.

    Raises:
      DataError: as read_table; other columns; a label that is not 0 or 1.
    """
    data = read_table(path, text_column="document", label_column="label", delimiter="\t")
    if drop_blank:
        filled = [row for row, text in enumerate(data.texts) if text.strip()]
        log.info("%s: dropped %d blank documents of %d", path, len(data) - len(filled), len(data))
        data = data.select(filled)
    return _named(data, LABELS_NSMC, "NSMC")


def _named(data, names, title):
    """`data` with class names in place of their numbers as labels."""
    numbers = {str(number): name for number, name in enumerate(names)}
    for row, label in enumerate(data.labels):
        if label not in numbers:
            raise DataError(
                f"{data.where(row)}: found the label {label!r}, expected 0 to {len(names) - 1} as in {title}'s own "
                "files; read other files with read_table"
            )
    data.labels = [numbers[label] for label in data.labels]
    return data


def load_intents176(split: str) -> TextData:
    """The split "train" (5,632 rows), "dev" (528) or "test" (880) of intents176, which the package contains.

    Its data card is tfkor/datasets/intents176/README.md.
    """
    if split not in ("train", "dev", "test"):
        raise DataError(f"intents176 has no split {split!r}; expected one of train, dev, test")
    return _packaged(f"{split}.tsv", text_column="utterance", label_column="intent")


def intents176_intents() -> list[Intent]:
    """The 176 intents in the order of their ids: a list of Intent(id, intent, domain, description)."""
    names = _packaged("intents.tsv", text_column="intent", label_column="id", pair_column="domain")
    descriptions = _packaged("intents.tsv", text_column="description", label_column=None).texts
    rows = zip(names.labels, names.texts, names.pairs, descriptions, strict=True)
    return [Intent(int(number), *rest) for number, *rest in rows]


def _packaged(file, **columns):
    with resources.as_file(resources.files("tfkor") / "datasets" / "intents176" / file) as path:
        return read_table(path, **columns)
