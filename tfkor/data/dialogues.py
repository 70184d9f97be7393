"""Dialogues with their states: KLUE-DST, also called the Wizard of Seoul (WoS)."""

import os
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np

from tfkor.data.json_files import read_json
from tfkor.data.text_data import DataError, shorten

ROLES = ("user", "sys")


@dataclass
class DialogueData:
    """Dialogues of a user and a system; all lists have one length.

    ids: list of str. utterances: for each dialogue a list of str, alternately the user's and the system's, the user's
    first. states: for each dialogue a list with the state after each utterance of the user, a state being a list of
    "domain-slot-value". domains: for each dialogue a list of str. `source` names the file.
    """

    ids: list[str]
    utterances: list[list[str]]
    states: list[list[list[str]]]
    domains: list[list[str]]
    source: str | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def name(self) -> str:
        return self.source or "the data"

    @property
    def slots(self) -> list[str]:
        """Every "domain-slot" that occurs in a state, sorted."""
        return sorted({split_state(value)[0] for state in self.truth() for value in state})

    def truth(self) -> list[list[str]]:
        """The states of all turns, one after the other."""
        return [state for states in self.states for state in states]

    def select(self, rows: Sequence[int]) -> "DialogueData":
        """The dialogues with these indices, in this order."""
        rows = np.asarray(rows, np.int64)
        columns = (self.ids, self.utterances, self.states, self.domains)
        return DialogueData(*([column[i] for i in rows] for column in columns), self.source)


def split_state(text: str) -> tuple[str, str]:
    """A "domain-slot-value" -> ("domain-slot", value); the value may contain hyphens.

    Raises:
      ValueError: a part is missing.
    """
    domain, slot, value = (*text.split("-", 2), "", "")[:3]
    if not (domain and slot and value.strip()):
        raise ValueError(f"the state has {text!r}; expected domain-slot-value")
    return f"{domain}-{slot}", value.strip()


def read_klue_wos(path: str | os.PathLike, ontology: Container[str] | None = None) -> DialogueData:
    """KLUE-DST's wos-v1.1_*.json, also gzipped: DialogueData.

    Format: a JSON list of objects with guid, domains (which may be missing) and dialogue, a list of turns with role
    (user, sys), text and, for the user, state, a list of "domain-slot-value" (Park et al. 2021, section 3.8).

    Args:
      ontology: what `read_ontology` returns; if given, states may have no other slots. Their values are not checked.

    Raises:
      DataError: not JSON of that format, a repeated dialogue, two turns of one role in a row, a state without one of
        its three parts or with an unknown slot; the message names file, dialogue and turn, counted from 1.
    """
    data, seen = DialogueData([], [], [], [], str(path)), set()
    for number, found in enumerate(read_json(path, list, "a JSON list of dialogues"), 1):
        fields = found if isinstance(found, dict) else {}
        name, turns, domains = (fields.get(field) for field in ("guid", "dialogue", "domains"))
        if not (isinstance(name, str) and isinstance(turns, list) and turns and are_strings(domains or [])):
            raise DataError(
                f"{path}, dialogue {number}: found {shorten(found)}; expected an object with guid, domains and dialogue"
            )
        if name in seen:
            raise DataError(f"{path}: the dialogue {name} twice; expected each guid once")
        seen.add(name)
        data.ids.append(name)
        data.domains.append(domains or [])
        data.utterances.append([])
        data.states.append([])
        for i, turn in enumerate(turns):
            where = f"{path}, dialogue {name}, turn {i + 1}"
            text, state = checked_turn(where, turn, ROLES[i % 2], ontology)
            data.utterances[-1].append(text)
            if i % 2 == 0:
                data.states[-1].append(state)
    return data


def checked_turn(where: str, turn: object, role: str, ontology: Container[str] | None) -> tuple[str, list | None]:
    """(text, state) of a turn; the state is None where the role is sys."""
    if not isinstance(turn, dict) or not isinstance(turn.get("text"), str):
        raise DataError(f"{where}: found {shorten(turn)}; expected an object with role, text and state")
    if turn.get("role") != role:
        raise DataError(
            f"{where}: the role {turn.get('role')!r}; expected {role!r}: user and sys alternate, the user first"
        )
    if role == "sys":
        return turn["text"], None
    state = turn.get("state")
    if not are_strings(state):
        raise DataError(f"{where}: the state is {shorten(state)}; expected a list of domain-slot-value")
    for value in state:
        try:
            slot, _ = split_state(value)
        except ValueError as error:
            raise DataError(f"{where}: {error}") from None
        if ontology is not None and slot not in ontology:
            raise DataError(f"{where}: the slot {slot!r}; expected one of the {len(ontology)} of the ontology")
    return turn["text"], state


def are_strings(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(value, str) for value in found)


def read_ontology(path: str | os.PathLike) -> dict[str, list[str]]:
    """KLUE-DST's ontology.json, also gzipped: {"domain-slot": list of its values}.

    Raises:
      DataError: not JSON of that format; the message names file and slot.
    """
    ontology = read_json(path, dict, "a JSON object of slots and their values")
    for slot, values in ontology.items():
        if slot.count("-") != 1 or not all(slot.split("-")):
            raise DataError(f"{path}: the slot {slot!r}; expected domain-slot")
        if not are_strings(values):
            raise DataError(f"{path}, slot {slot}: found {shorten(values)}; expected a list of values")
    return ontology
