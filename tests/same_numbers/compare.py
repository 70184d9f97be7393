"""What two commits computed, side by side: differences, the table, the summary."""

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

SHARE = 0.005  # by which the share of zeros that a dropout leaves may differ
DEVIATIONS = 6.0  # standard errors by which a mean over draws may differ
SPREAD = 0.03  # relative difference of the spread of outputs under dropout
DETAILS = 40  # lines about single items below the table


class Finding(NamedTuple):
    """An item of a group with its difference; `note` says more where it can't be a number."""

    group: str
    item: str
    difference: float
    allowed: float
    note: str = ""

    @property
    def over(self):
        return not self.difference <= self.allowed  # NaN is over


def write(out, values):
    """{item: array, or a list of arrays whose order means nothing, or what JSON can hold} -> out.npz and out.json."""
    arrays, texts = {}, {}
    for item, value in values.items():
        if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
            arrays |= {f"{item}//{i:04d}": each for i, each in enumerate(value)}
        elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            arrays[item] = value
        else:
            texts[item] = value.tolist() if isinstance(value, np.ndarray) else value
    np.savez(f"{out}.npz", **arrays)
    Path(f"{out}.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")


def read(out):
    """What `write` was given."""
    values = json.loads(Path(f"{out}.json").read_text(encoding="utf-8"))
    with np.load(f"{out}.npz") as arrays:
        for name in arrays.files:
            item, _, number = name.partition("//")
            if number:
                values.setdefault(item, []).append(arrays[name])
            else:
                values[item] = arrays[name]
    return values


def compared(group, old, new, allowed):
    """A Finding for each item of the old commit; what the new one has beside them isn't looked at."""
    findings = []
    for item, value in old.items():
        if item not in new:
            findings.append(Finding(group, item, float("inf"), allowed or 0.0, "the new commit has none"))
        elif group == "dropout":
            findings += statistics_of(item, value, new[item])
        else:
            findings.append(Finding(group, item, *difference(value, new[item], allowed)))
    return findings


def difference(old, new, allowed):
    """(difference, allowed, note) of two values of an item."""
    if isinstance(old, list) and old and isinstance(old[0], np.ndarray):
        return matched(old, new), allowed, ""
    if isinstance(old, np.ndarray) and isinstance(new, np.ndarray):
        if old.shape != new.shape:
            return float("inf"), allowed, f"shapes {old.shape} and {new.shape}"
        return distance(old, new), allowed if old.dtype.kind == "f" else 0.0, ""
    if isinstance(old, dict) and isinstance(new, dict):  # metrics
        same = [name for name in old if name in new]
        missing = sorted(set(old) - set(new))
        note = f"not in the new commit: {', '.join(missing)}" if missing else ""
        return max((number_distance(old[name], new[name]) for name in same), default=float("inf")), allowed, note
    return (0.0, 0.0, "") if old == new else (float("inf"), 0.0, first_difference(old, new))


def distance(old, new):
    """Largest absolute difference, relative to the largest value of the old array where that is above 1."""
    if not old.size:
        return 0.0
    old, new = old.astype(np.float64), new.astype(np.float64)
    return float(np.abs(old - new).max() / max(1.0, np.abs(old).max()))


def number_distance(old, new):
    numbers = all(isinstance(value, (int, float)) for value in (old, new))
    return distance(np.array(old), np.array(new)) if numbers else 0.0 if old == new else float("inf")


def first_difference(old, new):
    pairs = zip(old, new) if isinstance(old, list) and isinstance(new, list) and len(old) == len(new) else [(old, new)]
    return next((f"{str(a)[:60]} and {str(b)[:60]}" for a, b in pairs if a != b), "")


def matched(old, new):
    """The difference of two lists of arrays, gradients of the same variables under other names and in another order.

    Arrays of one shape are paired, each old one with the nearest new one that is left. Those that find no partner of
    their shape, since variables were cut or joined, are compared by all their values together, in ascending order.
    """
    left, rest, worst = list(new), [], 0.0
    top = max([1.0, *(float(np.abs(array).max()) for array in old if array.size)])
    for array in old:
        near = [
            (float(np.abs(array.astype(np.float64) - other).max()), i)
            for i, other in enumerate(left)
            if other.shape == array.shape
        ]
        if not near:
            rest.append(array)
            continue
        found, i = min(near)
        if found / top > 1e-3:  # no partner: another variable of this shape
            rest.append(array)
            continue
        worst = max(worst, found / top)
        del left[i]
    if rest or left:
        a, b = (np.sort(np.concatenate([x.ravel() for x in part] or [np.zeros(0)])) for part in (rest, left))
        if len(a) != len(b):
            return float("inf")
        worst = max(worst, float(np.abs(a - b).max(initial=0.0)) / top)
    return worst


def statistics_of(item, old, new):
    """Findings of what was drawn with dropout: {"zeros": share} or an array of draws [N, ...]."""
    if isinstance(old, dict):
        gap = max(abs(old[name] - new[name]) for name in old)
        return [Finding("dropout", f"{item}: share of zeros", gap, SHARE, str(old))]
    old, new = old.reshape(len(old), -1).astype(np.float64), new.reshape(len(new), -1).astype(np.float64)
    error = np.sqrt(old.var(axis=0) / len(old) + new.var(axis=0) / len(new)) + 1e-12
    apart = np.abs(old.mean(axis=0) - new.mean(axis=0)) / error
    spread = abs(new.std(axis=0).mean() / old.std(axis=0).mean() - 1)
    return [
        Finding("dropout", f"{item}: mean, in standard errors", float(apart.max()), DEVIATIONS, f"{len(old)} draws"),
        Finding("dropout", f"{item}: spread", float(spread), SPREAD, f"{len(old)} draws"),
    ]


# === Speed ===


def speed_of(old, new):
    """CPU seconds of turns -> medians, and the median of the ratios of the turns."""
    ratios = [b / a for a, b in zip(old, new, strict=True)]
    rounded = {"old": statistics.median(old), "new": statistics.median(new), "ratio": statistics.median(ratios)}
    return {name: round(value, 4) for name, value in rounded.items()} | {"turns": len(old)}


# === Output ===


def show(findings, speed, allowed_ratio):
    """Prints the table; returns the names of what is over."""
    over = [f"{each.group}/{each.item}" for each in findings if each.over]
    print(f"{'what':<58} {'items':>5} {'difference':>11} {'allowed':>8}  verdict")
    for name, items in rows_of(findings).items():
        worst = max(items, key=lambda each: (each.over, np.nan_to_num(each.difference, nan=np.inf)))
        allowed = worst.allowed if worst.over else max(each.allowed for each in items)
        verdict = "OVER" if any(each.over for each in items) else "same"
        print(f"{name:<58} {len(items):>5} {worst.difference:>11.2e} {allowed:>8.0e}  {verdict}")
    for each in [each for each in findings if each.over or (each.note and each.group != "dropout")][:DETAILS]:
        print(f"  {each.group}/{each.item}: {each.difference:.3g}, allowed {each.allowed:g}. {each.note}")
    for what, found in speed.items():
        if not found["ratio"] <= allowed_ratio:
            over.append(f"speed/{what}")
        verdict = "OVER" if f"speed/{what}" in over else "same"
        name = f"speed/{what}, CPU seconds {found['old']:.3f} -> {found['new']:.3f}"
        print(f"{name:<58} {found['turns']:>5} {found['ratio']:>11.3f} {allowed_ratio:>8.2f}  {verdict}")
    return over


def rows_of(findings):
    """{group/subject: Findings} of the table."""
    rows = defaultdict(list)
    for each in findings:
        subject = each.item if each.group == "dropout" else each.item.split("/")[0]
        rows[f"{each.group}/{subject}"].append(each)
    return rows


def summary(findings, speed):
    """The figures of the JSON object."""
    groups = defaultdict(lambda: {"items": 0, "over": 0, "largest_difference": 0.0, "allowed": 0.0})
    speed = {what: found if "failed" not in found else {"failed": True} for what, found in speed.items()}
    for each in findings:
        group = groups[each.group]
        group["items"] += 1
        group["over"] += each.over
        if each.group == "dropout":  # of several units
            group["allowed"] = group["largest_difference"] = None
            continue
        group["allowed"] = max(group["allowed"], each.allowed)
        if not np.isfinite(each.difference):
            group["largest_difference"] = None  # of other shapes, or missing, or failed
        elif group["largest_difference"] is not None:
            group["largest_difference"] = max(group["largest_difference"], float(f"{each.difference:.3g}"))
    return {"groups": dict(groups), "speed": speed}
