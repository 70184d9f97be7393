"""Dialogue state tracking: the figures of KLUE's Wizard of Seoul."""

import numpy as np


def dialogue_report(truth, predicted):
    """Lists of states, one a turn, a state being a list of "domain-slot-value" -> figures.

    `joint_goal_accuracy`: turns whose whole state is right. `slot_f1`: the mean of the turns' F1, where an empty state
    that is found empty counts 1 (KLUE-baseline, wos_jga and wos_slot_micro_f1, which is no micro F1).
    """
    if not truth:
        return {"joint_goal_accuracy": 0.0, "slot_f1": 0.0}
    right = [set(told) == set(true) for true, told in zip(truth, predicted, strict=True)]
    return {
        "joint_goal_accuracy": float(np.mean(right)),
        "slot_f1": float(np.mean([turn_f1(true, told) for true, told in zip(truth, predicted)])),
    }


def turn_f1(true, told):
    """F1 of one turn; a value that is true twice counts twice."""
    if not true:
        return float(not told)
    hits, wrong = sum(value in told for value in true), sum(value not in true for value in told)
    return 2 * hits / (len(true) + hits + wrong)
