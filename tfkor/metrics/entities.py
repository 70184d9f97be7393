"""Named-entity recognition: seqeval's two ways to read tags, and the metrics of KLUE-NER."""

from collections.abc import Sequence

import numpy as np

from tfkor.metrics.classification import confusion_matrix


def entities_of(tags: Sequence[str], strict: bool = False, suffix: bool = False) -> list[tuple[str, int, int]]:
    """The entities of one sentence, a list of (type, index of its first tag, index of its last tag).

    Args:
      tags: list of str, B-PS I-PS O; with `suffix`, PS-B PS-I O.
      strict: an entity begins at a B only, seqeval's mode="strict", scheme=IOB2; otherwise also at an I that does not
        continue an entity of its type, seqeval's default.

    Raises:
      ValueError: a tag that is neither O nor one of B and I.
    """
    found, start, kind = [], None, None
    for i, tag in enumerate([*tags, "O"]):
        mark, name = split_tag(tag, suffix)
        if start is not None and (mark != "I" or name != kind):
            found.append((kind, start, i - 1))
            start = None
        if mark == "B" or (mark == "I" and start is None and not strict):
            start, kind = i, name
    return found


def split_tag(tag: str, suffix: bool) -> tuple[str, str | None]:
    """ "B-PS" -> ("B", "PS")"""
    if tag == "O":
        return "O", None
    name, dash, mark = tag.rpartition("-") if suffix else tag.partition("-")[::-1]
    if not dash or mark not in ("B", "I"):
        raise ValueError(f"the tag is {tag!r}; expected O, or {'PS-B or PS-I' if suffix else 'B-PS or I-PS'}")
    return mark, name


def entity_report(
    truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], strict: bool = False, suffix: bool = False
) -> dict[str, float]:
    """Lists of tags, one for each sentence -> precision, recall and F1 over all entities (micro), and the mean of the
    types' F1 (macro), as seqeval computes them; 0 instead of a division by 0, and macro F1 nan without any entity.

    Raises:
      ValueError: lists of different lengths.
    """
    counts = {}  # type -> [hits, predicted, true]
    if len(truth) != len(predicted):
        raise ValueError(f"{len(truth)} sentences, but predictions for {len(predicted)}; expected as many")
    for number, (wanted, found) in enumerate(zip(truth, predicted)):
        if len(wanted) != len(found):
            raise ValueError(f"sentence {number}: {len(wanted)} tags, but {len(found)} are predicted; expected as many")
        wanted, found = (set(entities_of(tags, strict, suffix)) for tags in (wanted, found))
        for column, group in enumerate((wanted & found, found, wanted)):
            for kind, _, _ in group:
                counts.setdefault(kind, [0, 0, 0])[column] += 1
    hits, found, wanted = (sum(count[column] for count in counts.values()) for column in range(3))
    kinds = [2 * h / (f + w) for h, f, w in counts.values()]
    return {
        "precision": hits / max(found, 1),
        "recall": hits / max(wanted, 1),
        "f1": 2 * hits / max(found + wanted, 1),
        "macro_f1": float(np.mean(kinds)) if kinds else float("nan"),
        "entities": wanted,
    }


def klue_ner_report(truth: Sequence[int], predicted: Sequence[int], labels: Sequence[str]) -> dict[str, float]:
    """The metrics of KLUE-NER for flat lists of the label ids of all sentences' characters.

    `entity_f1` is the macro F1 over the types of strictly read entities. `character_f1` is the macro F1 over all
    labels, O included in spite of its official description; a label that occurs nowhere counts as 1 (KLUE-baseline,
    klue_ner_entity_macro_f1 and klue_ner_char_macro_f1).
    """
    tags = [[labels[i] for i in ids] for ids in (truth, predicted)]
    matrix = confusion_matrix(truth, predicted, len(labels))
    hits, total = np.diag(matrix), matrix.sum(0) + matrix.sum(1)
    characters = np.where(total > 0, 2 * hits / np.maximum(total, 1), 1.0)
    return {
        "entity_f1": entity_report(tags[:1], tags[1:], strict=True)["macro_f1"],
        "character_f1": float(characters.mean()),
    }
