"""The figures equal scikit-learn's and scipy's on the same predictions."""

import numpy as np
import pytest

from tfkor.metrics import classification as metrics
from tfkor.tasks import report

sklearn_metrics = pytest.importorskip("sklearn.metrics")
stats = pytest.importorskip("scipy.stats")


@pytest.fixture
def predictions():
    random = np.random.default_rng(0)
    truth = random.integers(0, 6, 200)  # class 6 is predicted only, class 7 never occurs
    predicted = np.where(random.random(200) < 0.6, truth, random.integers(0, 7, 200))
    return truth, predicted


def test_class_figures(predictions):
    truth, predicted = predictions
    ours = metrics.class_report(truth, predicted, 8)
    assert ours["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, predicted), abs=1e-12)
    assert ours["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(truth, predicted, average="macro"), abs=1e-12)
    assert ours["examples"] == 200
    expected = sklearn_metrics.confusion_matrix(truth, predicted, labels=range(8))
    np.testing.assert_array_equal(metrics.confusion_matrix(truth, predicted, 8), expected)


def test_multi_label_figures():
    random = np.random.default_rng(1)
    truth, predicted = random.random((50, 5)) < 0.3, random.random((50, 5)) < 0.3
    predicted[:10] = truth[:10]
    ours = metrics.multi_label_report(truth, predicted)
    assert ours["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, predicted))
    for average in ("micro", "macro"):
        expected = sklearn_metrics.f1_score(truth, predicted, average=average, zero_division=0)
        assert ours[f"{average}_f1"] == pytest.approx(expected)


def test_regression_figures():
    random = np.random.default_rng(2)
    truth = random.integers(0, 6, 80).astype(float)  # many ties
    predicted = np.round(truth + random.normal(size=80), 1)
    ours = metrics.regression_report(truth, predicted)
    assert ours["pearson"] == pytest.approx(stats.pearsonr(truth, predicted)[0])
    assert ours["spearman"] == pytest.approx(stats.spearmanr(truth, predicted)[0])
    assert ours["mean_squared_error"] == pytest.approx(sklearn_metrics.mean_squared_error(truth, predicted))
    assert np.isnan(metrics.regression_report(truth, np.ones(80))["pearson"])


def test_area_under_the_curve():
    random = np.random.default_rng(3)
    positive, negative = np.round(random.normal(1, 1, 70), 1), np.round(random.normal(0, 1, 90), 1)
    truth = [1] * 70 + [0] * 90
    expected = sklearn_metrics.roc_auc_score(truth, np.concatenate([positive, negative]))
    assert metrics.auroc(positive, negative) == pytest.approx(expected)


def test_domains_and_confusions():
    names = ["bank.a", "bank.b", "home.c"]
    domains = ["bank", "bank", "home"]
    truth, predicted = [0, 0, 1, 2, 2], [0, 1, 0, 2, 0]
    rows = report.domain_report(truth, predicted, domains)
    assert [row["domain"] for row in rows] == ["bank", "home"]
    assert [row["accuracy"] for row in rows] == pytest.approx([1 / 3, 1 / 2])
    assert [row["domain_accuracy"] for row in rows] == pytest.approx([1.0, 1 / 2])
    expected = sklearn_metrics.f1_score(truth, predicted, average=None, zero_division=0)
    assert [row["macro_f1"] for row in rows] == pytest.approx([expected[:2].mean(), expected[2]])
    assert report.most_confused(truth, predicted, names, k=5) == [
        ("bank.a", "bank.b", 1),
        ("bank.b", "bank.a", 1),
        ("home.c", "bank.a", 1),
    ]
    table = report.markdown_table(rows, ["domain", "examples", "accuracy"])
    assert table.splitlines() == [
        "| domain | examples | accuracy |",
        "| --- | --- | --- |",
        "| bank | 3 | 33.3% |",
        "| home | 2 | 50.0% |",
    ]


def test_the_confusion_picture_is_a_png(tmp_path):
    path = tmp_path / "pictures" / "confusion.png"
    report.confusion_picture(path, [0, 1, 2], [0, 1, 1], ["a", "a", "b"], "title")
    assert path.read_bytes().startswith(b"\x89PNG") and [p.name for p in path.parent.iterdir()] == ["confusion.png"]
