"""Data of relation extraction: KLUE-RE, with the two entities marked in the text."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tfkor.data.json_files import read_json, value_of
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


def entity_markers(typed: bool = False) -> list[str]:
    """The strings before and after entities: <subj> </subj> <obj> </obj>, as in KLUE-baseline, or with the entity's
    type, <subj:PER> ... (Zhou and Chen 2022): symbols for `tfkor.zoo.with_symbols`."""
    kinds = [f"{role}:{kind}" for role in ROLES for kind in KLUE_RE_TYPES] if typed else ROLES
    return [marker for kind in kinds for marker in (f"<{kind}>", f"</{kind}>")]


def mark_entities(
    text: str, subject: tuple[int, int], object_: tuple[int, int], types: tuple[str, str] | None = None
) -> str:
    """A text with markers around its two entities; `subject` and `object_` are (begin, end) in it, end exclusive.

    Args:
      types: if given, the types of the two, which become part of the markers.

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


class RelationExample(NamedTuple):
    """A sentence with two entities, (begin, end) in it, their types and their relation; the last is None if unknown."""

    name: str
    sentence: str
    subject: tuple[int, int]
    object_: tuple[int, int]
    types: tuple[str, str]
    relation: str | None


@dataclass
class RelationData:
    """RelationExamples; `source` is the path of the file, `lines` the row of each example in it, from 1."""

    examples: list[RelationExample]
    source: str | None = None
    lines: list[int] | None = None

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def name(self) -> str:
        return self.source or "the data"

    def select(self, rows: Sequence[int]) -> "RelationData":
        """The examples with these indices, in this order."""
        lines = None if self.lines is None else [self.lines[i] for i in rows]
        return RelationData([self.examples[i] for i in rows], self.source, lines)

    @property
    def texts(self) -> list[str]:
        return [example.sentence for example in self.examples]

    @property
    def labels(self) -> list[str] | None:
        """The relations of the examples; None if the relation of any is unknown."""
        found = [example.relation for example in self.examples]
        return None if None in found else found

    def marked(self, typed: bool = False) -> TextData:
        """TextData of the sentences with their entities marked."""
        texts = [mark_entities(*example[1:4], example.types if typed else None) for example in self.examples]
        return TextData(texts, None, self.labels, self.source, self.lines)


def read_klue_re(path: str | os.PathLike, labelled: bool = True) -> RelationData:
    """KLUE-RE's klue-re-v1.1_*.json, also gzipped: RelationData.

    Format: a JSON list of objects with guid, sentence, subject_entity and object_entity (each with word, start_idx,
    end_idx, which is inclusive, and type) and label (Park et al. 2021, section 3.5).

    Args:
      labelled: whether to read the relations; False for files that may lack them.

    Raises:
      DataError: not JSON of that format, an entity whose word differs from the sentence at its indices, an unknown type
        or relation; the message names file and row, from 1.
    """
    examples = []
    for number, row in enumerate(read_json(path, list, "a JSON list of sentences with two entities"), 1):
        try:
            examples.append(relation_example(row, labelled))
        except ValueError as error:
            name = f" ({row['guid']})" if isinstance(row, dict) and "guid" in row else ""
            raise DataError(f"{path}, row {number}{name}: {error}") from error
    return RelationData(examples, str(path), list(range(1, len(examples) + 1)))


def relation_example(row: dict, labelled: bool) -> RelationExample:
    """An object of the file -> RelationExample; raises ValueError if something is wrong in it."""
    sentence = value_of(row, "sentence", str, "the row")
    relation = value_of(row, "label", str, "the row") if labelled else None
    if labelled and relation not in KLUE_RE_RELATIONS:
        raise ValueError(f"the relation {relation!r}; expected one of KLUE-RE's 30")
    spans, types = [], []
    for role in ("subject_entity", "object_entity"):
        entity = value_of(row, role, dict, "the row")
        begin, end = value_of(entity, "start_idx", int, role), value_of(entity, "end_idx", int, role) + 1
        word, there = value_of(entity, "word", str, role), sentence[max(begin, 0) : end]
        if word != there:
            raise ValueError(f"{role} is {word!r}, but the sentence has {there!r} from {begin} to {end - 1}")
        kind = value_of(entity, "type", str, role)
        if kind not in KLUE_RE_TYPES:
            raise ValueError(f"{role} has the type {kind!r}; expected one of {', '.join(KLUE_RE_TYPES)}")
        spans.append((begin, end))
        types.append(kind)
    mark_entities(sentence, *spans)  # refuses entities that overlap
    return RelationExample(str(row.get("guid", "")), sentence, *spans, tuple(types), relation)
