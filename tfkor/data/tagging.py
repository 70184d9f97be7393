"""Texts with a tag for each character or word: KLUE-NER, the NER of the Naver NLP challenge, and similar columns."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tfkor.data.tables import read_text
from tfkor.data.text_data import DataError

KLUE_NER_LABELS = (*(f"{mark}-{kind}" for kind in ("PS", "LC", "OG", "DT", "TI", "QT") for mark in "BI"), "O")
NAVER_NER_TYPES = ("PER", "FLD", "AFW", "ORG", "LOC", "CVL", "DAT", "TIM", "NUM", "EVT", "ANM", "PLT", "MAT", "TRM")
NAVER_NER_LABELS = ("O", *(f"{kind}-{mark}" for kind in NAVER_NER_TYPES for mark in "BI"))


@dataclass
class TaggedData:
    """Rows of text with tagged units; all lists have one length.

    texts: list of str. units: for each text the (begin, end) of its units, which are characters or words. tags: for
    each text a list with the tag of each unit, or None. `source` and `lines` as in TextData.
    """

    texts: list[str]
    units: list[list[tuple[int, int]]]
    tags: list[list[str]] | None = None
    source: str | None = None
    lines: list[int] | None = None

    def __post_init__(self):
        for row, (text, units) in enumerate(zip(self.texts, self.units, strict=True)):
            edges = [edge for unit in units for edge in unit]
            if edges != sorted(edges) or (edges and not 0 <= edges[0] <= edges[-1] <= len(text)):
                raise DataError(f"{self.where(row)}: units {units[:3]} ... do not follow one another inside the text")
            if self.tags is not None and len(self.tags[row]) != len(units):
                raise DataError(
                    f"{self.where(row)}: {len(self.tags[row])} tags for {len(units)} units; expected one for each"
                )

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def name(self) -> str:
        return self.source or "the data"

    def where(self, row: int) -> str:
        """Where a row comes from, for messages."""
        return f"row {row}" if self.lines is None else f"{self.name}, line {self.lines[row]}"

    def select(self, rows: Sequence[int]) -> "TaggedData":
        """The rows with these indices, in this order."""
        rows = np.asarray(rows, np.int64)

        def pick(column):
            return None if column is None else [column[i] for i in rows]

        return TaggedData(pick(self.texts), pick(self.units), pick(self.tags), self.source, pick(self.lines))


def characters_of(text: str) -> list[tuple[int, int]]:
    """The units of a text that is tagged by characters: all except blanks."""
    return [(i, i + 1) for i, char in enumerate(text) if char != " "]


def words_of(text: str) -> list[tuple[int, int]]:
    """The units of a text that is tagged by words (eojeols), which blanks separate."""
    units, begin = [], 0
    for word in text.split(" "):
        if word:
            units.append((begin, begin + len(word)))
        begin += len(word) + 1
    return units


def read_klue_ner(path: str | os.PathLike) -> TaggedData:
    """KLUE-NER's klue-ner-v1.1_*.tsv, also gzipped: TaggedData by characters.

    Format: `character<TAB>tag` on each line; a blank is a character too, but its tag does not count; lines that begin
    with ## are comments; an empty line ends a sentence (Park et al. 2021, section 3.4).

    Raises:
      DataError: a line that is not one character and one of the 13 tags; the message names file and line.
    """
    texts, tags, lines = [], [], []
    for numbers, rows in sentences(path, comment="##"):
        characters = [row[0] for row in rows]
        for number, row in zip(numbers, rows):
            if len(row) != 2 or len(row[0]) != 1 or row[1] not in KLUE_NER_LABELS:
                found = "\t".join(row)
                raise DataError(f"{path}, line {number}: {found!r}; expected a character, a tab and a tag of KLUE-NER")
        texts.append("".join(characters))
        tags.append([row[1] for row in rows if row[0] != " "])
        lines.append(numbers[0])
    return TaggedData(texts, [characters_of(text) for text in texts], tags, str(path), lines)


def sentences(path: str | os.PathLike, comment: str) -> Iterator[tuple[list[int], list[list[str]]]]:
    """Yields (numbers of its lines, their columns) of each sentence of a file of columns."""
    numbers, rows = [], []
    for number, line in enumerate([*read_text(path).split("\n"), ""], 1):
        line = line.removesuffix("\r")
        if line.startswith(comment):
            continue
        if line.strip("\t"):
            numbers.append(number)
            rows.append(line.split("\t"))
        elif rows:
            yield numbers, rows
            numbers, rows = [], []


def read_naver_ner(path: str | os.PathLike) -> TaggedData:
    """NER of the Naver NLP challenge as KoELECTRA ships it, train.tsv or test.tsv: TaggedData by words.

    Format: `sentence<TAB>tags`, with one tag for each word, such as PER-B or O, separated by blanks.

    Raises:
      DataError: a line without two columns, with other tags, or with more or fewer tags than words.
    """
    texts, tags, lines = [], [], []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        columns = line.removesuffix("\r").split("\t")
        if len(columns) != 2:
            raise DataError(f"{path}, line {number}: {len(columns)} columns; expected sentence and tags")
        words, found = columns[0].split(), columns[1].split()
        if len(words) != len(found):
            raise DataError(f"{path}, line {number}: {len(words)} words and {len(found)} tags; expected as many")
        if unknown := [tag for tag in found if tag not in NAVER_NER_LABELS]:
            raise DataError(f"{path}, line {number}: the tag {unknown[0]!r}; expected O, or one such as PER-B")
        texts.append(" ".join(words))
        tags.append(found)
        lines.append(number)
    return TaggedData(texts, [words_of(text) for text in texts], tags, str(path), lines)


def read_tagged(path: str | os.PathLike) -> TaggedData:
    """A file of columns: a word or a character, a tab and its tag on each line; an empty line ends a sentence.

    Words are joined by blanks. In a text of characters, a line whose first column is empty or a blank is a blank.

    Raises:
      DataError: a line without two columns, or without a tag.
    """
    texts, units, tags, lines = [], [], [], []
    for numbers, rows in sentences(path, comment="## "):
        for number, row in zip(numbers, rows):
            if len(row) != 2 or not row[1].strip():
                found = "\t".join(row)
                raise DataError(f"{path}, line {number}: {found!r}; expected a word or a character, a tab and a tag")
        by_characters = all(len(row[0]) <= 1 for row in rows)
        text = ("" if by_characters else " ").join((row[0] or " ") if by_characters else row[0] for row in rows)
        texts.append(text)
        units.append(characters_of(text) if by_characters else words_of(text))
        tags.append([row[1].strip() for row in rows if row[0].strip() or not by_characters])
        lines.append(numbers[0])
    return TaggedData(texts, units, tags, str(path), lines)
