"""SavedModels of taggers and of models that answer questions: from raw text, equal to the tasks in Python."""

import io
import json
import subprocess
import sys
import unicodedata

import keras
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from tfkor import Bert, BertConfig, Tokenizer
from tfkor.export import export_string_answerer, export_string_tagger
from tfkor.tasks import QuestionAnswerer, TokenTagger

LONG = "이순신 장군은 한산도에서, 권율은 행주산성에서 싸웠다. " * 12
TEXTS = [
    "이순신 장군은 서울에서 태어났다.",
    "",
    unicodedata.normalize("NFD", "이순신 장군은 서울에서 태어났다. café"),
    "  앞뒤  빈칸 ",
    " ",
    "👨‍👩‍👧 이모지🙂와 \u200b제로폭 漢字, 뷁뛟 q\u0307\u0323",
    LONG,
    "ＡＢＣ İstanbul ㅋㅋㅋㅋㅋ",
]
QUESTIONS = ["누가 태어났나?", "누구?", unicodedata.normalize("NFD", "어디에서?"), "", "어디?"]
QUESTIONS += ["무엇? " * 20, "어디에서 싸웠나?", "?"]
LETTERS = sorted({c for text in TEXTS + QUESTIONS for c in unicodedata.normalize("NFC", text)} - set(" 뷁뛟\u200b🙂"))
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCAB = [*SPECIAL, *LETTERS, *(f"##{c}" for c in LETTERS), "이순신", "장군", "##에서"]
KLUE = ("O", "B-PS", "I-PS", "B-LC", "I-LC")
NAVER = ("O", "PER-B", "PER-I", "LOC-B", "LOC-I")


def sentencepiece_tokenizer():
    model = io.BytesIO()
    special = ["[PAD]", "[CLS]", "[SEP]", "[MASK]"]
    own = dict(normalization_rule_name="identity", unk_piece="[UNK]", control_symbols=special, bos_id=-1, eos_id=-1)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20), model_writer=model, model_type="bpe", vocab_size=80, minloglevel=2,
        hard_vocab_limit=False, character_coverage=0.98, **own
    )  # fmt: skip
    return Tokenizer(model.getvalue())


TOKENIZERS = {
    "wordpiece": lambda: Tokenizer.from_vocab(VOCAB),
    "shortening": lambda: Tokenizer.from_vocab(VOCAB, lowercase=True, full_width=True, max_jamo_repeats=2),
    "bpe": sentencepiece_tokenizer,
}


def make(task_class, kind="wordpiece", *given, **options):
    keras.utils.set_random_seed(1)
    tokenizer = TOKENIZERS[kind]()
    sizes = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    encoder = Bert(BertConfig(tokenizer.vocab_size, max_position_embeddings=64, **sizes))
    task = task_class(encoder, *given, tokenizer=tokenizer, **options)
    random = np.random.default_rng(0)  # larger than at initialisation, so that the answers differ
    for v in task.model.trainable_variables:
        v.assign_add(random.normal(scale=0.3, size=v.shape))
    return task


def rows_of(served, names, count):
    """Lists of tuples of a padded output."""
    columns = [served[name].numpy() for name in names]
    columns = [np.char.decode(column.astype(bytes)) if column.dtype == object else column for column in columns]
    lengths = served[count].numpy()
    return [[tuple(column[i, j] for column in columns) for j in range(length)] for i, length in enumerate(lengths)]


def assert_tags(served, tagger):
    expected = tagger.predict(TEXTS)
    assert [[tag for (tag,) in row] for row in rows_of(served, ["tags"], "lengths")] == expected
    units = rows_of(served, ["begin", "end"], "lengths")
    assert [[len(text[begin:end]) > 0 for begin, end in row] for text, row in zip(TEXTS, units)] == [
        [True] * len(row) for row in expected
    ]
    names = ["entity_types", "entity_texts", "entity_begin", "entity_end"]
    assert rows_of(served, names, "entity_counts") == tagger.entities(TEXTS)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    tagger = make(TokenTagger, "wordpiece", KLUE, max_length=16)
    return tagger, export_string_tagger(tagger, tmp_path_factory.mktemp("exports") / "tagger")


@pytest.fixture(scope="module")
def answerer(tmp_path_factory):
    answerer = make(QuestionAnswerer, "bpe", max_length=12, stride=1, max_question=8, unanswerable=True)
    return answerer, export_string_answerer(answerer, tmp_path_factory.mktemp("exports") / "answerer")


def test_a_tagger_of_characters(tagger):
    tagger, path = tagger
    model = tf.saved_model.load(path)
    served = model.signatures["serving_default"](text=tf.constant(TEXTS))
    assert_tags(served, tagger)
    assert len({tag for row in tagger.predict(TEXTS) for tag in row}) > 2
    for inputs in (tf.constant(TEXTS[:3]), [tf.constant(TEXTS[:3])], {"text": tf.constant(TEXTS[:3])}):
        assert rows_of(model(inputs), ["tags"], "lengths") == rows_of(served, ["tags"], "lengths")[:3]
    empty = model(tf.constant([], tf.string))
    assert empty["tags"].shape[0] == empty["entity_begin"].shape[0] == empty["lengths"].shape[0] == 0
    assert [name.decode() for name in model.signatures["label_names"]()["labels"].numpy()] == list(KLUE)
    assert len(model.trainable_variables) == 0


@pytest.mark.parametrize("kind, labels, max_length", [("shortening", NAVER, 64), ("bpe", KLUE, 3)])
def test_a_tagger_of_words(tmp_path, kind, labels, max_length):
    tagger = make(TokenTagger, kind, labels, unit="word", max_length=max_length, suffix=labels is NAVER)
    assert_tags(tf.saved_model.load(export_string_tagger(tagger, tmp_path / "strings"))(tf.constant(TEXTS)), tagger)


def test_parts_of_speech_have_no_entities(tmp_path):
    tagger = make(TokenTagger, "wordpiece", ("NOUN", "VERB"), unit="word", max_length=32)
    served = tf.saved_model.load(export_string_tagger(tagger, tmp_path / "strings"))(tf.constant(TEXTS))
    assert set(served) == {"tags", "begin", "end", "lengths"}
    assert [[tag for (tag,) in row] for row in rows_of(served, ["tags"], "lengths")] == tagger.predict(TEXTS)
    assert rows_of(served, ["begin", "end"], "lengths")[3] == [(2, 4), (6, 8)]


def assert_answers(served, answerer, questions=QUESTIONS, contexts=TEXTS):
    expected = answerer.predict(questions, contexts)
    found = [served[name].numpy().tolist() for name in ("answer", "begin", "end")]
    assert list(zip([text.decode() for text in found[0]], *found[1:])) == [answer[:3] for answer in expected]
    np.testing.assert_allclose(served["score"], [answer.score for answer in expected], atol=1e-4)
    assert served["no_answer"].numpy().tolist() == [answer.end == 0 for answer in expected]
    return expected


def test_questions_that_may_have_no_answer(answerer):
    answerer, path = answerer
    model = tf.saved_model.load(path)
    questions, contexts = tf.constant(QUESTIONS), tf.constant(TEXTS)
    expected = assert_answers(model.signatures["serving_default"](question=questions, context=contexts), answerer)
    assert {answer.end > 0 for answer in expected} == {True, False}
    one = dict(question=questions[:1], context=contexts[-2:-1])
    assert_answers(model(one), answerer, QUESTIONS[:1], TEXTS[-2:-1])
    assert model([questions[:0], contexts[:0]])["answer"].shape == (0,)
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected one context for each question"):
        model([questions[:2], contexts[:1]])


def test_questions_on_long_contexts(tmp_path):
    answerer = make(QuestionAnswerer, "wordpiece", max_length=32, stride=8, max_question=6, max_answer=4)
    contexts = [*TEXTS[:5], *TEXTS[6:], LONG * 4]
    model = tf.saved_model.load(export_string_answerer(answerer, tmp_path / "strings"))
    assert_answers(model([tf.constant(QUESTIONS), tf.constant(contexts)]), answerer, QUESTIONS, contexts)


def test_a_process_without_tfkor_serves_both(tagger, answerer, tmp_path):
    program = """
import json, sys
import tensorflow as tf, tensorflow_text
tagger, answerer = (tf.saved_model.load(path).signatures["serving_default"] for path in sys.argv[1:3])
questions, texts = map(tf.constant, json.loads(sys.argv[3]))
tags = tagger(text=texts)
answers = answerer(question=questions, context=texts)
loaded = [name for name in sys.modules if name.split(".")[0] in ("tfkor", "tf_keras", "tensorflow_hub")]
found = [tags["tags"].numpy()[0], answers["answer"].numpy()]
print(json.dumps([*([x.decode() for x in row] for row in found), loaded]))
"""
    (tagger, *paths), (answerer, answerer_path) = tagger, answerer
    paths.append(answerer_path)
    command = [sys.executable, "-I", "-c", program, *map(str, paths), json.dumps([QUESTIONS[:3], TEXTS[:3]])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    tags, answers, loaded = json.loads(done.stdout.splitlines()[-1])
    assert [tag for tag in tags if tag] == tagger.predict(TEXTS[:1])[0]
    assert answers == [answer.text for answer in answerer.predict(QUESTIONS[:3], TEXTS[:3])]
    assert loaded == []


def test_a_tagger_without_a_head_is_no_export(tmp_path):
    tagger = make(TokenTagger, "wordpiece", KLUE, max_length=16)
    tagger.model = None
    with pytest.raises(ValueError, match="no head yet"):
        export_string_tagger(tagger, tmp_path / "strings")
    assert list(tmp_path.iterdir()) == []
