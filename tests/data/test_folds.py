"""Folds and cuts of training data: each row once, classes spread evenly, contexts whole."""

import numpy as np
import pytest

from tfkor.data import DataError, TextData
from tfkor.data.folds import cut_rows, folds
from tfkor.data.questions import QuestionData
from tfkor.data.relations import RelationData, RelationExample


def texts(labels):
    return TextData([str(i) for i in range(len(labels))], labels=labels)


def questions(contexts):
    ids = [str(i) for i in range(len(contexts))]
    return QuestionData(ids, ids, contexts, [[] for _ in ids])


def test_classes_are_spread_evenly_and_each_row_is_in_one_fold():
    data = texts(["a"] * 23 + ["b"] * 7 + ["c"] * 3)
    parts = folds(data, 3)
    assert sorted(np.concatenate(parts)) == list(range(33)) and {len(part) for part in parts} == {11}
    for label, counts in (("a", {7, 8}), ("b", {2, 3}), ("c", {1})):
        assert {sum(data.labels[row] == label for row in part) for part in parts} == counts
    for part, again in zip(parts, folds(data, 3)):
        np.testing.assert_array_equal(part, again)
        assert list(part) == sorted(part)
    assert not np.array_equal(np.concatenate(parts), np.arange(33))


def test_relations_are_classes_too():
    relations = ["no_relation"] * 4 + ["per:spouse"] * 4
    examples = [RelationExample("", "가나", (0, 1), (1, 2), ("PER", "PER"), relation) for relation in relations]
    data = RelationData(examples, "re.json")
    assert [sorted(data.labels[row] for row in part) for part in folds(data, 4)] == [sorted(set(relations))] * 4
    with pytest.raises(DataError, match=r"re\.json: 8 rows or contexts for 9 folds"):
        folds(data, 9)


def test_numbers_are_not_classes():
    parts = folds(texts([float(i % 2) for i in range(10)]), 5)
    assert sorted(np.concatenate(parts)) == list(range(10)) and {len(part) for part in parts} == {2}


def test_a_context_is_in_one_fold_and_is_not_cut():
    contexts = [f"c{i // 3}" for i in range(30)]
    data = questions(contexts)
    for part in folds(data, 5):
        assert len(part) == 6 and len({contexts[row] for row in part}) == 2
    rest, cut = cut_rows(data, 8)
    assert len(cut) == 9 and sorted([*rest, *cut]) == list(range(30))
    assert not {contexts[row] for row in rest} & {contexts[row] for row in cut}


def test_pairs_with_one_premise_stay_together():
    premises = [f"p{i % 10}" for i in range(30)]
    data = TextData(premises, [str(i) for i in range(30)], ["a", "b", "c"] * 10)
    for part in folds(data, 5):
        assert len(part) == 6 and len({premises[row] for row in part}) == 2
    cuts = [cut_rows(data, 5, seed)[1].tolist() for seed in (0, 0, 1)]
    assert len(cuts[0]) == 6 and cuts[0] == cuts[1] != cuts[2]
    assert len({premises[row] for row in cuts[0]}) == 2


def test_rows_are_cut_as_many_as_asked():
    rest, cut = cut_rows(texts(["a"] * 20), 5)
    assert len(cut) == 5 and sorted([*rest, *cut]) == list(range(20))


def test_too_few_rows_are_an_error():
    with pytest.raises(DataError, match="the data: 2 rows or contexts for 3 folds"):
        folds(texts(["a", "b"]), 3)
    with pytest.raises(DataError, match="all of it; cut fewer"):
        cut_rows(questions(["c"] * 5), 2)
