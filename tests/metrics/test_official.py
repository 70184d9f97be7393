"""The figures of the official scripts, which ran on made-up predictions once: tests/golden/metrics.json."""

import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from tfkor import metrics
from tfkor.metrics import answers, classification, dialogue, relations

CASES = defaultdict(list)
for case in json.loads((Path(__file__).parents[1] / "golden/metrics.json").read_text(encoding="utf-8"))["cases"]:
    CASES[case["metric"]].append(case)


def each(metric):
    """Parametrises with (input, expected) of the cases of a metric."""
    return pytest.mark.parametrize(
        "given, expected", [pytest.param(c["input"], c["expected"], id=c["name"]) for c in CASES[metric]]
    )


def assert_same(found, expected, percent=True):
    expected = math.nan if expected == "nan" else expected / (100 if percent else 1)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_all_cases_are_looked_at():
    assert sum(map(len, CASES.values())) == 222 and len(CASES) == 30


@each("ynat_macro_f1")
def test_ynat(given, expected):
    assert_same(metrics.class_report(given["targets"], given["preds"], 7)["macro_f1"], expected)


@each("klue_nli_acc")
def test_nli(given, expected):
    assert_same(metrics.class_report(given["targets"], given["preds"], 3)["accuracy"], expected)


@each("koelectra_acc")
def test_accuracy(given, expected):
    assert_same(metrics.class_report(given["labels"], given["preds"], 3)["accuracy"], expected["acc"], percent=False)


@each("koelectra_hate_macro")
def test_hate_speech(given, expected):
    assert_same(metrics.class_report(given["labels"], given["preds"], 3)["macro_f1"], expected["f1"], percent=False)


def rounded(given):
    return (np.asarray(given[name], np.float32).astype(np.float64) for name in ("labels", "preds"))


@each("klue_sts_pearsonr")
def test_sts_pearson(given, expected):
    assert_same(metrics.regression_report(*rounded(given))["pearson"], expected)


@each("klue_sts_f1")
def test_sts_f1(given, expected):
    assert_same(metrics.regression_report(*rounded(given))["f1_at_3"], expected)


@each("koelectra_pearson_spearman")
def test_korsts(given, expected):
    found = metrics.regression_report(given["labels"], given["preds"])
    assert_same(found["pearson"], expected["pearson"], percent=False)
    assert_same(found["spearman"], expected["spearmanr"], percent=False)


@each("klue_ner_entity_macro_f1")
def test_klue_ner_entities(given, expected):
    assert_same(metrics.klue_ner_report(given["labels"], given["preds"], given["label_list"])["entity_f1"], expected)


@each("klue_ner_char_macro_f1")
def test_klue_ner_characters(given, expected):
    assert_same(metrics.klue_ner_report(given["labels"], given["preds"], given["label_list"])["character_f1"], expected)


@each("koelectra_naver_ner (seqeval default, suffix=True)")
def test_naver_ner(given, expected):
    found = metrics.entity_report(given["y_true"], given["y_pred"], suffix=True)
    for name in ("precision", "recall", "f1"):
        assert_same(found[name], expected[name], percent=False)


@pytest.mark.parametrize("mode", ["default mode, IOB2 prefixes", "strict mode, IOB2"])
def test_seqeval(mode):
    for case in CASES[f"seqeval {mode}"]:
        found = metrics.entity_report(
            case["input"]["y_true"], case["input"]["y_pred"], strict=mode.startswith("strict")
        )
        assert_same(found["f1"], case["expected"]["micro"], percent=False)
        assert_same(found["macro_f1"], case["expected"]["macro"], percent=False)


@each("klue_re_micro_f1")
def test_relations(given, expected):
    probabilities = np.eye(len(given["label_list"]))[given["preds"]]
    assert_same(metrics.relation_report(given["labels"], probabilities)["micro_f1"], expected)


@each("klue_re_auprc")
def test_area_under_the_curves_of_relations(given, expected):
    found = metrics.relation_report(given["labels"], np.array(given["probs"]))
    assert_same(found["auprc"], expected)
    assert 0 < found["present_auprc"] <= 1


@each("sklearn_0.24.1_precision_recall_curve_auc")
def test_area_under_a_curve(given, expected):
    found = relations.precision_recall_area(np.array(given["y_true"], bool), np.array(given["y_score"]))
    assert_same(found, expected["auc"], percent=False)


@pytest.mark.parametrize(
    "official, ours",
    [
        ("uas_macro_f1", "uas_macro_f1"),
        ("uas_micro_f1", "uas"),
        ("las_macro_f1", "las_macro_f1"),
        ("las_micro_f1", "las"),
    ],
)
def test_dependencies(official, ours):
    for case in CASES[f"klue_dp_{official}"]:
        names = ("heads", "types", "heads_pred", "types_pred")
        flat = [np.concatenate([np.ravel(batch[name]) for batch in case["input"]["batches"]]) for name in names]
        assert_same(metrics.dependency_report(*flat)[ours], case["expected"])


@each("normalize_answer_for_klue_mrc")
def test_normal_answers_of_klue(given, expected):
    assert answers.klue_normal(given["answer"]) == expected


@each("rouge_w_score_for_klue_mrc")
def test_rouge_w(given, expected):
    assert_same(answers.rouge_w(given["pred"], given["label"]), expected, percent=False)


def klue_questions(given):
    return {example["guid"]: example["answers"] for example in given["examples"]}, given["predictions"]


@each("klue_mrc_em")
def test_klue_mrc_exact_match(given, expected):
    if isinstance(expected, dict):
        with pytest.raises(ValueError, match="no prediction for q1"):
            metrics.klue_mrc_report(*klue_questions(given))
    else:
        assert_same(metrics.klue_mrc_report(*klue_questions(given))["exact_match"], expected)


@each("klue_mrc_rouge_w")
def test_klue_mrc_rouge(given, expected):
    assert_same(metrics.klue_mrc_report(*klue_questions(given))["rouge_w"], expected)


@each("klue_mrc_single")
def test_klue_mrc_of_one_question(given, expected):
    found = metrics.klue_mrc_report({"q": given["answers"]}, {"q": given["prediction"]})
    assert_same(found["exact_match"], expected["em"])
    assert_same(found["rouge_w"], expected["rouge_w"])


@each("korquad_normalize_answer")
def test_normal_answers_of_korquad(given, expected):
    assert answers.korquad_normal(given["s"]) == expected


@each("korquad_pair")
def test_korquad_of_one_question(given, expected):
    found = metrics.korquad_report({"q": [given["ground_truth"]]}, {"q": given["prediction"]})
    assert_same(found["exact_match"], expected["exact_match"], percent=False)
    assert_same(found["f1"], expected["f1"], percent=False)


@each("korquad_evaluate")
def test_korquad(given, expected):
    questions = {
        question["id"]: [answer["text"] for answer in question["answers"]]
        for article in given["dataset"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    }
    if "raises" in expected:
        with pytest.raises(ValueError, match="no true answer"):
            metrics.korquad_report(questions, given["predictions"])
    else:
        found = metrics.korquad_report(questions, given["predictions"])
        assert_same(found["exact_match"], expected["exact_match"])
        assert_same(found["f1"], expected["f1"])


@each("wos_turn")
def test_one_turn(given, expected):
    assert_same(dialogue.turn_f1(given["gold"], given["pred"]), expected["slot_f1"], percent=False)
    found = metrics.dialogue_report([given["gold"]], [given["pred"]])
    assert_same(found["joint_goal_accuracy"], expected["jga"])


@pytest.mark.parametrize("official, ours", [("wos_jga", "joint_goal_accuracy"), ("wos_slot_micro_f1", "slot_f1")])
def test_dialogues(official, ours):
    for case in CASES[official]:
        assert_same(metrics.dialogue_report(case["input"]["gold"], case["input"]["pred"])[ours], case["expected"])


def test_what_does_not_fit_is_named():
    for truth, predicted, words in (
        ([["O"]], [["O", "O"]], "sentence 0: 1 tags, but 2 are predicted"),
        ([["O"]], [], "1 sentences, but predictions for 0"),
        ([["S-PS"]], [["O"]], "the tag is 'S-PS'; expected O, or B-PS or I-PS"),
        ([["BPS"]], [["O"]], "the tag is 'BPS'"),
    ):
        with pytest.raises(ValueError, match=words):
            metrics.entity_report(truth, predicted)
    assert classification.regression_report([1.0, 2.0], [1.0, 1.0])["f1_at_3"] == 0
