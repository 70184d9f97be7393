"""Dialogue state tracking: the metrics of KLUE's Wizard of Seoul."""

from collections.abc import Sequence

import numpy as np


def dialogue_report(truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Lists of states, one for each turn, a state being a list of "domain-slot-value" -> metrics.

    `joint_goal_accuracy`: the fraction of turns whose whole state is right. `slot_f1`: the mean of the turns' F1, where
    an empty state that is predicted as empty counts 1 (KLUE-baseline, wos_jga and wos_slot_micro_f1, which is no micro
    F1).
    """
    if not truth:
        return {"joint_goal_accuracy": 0.0, "slot_f1": 0.0}
    right = [set(found) == set(true) for true, found in zip(truth, predicted, strict=True)]
    return {
        "joint_goal_accuracy": float(np.mean(right)),
        "slot_f1": float(np.mean([turn_f1(true, found) for true, found in zip(truth, predicted)])),
    }


def turn_f1(true: Sequence[str], predicted: Sequence[str]) -> float:
    """F1 of one turn; a value that is true twice counts twice."""
    if not true:
        return float(not predicted)
    hits, wrong = sum(value in predicted for value in true), sum(value not in true for value in predicted)
    return 2 * hits / (len(true) + hits + wrong)
