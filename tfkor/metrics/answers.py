"""Question answering: the metrics of KorQuAD 1.0 and of KLUE-MRC."""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

import numpy as np

KORQUAD_BLANKS = str.maketrans(dict.fromkeys("'\"《》<>〈〉()‘’", " "))
PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation))
# As published: its bracket closes too early, so that it hardly matches anything
KLUE_PATTERN = re.compile(r"[\'\"《》<>〈〉]\(\)\‘\’")


def korquad_report(answers: Mapping[str, Sequence[str]], predictions: Mapping[str, str]) -> dict[str, float]:
    """{question id: list of true answers}, {question id: answer} -> exact match and F1 over characters.

    A question without a prediction counts as 0 (KorQuAD, evaluate-v1.0.py).

    Raises:
      ValueError: a question without a true answer.
    """
    if empty := [question for question, truth in answers.items() if not truth]:
        raise ValueError(f"question {empty[0]}: no true answer; expected at least one")
    scores = [
        (max(exact_match(found, true) for true in truth), max(character_f1(found, true) for true in truth))
        if (found := predictions.get(question)) is not None
        else (0.0, 0.0)
        for question, truth in answers.items()
    ]
    return {name: float(np.mean(values)) for name, values in zip(("exact_match", "f1"), zip(*scores))}


def korquad_normal(answer: str) -> str:
    """An answer without what KorQuAD ignores: quotes, brackets, punctuation, case, repeated blanks."""
    return " ".join(answer.translate(KORQUAD_BLANKS).lower().translate(PUNCTUATION).split())


def exact_match(predicted: str, true: str) -> float:
    return float(korquad_normal(predicted) == korquad_normal(true))


def character_f1(predicted: str, true: str) -> float:
    """F1 of the characters, in any order and without blanks; 0 without a common one, as with two empty answers."""
    predicted, true = ("".join(korquad_normal(answer).split()) for answer in (predicted, true))
    same = sum((Counter(predicted) & Counter(true)).values())
    if not same:
        return 0.0
    precision, recall = same / len(predicted), same / len(true)
    return 2 * precision * recall / (precision + recall)


def klue_mrc_report(answers: Mapping[str, Sequence[str]], predictions: Mapping[str, str]) -> dict[str, float]:
    """{question id: list of true answers, none for an unanswerable question}, {question id: answer} -> metrics.

    `exact_match`, and `rouge_w`, which in spite of its name is the F1 of the longest common substring (KLUE-baseline,
    klue_mrc_em and klue_mrc_rouge_w).

    Raises:
      ValueError: a question without a prediction.
    """
    if missing := [question for question in answers if question not in predictions]:
        raise ValueError(f"no prediction for {missing[0]} and {len(missing) - 1} more; expected one for each question")
    exact, rouge = [], []
    for question, truth in answers.items():
        found = klue_normal(predictions[question])
        truth = [klue_normal(answer) for answer in truth] or [""]
        exact.append(max(float(found == true) for true in truth))
        rouge.append(max(rouge_w(found, true) for true in truth))
    return {"exact_match": float(np.mean(exact)), "rouge_w": float(np.mean(rouge))}


def klue_normal(answer: str) -> str:
    """An answer without what KLUE-MRC ignores: punctuation, case, repeated blanks."""
    return " ".join(KLUE_PATTERN.sub(" ", answer.lower()).translate(PUNCTUATION).split())


def rouge_w(predicted: str, true: str) -> float:
    """F1 of the longest common substring; for an empty true answer, 1 if the predicted one is empty too, else 0."""
    if not true:
        return float(predicted == true)
    same = SequenceMatcher(None, predicted, true).find_longest_match(0, len(predicted), 0, len(true)).size
    return 2 * same / (len(predicted) + len(true))
