"""Questions on texts: KorQuAD 1.0 and KLUE-MRC, in the format of SQuAD (Rajpurkar et al. 2016, 2018)."""

import json
from dataclasses import dataclass

import numpy as np

from tfkor.data.tables import read_text
from tfkor.data.text_data import DataError


@dataclass
class QuestionData:
    """Questions, each on a context; all lists have one length.

    ids, questions, contexts: lists of str. answers: for each question a list of (answer, where it begins in the
    context), empty where the context has none. `source` names the file.
    """

    ids: list
    questions: list
    contexts: list
    answers: list
    source: str | None = None

    def __len__(self):
        return len(self.ids)

    @property
    def name(self):
        return self.source or "the data"

    def select(self, rows):
        """The questions with these indices, in this order."""
        rows = np.asarray(rows, np.int64)
        columns = (self.ids, self.questions, self.contexts, self.answers)
        return QuestionData(*([column[i] for i in rows] for column in columns), self.source)

    def truth(self):
        """{id: list of true answers}"""
        return {i: [answer for answer, _ in answers] for i, answers in zip(self.ids, self.answers)}


def read_questions(path, check=True):
    """KorQuAD_v1.0_*.json or klue-mrc-v1.1_*.json, also gzipped: QuestionData.

    Args:
      check: whether each answer must stand where the file says; False moves it to where it does, and leaves a question
        out of training whose answer is nowhere.

    Raises:
      DataError: not JSON of that format, a question twice, an answer that is not in its context at its place; the
        message names the file and the question.
    """
    try:
        articles = json.loads(read_text(path))["data"]
        rows = [
            (question, paragraph["context"]) for article in articles for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: {error!r}; expected JSON with data, paragraphs, context and qas, as SQuAD") from error
    data = QuestionData([], [], [], [], str(path))
    seen = set()
    for question, context in rows:
        name = str(question.get("id", question.get("guid")))
        if name in seen:
            raise DataError(f"{path}: the question {name} twice; expected each id once")
        seen.add(name)
        data.ids.append(name)
        data.questions.append(question["question"])
        data.contexts.append(context)
        impossible = question.get("is_impossible", False)
        answers = [] if impossible else question.get("answers", [])
        data.answers.append([placed(path, name, answer, context, check) for answer in answers])
        if not impossible and not answers:
            raise DataError(f"{path}, question {name}: no answer; expected one, or is_impossible")
    return data


def placed(path, name, answer, context, check):
    """(text, where it begins in the context)"""
    try:
        text, start = answer["text"], answer["answer_start"]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}, question {name}: the answer {answer!r}; expected text and answer_start") from error
    if type(start) is int and context[start : start + len(text)] == text and text:
        return text, start
    if check or text not in context or not text:
        there = context[start : start + len(text)] if type(start) is int else None
        raise DataError(f"{path}, question {name}: the answer {text!r} at {start!r}; the context has {there!r} there")
    return text, min(find_all(context, text), key=lambda place: abs(place - start))


def find_all(context, text):
    """Where a text stands in a context."""
    places, at = [], context.find(text)
    while at >= 0:
        places.append(at)
        at = context.find(text, at + 1)
    return places
