"""TextData, as_text_data and the checks before training."""

import numpy as np
import pytest

from tfkor.data import DataError, TextData, as_text_data, check_labels, check_trainable, label_array, label_names

THREE = TextData(["가", "나", "다"], ["a", "b", "c"], ["x", "y", "x"], source="f.tsv", lines=[2, 3, 5])


def test_len_and_select():
    assert len(THREE) == 3
    picked = THREE.select([2, 0])
    assert picked == TextData(["다", "가"], ["c", "a"], ["x", "x"], "f.tsv", [5, 2])
    assert THREE.select(np.array([False, True, False])).texts == ["나"]
    assert len(THREE.select([])) == 0
    assert TextData(["가"]).select([0]) == TextData(["가"])


def test_columns_of_different_length():
    with pytest.raises(DataError, match="2 texts but 1 labels"):
        TextData(["가", "나"], labels=["x"])


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_as_text_data_of_sequences(kind):
    data = as_text_data(kind(["가", "나"]), kind([1, 0]), kind(["다", "라"]))
    assert data == TextData(["가", "나"], ["다", "라"], ["1", "0"])
    assert all(type(text) is str for text in data.texts + data.pairs + data.labels)


def test_as_text_data_gives_text_data_back():
    assert as_text_data(THREE) is THREE
    with pytest.raises(DataError, match="labels=None"):
        as_text_data(THREE, ["x"] * 3)


def test_as_text_data_of_pandas():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"utterance": ["가", "나"], "intent": ["x", "y"], "other": ["다", "라"]}, index=[7, 9])
    columns = dict(text_column="utterance", pair_column="other", label_column="intent")
    assert as_text_data(frame, **columns) == TextData(["가", "나"], ["다", "라"], ["x", "y"])
    assert as_text_data(frame, text_column="utterance").labels is None
    assert as_text_data(frame["utterance"], frame["intent"].astype("category")).labels == ["x", "y"]
    with pytest.raises(DataError, match=r"no column 'text'; it has \['utterance', 'intent', 'other'\]"):
        as_text_data(frame)
    frame.loc[9, "utterance"] = None
    with pytest.raises(DataError, match=r"row 1 of texts is (None|nan)"):
        as_text_data(frame["utterance"])


def test_as_text_data_of_other_label_types():
    assert as_text_data(["가", "나"], np.float32([0.5, 2]), label_type="regression").labels == [0.5, 2.0]
    assert as_text_data(["가", "나"], [["a", "b"], []], label_type="multi_label").labels == [("a", "b"), ()]
    assert as_text_data(["가", "나"], [True, np.False_]).labels == ["true", "false"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("가나다",), "a list of one"),
        ((["가", 3],), "row 1 of texts is 3 \\(int\\); expected a str"),
        ((["가", b"b"],), "row 1 of texts is b'b'"),
        ((np.array([["가"]]),), "shape"),
        ((["가"], ["x", "y"]), "1 texts but 2 labels"),
        ((["가", "나"], ["x", None]), "row 1: the label None"),
        ((["가", "나"], [1.0, 2.0]), "row 0: the label 1.0 .* label_type='regression'"),
        ((["가", "나"], ["x", " "]), "row 1: the label is empty"),
    ],
)
def test_as_text_data_errors(arguments, message):
    with pytest.raises(DataError, match=message):
        as_text_data(*arguments)


def test_a_matrix_of_zeros_and_ones_is_not_taken_for_names():
    with pytest.raises(DataError, match="not a list of names"):
        as_text_data(["가", "나"], np.eye(2, dtype=int), label_type="multi_label")


def test_regression_labels_are_finite_numbers():
    for bad in ("", "높음", "nan", "inf", True, None):
        with pytest.raises(DataError, match=r"row 1: .*not a finite number"):
            as_text_data(["가", "나"], [1, bad], label_type="regression")


def test_unknown_label_type():
    with pytest.raises(ValueError, match="label_type='classes'; expected one of class, multi_label, regression"):
        as_text_data(["가"], label_type="classes")


def test_label_names():
    assert label_names(THREE) == ["x", "y"]
    assert label_names(as_text_data(["가", "나", "다"], [10, 9, 1])) == ["1", "9", "10"]
    assert label_names(TextData(["가", "나"], labels=[("b", "a"), ()])) == ["a", "b"]
    assert label_names(TextData(["가", "나"], labels=[1.0, 2.0])) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TextData(["가", "나"], source="t.txt"), "t.txt: read without labels; .*label_column"),
        (TextData(["가"], labels=["x"], source="t.tsv"), "t.tsv: 1 row; training needs at least 2"),
        (TextData(["가", "나"], labels=["x", "x"], source="t.tsv"), r"t.tsv: all 2 rows have the label 'x'"),
        (TextData(["가", "나"], labels=[0.5, 0.5]), "all 2 rows have the label 0.5"),
    ],
)
def test_what_can_not_be_trained_on(data, message):
    for check in (label_names, check_trainable):
        with pytest.raises(DataError, match=message):
            check(data)


def test_check_labels():
    names = [f"bank.intent{i}" for i in range(30)]
    dev = TextData(["가", "나", "다"], None, ["bank.intent3", "bank.intnt7", "z"], "dev.tsv", [2, 3, 9])
    with pytest.raises(DataError) as error:
        check_labels(dev, names)
    message = str(error.value)
    assert message.startswith("dev.tsv, line 3: the label 'bank.intnt7' is not in the training data")
    assert "(30 in all)" in message and "near ones: 'bank.intent7'" in message and "2 of 3 rows" in message
    check_labels(dev.select([0]), names)
    with pytest.raises(DataError, match=r"dev.tsv: read without labels"):
        check_labels(TextData(["가"], source="dev.tsv"), names)
    with pytest.raises(DataError, match="row 0: the label 'c'"):
        check_labels(TextData(["가"], labels=[("a", "c")]), ["a", "b"])


def test_label_array():
    classes = label_array(THREE, ["x", "y"])
    assert classes.dtype == np.int32 and classes.tolist() == [0, 1, 0]
    several = label_array(TextData(["가", "나"], labels=[("b", "a"), ()]), ["a", "b", "c"])
    assert several.dtype == np.float32 and several.tolist() == [[1, 1, 0], [0, 0, 0]]
    numbers = label_array(TextData(["가", "나"], labels=[0.5, 2.0]))
    assert numbers.dtype == np.float32 and numbers.tolist() == [0.5, 2.0]
    with pytest.raises(DataError, match="the label 'y' is not in the training data"):
        label_array(THREE, ["x"])
