"""Data of question answering: KorQuAD 1.0 and KLUE-MRC, in the format of SQuAD (Rajpurkar et al. 2016, 2018)."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tfkor.data.json_files import objects, read_json, value_of
from tfkor.data.text_data import DataError


@dataclass
class QuestionData:
    """Questions, each on a context; all lists have one length.

    ids, questions, contexts: lists of str. answers: for each question a list of (answer, offset of its first
    character in the context), empty where the context has none. `source` names the file.
    """

    ids: list[str]
    questions: list[str]
    contexts: list[str]
    answers: list[list[tuple[str, int]]]
    source: str | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def name(self) -> str:
        return self.source or "the data"

    def select(self, rows: Sequence[int]) -> "QuestionData":
        """The questions with these indices, in this order."""
        rows = np.asarray(rows, np.int64)
        columns = (self.ids, self.questions, self.contexts, self.answers)
        return QuestionData(*([column[i] for i in rows] for column in columns), self.source)

    @property
    def has_unanswerable(self) -> bool:
        """Whether there are questions that their context does not answer."""
        return any(not answers for answers in self.answers)

    def truth(self) -> dict[str, list[str]]:
        """{id: list of true answers}"""
        return {i: [answer for answer, _ in answers] for i, answers in zip(self.ids, self.answers)}


def read_questions(path: str | os.PathLike, check: bool = True) -> QuestionData:
    """KorQuAD_v1.0_*.json or klue-mrc-v1.1_*.json, also gzipped: QuestionData.

    Args:
      check: whether each answer must be at the offset in the file; False takes the nearest offset where it occurs.

    Raises:
      DataError: not JSON of that format, a repeated question, an answer that is not in its context at its offset; the
        message names the file and the question.
    """
    data, seen = QuestionData([], [], [], [], str(path)), set()
    for where, context, question in questions_of(path):
        key = next((key for key in ("id", "guid") if key in question), "id")
        name = str(value_of(question, key, (str, int), where))
        if name in seen:
            raise DataError(f"{path}: the question {name} twice; expected each id once")
        seen.add(name)
        where = f"{path}, question {name}"
        data.ids.append(name)
        data.questions.append(value_of(question, "question", str, where))
        data.contexts.append(context)
        data.answers.append(answers_of(question, where, context, check))
    if not len(data):
        raise DataError(f"{path}: no question; expected one or more")
    return data


def questions_of(path: str | os.PathLike) -> Iterator[tuple[str, str, dict]]:
    """Yields (where it is, its context, the object) for each question of a file."""
    file = read_json(path, dict, "JSON with data, paragraphs, context and qas, as SQuAD")
    for article_where, article in objects(file, "data", path, "article"):
        for where, paragraph in objects(article, "paragraphs", article_where, "paragraph"):
            context = value_of(paragraph, "context", str, where)
            for here, question in objects(paragraph, "qas", where, "question"):
                yield here, context, question


def answers_of(question: dict, where: str, context: str, check: bool) -> list[tuple[str, int]]:
    """[(text, its offset in the context), ...] of an object; empty if it says that there is no answer."""
    if "is_impossible" in question and value_of(question, "is_impossible", bool, where):
        return []
    answers = [with_offset(*each, context, check) for each in objects(question, "answers", where, "answer")]
    if not answers:
        raise DataError(f"{where}: no answer; expected one, or is_impossible")
    return answers


def with_offset(where: str, answer: dict, context: str, check: bool) -> tuple[str, int]:
    """(text, its offset in the context)"""
    text, start = value_of(answer, "text", str, where), value_of(answer, "answer_start", int, where)
    there = context[start : start + len(text)] if start >= 0 else ""
    if text and there == text:
        return text, start
    if check or text not in context or not text:
        raise DataError(f"{where} is {text!r} at {start}; the context has {there!r} there")
    return text, min(find_all(context, text), key=lambda at: abs(at - start))


def find_all(context: str, text: str) -> list[int]:
    """All offsets of a text in a context."""
    offsets, at = [], context.find(text)
    while at >= 0:
        offsets.append(at)
        at = context.find(text, at + 1)
    return offsets
