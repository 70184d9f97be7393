"""QuestionAnswerer: spans in windows back to characters, no answer, training on a small rule, saving."""

import keras
import numpy as np
import pytest

from tfkor import Bert, BertConfig, Tokenizer
from tfkor.data.questions import QuestionData
from tfkor.tasks import QuestionAnswerer
from tfkor.tasks.answerer import best_spans, covering

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCAB = [*SPECIAL, "서울", "부산", "##은", "##에", "도시", "##다", "어디", "누구", "이순신", ".", "산", "?"]


def make(max_length=16, stride=4, max_question=3, **options):
    keras.utils.set_random_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    encoder = Bert(BertConfig(len(VOCAB), max_position_embeddings=64, **sizes))
    lengths = dict(max_length=max_length, stride=stride, max_question=max_question)
    return QuestionAnswerer(encoder, tokenizer=Tokenizer.from_vocab(VOCAB), **lengths, **options)


def says(answerer, begin, end, null=0.0):
    """Makes the answerer find an answer from the piece `begin` to the piece `end`, whatever its weights are."""
    table = np.zeros((len(VOCAB), 2), "float32")
    table[VOCAB.index(begin), 0] += 5
    table[VOCAB.index(end), 1] += 5
    table[VOCAB.index("[CLS]")] = null / 2
    answerer.outputs = lambda batch: np.where(
        batch["segment_ids"][..., None] == 1,
        table[batch["input_word_ids"]],
        np.where(batch["input_word_ids"][..., None] == 2, null / 2, -9.0),
    )
    return answerer


def test_an_answer_is_the_characters_of_its_pieces():
    answer = says(make(), "서울", "도시").predict(["어디?"], ["부산은 산. 서울은  도시다."])[0]
    assert answer[:3] == ("서울은  도시", 7, 14) and answer.score == 10
    decomposed = "\u1109\u1165울은 도시다"
    assert says(make(), "서울", "##은").predict(["어디?"], [decomposed])[0].text == decomposed[:4]
    assert make().predict([], []) == []
    assert QuestionAnswerer.answer is QuestionAnswerer.predict


def test_long_contexts_are_read_to_their_end():
    context = "부산은 도시다. " * 12 + "서울은 산."
    answer = says(make(), "서울", "##은").predict(["어디?"], [context])[0]
    assert answer.text == "서울은" and context[answer.begin : answer.end] == "서울은"


def test_no_answer_is_told_where_it_is_likelier():
    context = ["서울은 도시다."]
    assert says(make(unanswerable=True), "서울", "서울", null=10.5).predict(["누구?"], context)[0].text == ""
    assert says(make(unanswerable=True), "서울", "서울", null=9.5).predict(["누구?"], context)[0].text == "서울"
    patient = make(unanswerable=True, null_threshold=1)
    assert says(patient, "서울", "서울", null=10.5).predict(["누구?"], context)[0].text == "서울"
    assert says(make(), "서울", "서울", null=99).predict(["누구?"], context)[0].text == "서울"
    assert make(unanswerable=True).predict(["누구?"], [""])[0].text == ""


def data(*rows):
    """(question, context, answer or None), ... -> QuestionData"""
    answers = [[] if answer is None else [(answer, context.index(answer))] for _, context, answer in rows]
    questions, contexts, _ = zip(*rows)
    return QuestionData([str(i) for i in range(len(rows))], list(questions), list(contexts), answers)


def test_labels_are_the_pieces_of_the_answer_in_each_window():
    answerer = make()
    context = "부산은 도시다. 부산은 도시다. 부산은 도시다. 서울은 산."
    rows = [batch for batch in answerer.batches(data(("어디?", context, "서울")), 1, 8, 0).epoch(0)]
    assert len(rows) > 1
    found = [
        (VOCAB[row["input_word_ids"][0, a]], VOCAB[row["input_word_ids"][0, b]])
        for row in rows for a, b in row["labels"]
    ]  # fmt: skip
    assert set(found) == {("[CLS]", "[CLS]"), ("서울", "서울")}
    segments = rows[0]["segment_ids"][0] + rows[0]["input_mask"][0]
    assert sorted(set(segments.tolist())) in ([1, 2], [0, 1, 2])
    assert covering([(0, 2), (2, 3), (4, 6)], 2, 5) == (1, 2) and covering([(0, 2)], 3, 4) == (None, None)


def test_spans_are_ordered_and_bounded():
    logits = np.array([[0, 5], [3, 0], [0, 4], [2, 1]], "float32")
    allowed = np.array([True, True, True, False])
    assert best_spans(logits, allowed, 30)[:2] == [(7, 1, 2), (5, 0, 0)]
    assert all(last - first < 2 for _, first, last in best_spans(logits, allowed, 2))
    assert all(first != 3 for _, first, _ in best_spans(logits, allowed, 30))
    assert best_spans(np.zeros((0, 2)), np.zeros(0, bool), 3) == []


def lessons(count, seed, unanswerable=False):
    """어디? asks for a city, 누구? for 이순신."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        city = str(random.choice(["서울", "부산"]))
        words = [f"{city}은", "도시다", "이순신", "산", "."]
        if unanswerable and random.random() < 0.4:
            words.remove("이순신")
        random.shuffle(words)
        context = " ".join(words)
        question = str(random.choice(["어디", "누구"]))
        answer = city if question == "어디" else "이순신"
        rows.append((question + "?", context, answer if answer in context else None))
    return data(*rows)


@pytest.mark.slow
@pytest.mark.parametrize("unanswerable", [False, True])
def test_it_learns_and_reports_and_is_saved(tmp_path, unanswerable):
    answerer = make(max_length=24)
    options = dict(epochs=12, learning_rate=2e-3, batch_size=16)
    answerer.fit(lessons(300, 0, unanswerable), lessons(60, 1, unanswerable), **options)
    test = lessons(60, 2, unanswerable)
    report = answerer.evaluate(test)
    assert answerer.unanswerable == unanswerable and report["exact_match"] > 0.9
    assert set(report) == {"exact_match", "rouge_w" if unanswerable else "f1", "examples"}
    answerer.save(tmp_path / "qa")
    again = QuestionAnswerer.load(tmp_path / "qa")
    assert again.predict(test.questions, test.contexts) == answerer.predict(test.questions, test.contexts)
    assert again.unanswerable == unanswerable and again.stride == 4


@pytest.mark.parametrize("first", [0, 1])
def test_one_of_train_and_dev_with_an_unanswerable_question_is_enough(first):
    answered = data(("어디?", "서울은 도시다.", "서울"), ("누구?", "이순신.", "이순신"))
    mixed = data(("어디?", "서울은 도시다.", "서울"), ("누구?", "부산.", None))
    train, dev = (answered, mixed) if first else (mixed, answered)
    answerer = make()
    history = answerer.fit(train, dev, epochs=2)
    assert answerer.unanswerable and answerer.monitor == "rouge_w" and all("rouge_w" in row for row in history)
    assert set(answerer.evaluate(answered)) == {"exact_match", "rouge_w", "examples"}


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="max_length is 65; the encoder's position table holds 64"):
        make(max_length=65)
    with pytest.raises(ValueError, match="max_length is 9; expected at least 10"):
        make(max_length=9)
    with pytest.raises(ValueError, match="max_length is 6; expected at least 7"):
        make(max_length=6, stride=None)


def test_windows_of_short_rows_follow_one_another_without_a_gap():
    answerer = make(max_length=9, stride=None)
    assert answerer.stride == 3  # of the 3 pieces that fit beside the longest question
    assert make(max_length=16, stride=None).stride == 10
