"""GraphOffsets: the pieces of texts, and where they stand, as Tokenizer.offsets has them."""

import io

import pytest
import sentencepiece
import tensorflow as tf
from text_parity import hard_vocab, random_texts, without_surrogates

from tfkor.text import GraphOffsets, Tokenizer

SYMBOLS = ("<subj:PER>", "</subj:PER>", "가나", "가")
TEXTS = [
    "",
    " ",
    "  한국어  모델을 공유합니다. ",
    "\u1112\u1161\u11ab국어\u200b 가\u0301나",
    "▁ ▁한 국▁어",
    "ㅋㅋㅋㅋㅋ 뷁",
]
TEXTS += [
    "ＡＢ  café cafe\u0301",
    "q\u0307\u0323 \u0344 \u212b\u0323 \u1100\u1161\u11a8\u11a8",
    "집\u3000에\x1f\n👨‍👩‍👧‍👦",
]
LINES = ["나는 학교에 간다. 1,204원 ㅋㅋ cafe", "한국어 모델을 공유합니다. 너는 집에 간다"] * 40


def assert_same(tokenizer, texts):
    texts = [without_surrogates(text) for text in texts]
    ids, begin, end = GraphOffsets(tokenizer)(tf.constant(texts))
    assert ids.dtype == begin.dtype == end.dtype == tf.int32
    for text, *found in zip(texts, *(x.to_list() for x in (ids, begin, end))):
        expected = tokenizer.offsets(text)
        assert (found[0], list(zip(*found[1:]))) == expected, ascii(text)[:200]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lowercase": True, "full_width": True, "max_jamo_repeats": 2},
        {"clean_text": False, "max_jamo_repeats": 1, "max_word_chars": 3},
        {"nfc": False, "lowercase": True},
        {"alphabet": "jamo"},
    ],
)
def test_wordpiece(options):
    texts = [text for text in random_texts(200, seed=31) if len(text) < 13_000]
    assert_same(Tokenizer(hard_vocab(), **options), texts + TEXTS)


def test_user_symbols():
    vocab = [*hard_vocab(), *(symbol for symbol in SYMBOLS if symbol not in hard_vocab())]
    marked = [
        "<subj:PER>한국어</subj:PER>를 가나 가가나",
        "</subj:PER><subj:PER",
        "가\u1102\u1161 \U00100000 <subj:PER>",
    ]
    for options in ({}, {"clean_text": False}):
        assert_same(Tokenizer(vocab, user_symbols=SYMBOLS, **options), marked + TEXTS + random_texts(60, seed=5)[:21])


@pytest.fixture(scope="module")
def protos():
    def train(**options):
        model = io.BytesIO()
        options = dict(hard_vocab_limit=False, minloglevel=2, vocab_size=90) | options
        source = iter(LINES)
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=source, model_writer=model, **options)
        return model.getvalue()

    special = ["[PAD]", "[CLS]", "[SEP]", "[MASK]"]
    own = dict(normalization_rule_name="identity", unk_piece="[UNK]", control_symbols=special, bos_id=-1, eos_id=-1)
    own = {kind: train(model_type=kind, **own) for kind in ("bpe", "unigram")}
    return own | {"published": train(model_type="unigram", normalization_rule_name="nmt_nfkc", vocab_size=60)}


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_sentencepiece(protos, kind):
    texts = [text for text in random_texts(200, seed=32) if len(text) < 3000]
    assert_same(Tokenizer(protos[kind]), texts + TEXTS)
    assert_same(Tokenizer(protos[kind], lowercase=True, full_width=True), TEXTS)


@pytest.mark.parametrize("nfc", [False, True])
def test_published(protos, nfc):
    pieces = sentencepiece.SentencePieceProcessor(model_proto=protos["published"])
    vocab = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", *(pieces.IdToPiece(i) for i in range(3, len(pieces)))]
    assert_same(Tokenizer.from_published(protos["published"], vocab, nfc=nfc), TEXTS)


def test_no_texts_and_texts_that_are_no_utf_8():
    graph = GraphOffsets(Tokenizer([*hard_vocab()[:5], "가", "나"]))
    assert [x.to_list() for x in graph(tf.constant([], tf.string))] == [[], [], []]
    assert [x.to_list() for x in graph(tf.constant([b"\xff", b"\xff" + "가 나".encode()]))] == [
        [[], [5, 6]],
        [[], [1, 3]],
        [[], [2, 4]],
    ]


def test_a_tokenizer_that_tensorflow_cannot_follow_is_named(protos):
    with pytest.raises(ValueError, match="cleaning is 'xlnet'; expected None"):
        pieces = sentencepiece.SentencePieceProcessor(model_proto=protos["published"])
        vocab = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", *(pieces.IdToPiece(i) for i in range(3, len(pieces)))]
        GraphOffsets(Tokenizer.from_published(protos["published"], vocab, cleaning="xlnet"))
