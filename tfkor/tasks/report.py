"""Metrics of a classifier by domain, its most frequent errors, and its confusion matrix as a picture."""

import os
from collections.abc import Sequence

import numpy as np

from tfkor.files import new_file
from tfkor.metrics.classification import confusion_matrix, f1_scores


def domain_report(truth: np.ndarray, predicted: np.ndarray, domains: Sequence[str]) -> list[dict]:
    """Metrics of each domain, a group of classes.

    Args:
      truth, predicted: class ids, int [N].
      domains: the domain of each class, a list of C names.

    Returns:
      A list of dicts: domain, examples, accuracy (the class is right), domain_accuracy (the domain is right) and
      macro_f1 of the domain's classes, over all the rows; in the order in which the domains first occur.
    """
    truth, predicted, domain_of = np.asarray(truth), np.asarray(predicted), np.asarray(domains)
    scores = f1_scores(truth, predicted, len(domains))
    rows = []
    for domain in dict.fromkeys(domains):
        here = domain_of[truth] == domain
        if not here.any():
            continue
        row = {
            "domain": domain,
            "examples": int(here.sum()),
            "accuracy": float(np.mean(predicted[here] == truth[here])),
            "domain_accuracy": float(np.mean(domain_of[predicted[here]] == domain)),
            "macro_f1": float(scores[domain_of == domain].mean()),
        }
        rows.append(row)
    return rows


def markdown_table(rows: Sequence[dict], columns: Sequence[str]) -> str:
    """Rows of dicts -> a Markdown table of these columns; floats in percent."""

    def cell(value):
        return f"{100 * value:.1f}%" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(cell(row[name]) for name in columns) + " |" for row in rows]
    return "\n".join(lines)


def most_confused(
    truth: np.ndarray, predicted: np.ndarray, names: Sequence[str], k: int = 10
) -> list[tuple[str, str, int]]:
    """Returns the `k` most frequent errors as (truth, prediction, count), the most frequent first."""
    errors = confusion_matrix(truth, predicted, len(names))
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:k]
    pairs = (np.unravel_index(i, errors.shape) for i in order)
    return [(names[i], names[j], int(errors[i, j])) for i, j in pairs if errors[i, j]]


def confusion_picture(
    path: str | os.PathLike, truth: np.ndarray, predicted: np.ndarray, domains: list[str], title: str = ""
) -> None:
    """Writes the confusion matrix as a PNG: rows the truth, columns the prediction, lines between domains.

    The classes are in the order of their ids, so classes of one domain should follow one another. Names of domains
    are drawn in matplotlib's own font, which has no Hangul.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    matrix = confusion_matrix(truth, predicted, len(domains)).astype(float)
    matrix /= np.maximum(matrix.sum(1, keepdims=True), 1)
    order = list(dict.fromkeys(domains))
    sizes = [domains.count(domain) for domain in order]
    ends = np.cumsum(sizes)
    figure = Figure(figsize=(10, 9.2))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    picture = axes.imshow(matrix, cmap="magma_r", vmin=0, vmax=1, interpolation="nearest")
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color="0.7", linewidth=0.5)
        axes.axvline(end - 0.5, color="0.7", linewidth=0.5)
    middles = ends - np.array(sizes) / 2 - 0.5
    axes.set_xticks(middles, order, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(middles, order, fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title)
    figure.colorbar(picture, label="fraction of the true class", fraction=0.04)
    figure.tight_layout()
    with new_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
