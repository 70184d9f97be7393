"""Relations of two entities in a text: KLUE-RE, with the entities marked."""

import json

from tfkor.data.tables import read_text
from tfkor.data.text_data import DataError, TextData

# In the order of KLUE's relation_list.json
RELATIONS = """
    no_relation org:dissolved org:founded org:place_of_headquarters org:alternate_names org:member_of org:members
    org:political/religious_affiliation org:product org:founded_by org:top_members/employees
    org:number_of_employees/members per:date_of_birth per:date_of_death per:place_of_birth per:place_of_death
    per:place_of_residence per:origin per:employee_of per:schools_attended per:alternate_names per:parents
    per:children per:siblings per:spouse per:other_family per:colleagues per:product per:religion per:title
"""
KLUE_RE_RELATIONS = tuple(RELATIONS.split())
KLUE_RE_TYPES = ("PER", "ORG", "LOC", "DAT", "POH", "NOH")
ROLES = ("subj", "obj")


def entity_markers(typed=False):
    """The strings that stand around entities: <subj> </subj> <obj> </obj>, as in KLUE-baseline, or with the entity's
    type, <subj:PER> ... (Zhou and Chen 2022): symbols for `tfkor.zoo.with_symbols`."""
    kinds = [f"{role}:{kind}" for role in ROLES for kind in KLUE_RE_TYPES] if typed else ROLES
    return [marker for kind in kinds for marker in (f"<{kind}>", f"</{kind}>")]


def mark_entities(text, subject, object_, types=None):
    """A text with its two entities in markers; `subject` and `object_` are (begin, end) in it, end exclusive.

    Args:
      types: None, or the types of the two, which become part of the markers.

    Raises:
      ValueError: a span that is empty or outside the text, or spans that overlap.
    """
    spans = [(*subject, "subj"), (*object_, "obj")]
    for begin, end, role in spans:
        if not 0 <= begin < end <= len(text):
            raise ValueError(
                f"{role} is at {begin} to {end}; expected a span inside the text of {len(text)} characters"
            )
    (first, last), names = sorted(spans), dict(zip(ROLES, types or ROLES))
    if first[1] > last[0]:
        raise ValueError(f"{first[2]} at {first[:2]} and {last[2]} at {last[:2]} overlap; expected two separate spans")
    for begin, end, role in (last, first):
        kind = f"{role}:{names[role]}" if types else role
        text = f"{text[:begin]}<{kind}>{text[begin:end]}</{kind}>{text[end:]}"
    return text


def read_klue_re(path, typed=False):
    """KLUE-RE's klue-re-v1.1_*.json, also gzipped: TextData of sentences with marked entities, labels are relations.

    Format: a JSON list of objects with sentence, subject_entity and object_entity (start_idx, end_idx, which is
    inclusive, and type) and label (Park et al. 2021, section 3.5).

    Raises:
      DataError: not JSON of that format, an entity outside its sentence, an unknown relation; the message names file
        and example.
    """
    try:
        examples = json.loads(read_text(path))
        rows = [
            (
                example["guid"],
                example["sentence"],
                *((entity["start_idx"], entity["end_idx"] + 1) for entity in entities_in(example)),
                [entity["type"] for entity in entities_in(example)] if typed else None,
                example["label"],
            )
            for example in examples
        ]
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path}: {error!r}; expected a JSON list of sentences with subject_entity, object_entity"
        ) from error
    texts, labels = [], []
    for name, sentence, subject, object_, types, label in rows:
        if label not in KLUE_RE_RELATIONS:
            raise DataError(f"{path}, {name}: the relation {label!r}; expected one of KLUE-RE's 30")
        try:
            texts.append(mark_entities(sentence, subject, object_, types))
        except ValueError as error:
            raise DataError(f"{path}, {name}: {error}") from error
        labels.append(label)
    return TextData(texts, None, labels, str(path))


def entities_in(example):
    return example["subject_entity"], example["object_entity"]
