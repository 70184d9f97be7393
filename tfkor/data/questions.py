"""Questions on texts: KorQuAD 1.0 and KLUE-MRC, in the format of SQuAD (Rajpurkar et al. 2016, 2018)."""

from dataclasses import dataclass

import numpy as np

from tfkor.data.json_files import objects, read_json, value_of
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

    @property
    def has_unanswerable(self):
        """Whether a context holds no answer to a question."""
        return any(not answers for answers in self.answers)

    def truth(self):
        """{id: list of true answers}"""
        return {i: [answer for answer, _ in answers] for i, answers in zip(self.ids, self.answers)}


def read_questions(path, check=True):
    """KorQuAD_v1.0_*.json or klue-mrc-v1.1_*.json, also gzipped: QuestionData.

    Args:
      check: whether each answer must stand where the file says; False moves it to the nearest place where it does.

    Raises:
      DataError: not JSON of that format, a question twice, an answer that is not in its context at its place; the
        message names the file and the question.
    """
    data, seen = QuestionData([], [], [], [], str(path)), set()
    for place, context, question in questions_of(path):
        key = next((key for key in ("id", "guid") if key in question), "id")
        name = str(value_of(question, key, (str, int), place))
        if name in seen:
            raise DataError(f"{path}: the question {name} twice; expected each id once")
        seen.add(name)
        place = f"{path}, question {name}"
        data.ids.append(name)
        data.questions.append(value_of(question, "question", str, place))
        data.contexts.append(context)
        data.answers.append(answers_of(question, place, context, check))
    if not len(data):
        raise DataError(f"{path}: no question; expected one or more")
    return data


def questions_of(path):
    """Yields (its place, its context, the object) of each question of a file."""
    file = read_json(path, dict, "JSON with data, paragraphs, context and qas, as SQuAD")
    for article_place, article in objects(file, "data", path, "article"):
        for place, paragraph in objects(article, "paragraphs", article_place, "paragraph"):
            context = value_of(paragraph, "context", str, place)
            for here, question in objects(paragraph, "qas", place, "question"):
                yield here, context, question


def answers_of(question, place, context, check):
    """[(text, where it begins in the context), ...] of an object; empty if it says that there is no answer."""
    if "is_impossible" in question and value_of(question, "is_impossible", bool, place):
        return []
    answers = [placed(*each, context, check) for each in objects(question, "answers", place, "answer")]
    if not answers:
        raise DataError(f"{place}: no answer; expected one, or is_impossible")
    return answers


def placed(place, answer, context, check):
    """(text, where it begins in the context)"""
    text, start = value_of(answer, "text", str, place), value_of(answer, "answer_start", int, place)
    there = context[start : start + len(text)] if start >= 0 else ""
    if text and there == text:
        return text, start
    if check or text not in context or not text:
        raise DataError(f"{place} is {text!r} at {start}; the context has {there!r} there")
    return text, min(find_all(context, text), key=lambda at: abs(at - start))


def find_all(context, text):
    """Where a text stands in a context."""
    places, at = [], context.find(text)
    while at >= 0:
        places.append(at)
        at = context.find(text, at + 1)
    return places
