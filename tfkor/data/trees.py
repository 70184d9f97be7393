"""Dependency trees: KLUE-DP and the CoNLL-U files of Universal Dependencies."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfkor.data.tables import read_text
from tfkor.data.text_data import DataError

# In the order of KLUE-baseline's ids
KLUE_DP_RELATIONS = """
NP NP_AJT VP NP_SBJ VP_MOD NP_OBJ AP NP_CNJ NP_MOD VNP DP VP_AJT VNP_MOD NP_CMP VP_SBJ VP_CMP VP_OBJ
VNP_CMP AP_MOD X_AJT VP_CNJ VNP_AJT IP X X_SBJ VNP_OBJ VNP_SBJ X_OBJ AP_AJT L X_MOD X_CNJ VNP_CNJ
X_CMP AP_CMP AP_SBJ R NP_SVJ
"""
KLUE_DP_TAGS = """
NNG NNP NNB NP NR VV VA VX VCP VCN MMA MMD MMN MAG MAJ JC IC JKS JKC JKG JKO JKB JKV JKQ JX EP EF EC
ETN ETM XPN XSN XSV XSA XR SF SP SS SE SO SL SH SW SN NA
"""
KLUE_DP_RELATIONS, KLUE_DP_TAGS = tuple(KLUE_DP_RELATIONS.split()), tuple(KLUE_DP_TAGS.split())


@dataclass
class TreeData:
    """Sentences with their dependency trees; all lists have one length.

    words: for each sentence a list of str. tags: the part of speech of each word. heads: the number of each word's
    head, counted from 1, 0 for the root. relations: the relation to it. `source` and `lines` as in TextData.
    """

    words: list[list[str]]
    tags: list[list[str]]
    heads: list[list[int]]
    relations: list[list[str]]
    source: str | None = None
    lines: list[int] | None = None

    def __len__(self) -> int:
        return len(self.words)

    @property
    def name(self) -> str:
        return self.source or "the data"

    def select(self, rows: Sequence[int]) -> "TreeData":
        """The sentences with these indices, in this order."""
        rows = np.asarray(rows, np.int64)
        columns = (self.words, self.tags, self.heads, self.relations)
        lines = None if self.lines is None else [self.lines[i] for i in rows]
        return TreeData(*([column[i] for i in rows] for column in columns), self.source, lines)


def read_klue_dp(path: str | os.PathLike) -> TreeData:
    """KLUE-DP's klue-dp-v1.1_*.tsv, also gzipped: TreeData; the tag of a word is the last of its morphemes' tags.

    Format: INDEX WORD_FORM LEMMA POS HEAD DEPREL, separated by tabs; lines that begin with # are comments.

    Raises:
      DataError: a line with other columns, a head that is not a word of the sentence, an unknown relation or tag.
    """
    known = {"relation": KLUE_DP_RELATIONS, "tag": KLUE_DP_TAGS}
    return read_columns(path, 6, tag=lambda row: row[3].split("+")[-1], head=4, relation=5, known=known)


def read_conllu(path: str | os.PathLike) -> TreeData:
    """A .conllu file of Universal Dependencies, also gzipped: TreeData with the universal tags (UPOS).

    Ranges of multiword tokens and empty nodes are left out.

    Raises:
      DataError: a line without ten columns, or a head that is not a word of the sentence.
    """
    return read_columns(path, 10, tag=lambda row: row[3], head=6, relation=7, known={})


def read_columns(
    path: str | os.PathLike,
    count: int,
    tag: Callable[[list[str]], str],
    head: int,
    relation: int,
    known: Mapping[str, Sequence[str]],
) -> TreeData:
    """Reads `count` columns; `head` and `relation` are indices of columns, `known` the values that are allowed."""
    data = TreeData([], [], [], [], str(path), [])
    sentence, start = [], 1
    for number, line in enumerate([*read_text(path).split("\n"), ""], 1):
        line = line.removesuffix("\r")
        if line.startswith("#"):
            continue
        if not line.strip():
            if sentence:
                add_sentence(data, sentence, start)
            sentence = []
            continue
        row = line.split("\t")
        if len(row) != count:
            raise DataError(f"{path}, line {number}: {len(row)} columns; expected {count}, separated by tabs")
        if re.fullmatch(r"\d+[-.]\d+", row[0]):
            continue
        start = start if sentence else number
        found = {"word": row[1], "tag": tag(row), "head": row[head], "relation": row[relation], "line": number}
        for name, values in known.items():
            if found[name] not in values:
                raise DataError(f"{path}, line {number}: the {name} {found[name]!r}; expected one of KLUE-DP's")
        if row[0] != str(len(sentence) + 1) or not found["head"].isdecimal():
            raise DataError(f"{path}, line {number}: the word {row[0]} with the head {row[head]!r}; expected numbers")
        sentence.append(found)
    return data


def add_sentence(data: TreeData, sentence: list[dict], start: int) -> None:
    for word in sentence:
        if int(word["head"]) > len(sentence):
            raise DataError(
                f"{data.source}, line {word['line']}: the head {word['head']}; the sentence has {len(sentence)} words"
            )
    data.words.append([word["word"] for word in sentence])
    data.tags.append([word["tag"] for word in sentence])
    data.heads.append([int(word["head"]) for word in sentence])
    data.relations.append([word["relation"] for word in sentence])
    data.lines.append(start)
