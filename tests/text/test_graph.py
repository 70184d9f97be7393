"""GraphTokenizer: the same as Tokenizer, inside a graph and a SavedModel."""

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from text_parity import SPECIAL, hard_vocab, random_texts, without_surrogates

from tfkor.text import GraphTokenizer, Tokenizer

VOCAB = [*SPECIAL, "한국", "##어", "##를", "공유", "##합니다", ".", "각", "##각"]

STRINGS = tf.TensorSpec([None], tf.string, name="texts")

# What a server does: only tensorflow and tensorflow_text.
SERVE = """
import json, sys
import tensorflow as tf, tensorflow_text
model = tf.saved_model.load(sys.argv[1])
out = model.signatures["serving_default"](texts=tf.constant(json.loads(sys.argv[2])))
print(json.dumps([{name: value.numpy().tolist() for name, value in out.items()}, "tfkor" in sys.modules]))
"""


def encode(texts):
    return tf.constant([without_surrogates(text).encode() for text in texts])


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == tf.int32
        np.testing.assert_array_equal(found[name].numpy(), array, err_msg=name)


@pytest.mark.parametrize("max_length", [3, 4, 9, 40])
def test_equals_the_tokenizer(max_length):
    tokenizer = Tokenizer(hard_vocab(), lowercase=True)
    texts = random_texts(300, seed=21)
    pairs = random_texts(300, seed=22)[::-1]
    graph = GraphTokenizer(tokenizer, max_length)
    assert_same(graph(encode(texts)), tokenizer(texts, max_length=max_length))
    assert_same(graph(encode(texts), encode(pairs)), tokenizer(texts, pairs, max_length))
    padded = GraphTokenizer(tokenizer, max_length, pad_to=50)
    assert_same(padded(encode(texts)), tokenizer(texts, max_length=max_length, pad_to=50))


def test_shapes():
    graph = GraphTokenizer(Tokenizer(VOCAB), max_length=8)
    empty = graph(tf.constant([], tf.string), tf.constant([], tf.string))
    assert {name: array.shape.as_list()[0] for name, array in empty.items()} == dict.fromkeys(empty, 0)
    assert graph(tf.constant([""]))["input_word_ids"].numpy().tolist() == [[2, 3]]
    static = tf.function(GraphTokenizer(Tokenizer(VOCAB), 8, pad_to=8), input_signature=[STRINGS])
    assert static.get_concrete_function().structured_outputs["input_mask"].shape.as_list() == [None, 8]


def test_special_ids_elsewhere():
    tokenizer = Tokenizer(["a", *reversed(SPECIAL), "b"])
    texts, pairs = ["a b", "c"], ["b", "a a a"]
    assert_same(GraphTokenizer(tokenizer)(encode(texts), encode(pairs)), tokenizer(texts, pairs))


def test_invalid_utf_8():
    tokenizer = Tokenizer([*VOCAB, "\ufffd", "##\ufffd"], clean_text=False)
    cut_off, surrogate, euc_kr = "각".encode()[:2], "각".encode() + b"\xed\xa0\x80", "가나".encode("euc-kr")
    raw = [b"\xff", cut_off, surrogate, euc_kr, b"\xf8\x88\x80\x80\x80", b"\x00\xc0"]
    for graph in (GraphTokenizer(tokenizer), GraphTokenizer(Tokenizer(VOCAB))):
        ids = graph.ids(tf.constant(raw * 50)).to_list()
        assert ids == ids[: len(raw)] * 50
    assert GraphTokenizer(tokenizer).ids(tf.constant([b"\xff"])).to_list() == [[len(VOCAB)]]
    around = b"\xff" + "각".encode() + b"\xff"
    assert GraphTokenizer(Tokenizer(VOCAB)).ids(tf.constant([around])).to_list() == [[VOCAB.index("각")]]


def test_every_byte_pair():
    """No input crashes the kernels or gives an id that isn't there."""
    raw = [bytes(three) for three in itertools.product(range(256), range(0, 256, 5), (0, 65, 255))]
    for options in ({}, {"clean_text": False, "lowercase": True, "full_width": True, "max_jamo_repeats": 1}):
        ids = GraphTokenizer(Tokenizer(hard_vocab(), **options)).ids(tf.constant(raw))
        assert ids.nrows() == len(raw)
        assert 0 <= int(tf.reduce_min(ids.values)) <= int(tf.reduce_max(ids.values)) < len(hard_vocab())


def test_saved_model(tmp_path):
    tokenizer = Tokenizer(hard_vocab(), lowercase=True, full_width=True, max_jamo_repeats=2)
    module = tf.Module()
    module.tokenizer = GraphTokenizer(tokenizer, max_length=16)
    module.serve = tf.function(lambda texts: module.tokenizer(texts), input_signature=[STRINGS])
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"serving_default": module.serve})
    texts = ["한국어를 공유합니다.", "[MASK] ㅋㅋㅋㅋ ＡＢＣ İ", "", "가" * 101]
    command = [sys.executable, "-c", SERVE, str(tmp_path / "model"), json.dumps(texts)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    found, tfkor_was_there = json.loads(result.stdout.splitlines()[-1])
    assert found == {name: array.tolist() for name, array in tokenizer(texts, max_length=16).items()}
    assert not tfkor_was_there


def test_turkish_locale():
    """ICU lower-cases I to ı under a Turkish locale; the ids must not depend on the server's."""
    code = (
        "import tensorflow as tf; from tfkor.text import GraphTokenizer, Tokenizer;"
        f"t = Tokenizer({SPECIAL!r} + ['i', 'ı'], lowercase=True);"
        "print(GraphTokenizer(t).ids(tf.constant(['I'])).to_list(), tf.strings.lower(['I'], 'utf-8').numpy())"
    )
    turkish = {**os.environ, "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "PYTHONUTF8": "1"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=turkish)
    assert result.stdout.startswith("[[5]]"), result.stdout


def test_wrong_arguments():
    with pytest.raises(ValueError, match="max_length is 2; expected at least 3"):
        GraphTokenizer(Tokenizer(VOCAB), max_length=2)
    with pytest.raises(ValueError, match="pad_to is 8; expected at least max_length, 9"):
        GraphTokenizer(Tokenizer(VOCAB), max_length=9, pad_to=8)
