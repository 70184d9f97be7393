"""Both tokenizers give the ids of Hugging Face `tokenizers`, with NFC() in front.

TFKOR_FULL=1 compares 100,000 random texts and every line of every data set, in place of a part of them:

    TFKOR_FULL=1 python -m pytest tests/text/test_parity.py -s
"""

import functools
import itertools
import json
import os
import unicodedata
from pathlib import Path

import pytest
import tokenizers
from text_parity import (
    data_files,
    data_lines,
    differences,
    hard_vocab,
    random_texts,
    reference,
    reference_ids,
    without_surrogates,
)
from tokenizers.normalizers import NFC, BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from tfkor.text import Normalizer, Tokenizer, characters
from tfkor.text.normalization import ALONE, REMOVED, SPACE, lower_table

GOLDEN = Path(__file__).parents[1] / "golden" / "text"
FULL = os.environ.get("TFKOR_FULL") == "1"
RANDOM_TEXTS = 100_000 if FULL else 3_000
LINES_OF_A_FILE = None if FULL else 500
BATCH = 20_000


def graph_ids(tokenizer):
    """texts -> lists of ids, by the GraphTokenizer in one tf.function."""
    import tensorflow as tf

    from tfkor.text import GraphTokenizer

    ids = tf.function(GraphTokenizer(tokenizer).ids, input_signature=[tf.TensorSpec([None], tf.string)])
    return lambda texts: ids(tf.constant([without_surrogates(text).encode() for text in texts])).to_list()


def both(tokenizer):
    return {"Tokenizer": lambda texts: tokenizer.ids(texts).to_lists(), "GraphTokenizer": graph_ids(tokenizer)}


@functools.cache
def unlike_reference():
    """Characters that the installed `tokenizers` treats in another way than the release the table was made from."""
    if tokenizers.__version__ == characters.MADE_FROM:
        return frozenset()
    normalizer, table = Normalizer(lowercase=True), Normalizer(clean_text=False).kinds
    bert = BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=True)
    split = BertPreTokenizer().pre_tokenize_str

    def differs(char):
        kind = int(table[ord(char)]) & (SPACE | ALONE)
        words = {0: 1, SPACE: 2}.get(kind)
        return normalizer(char) != bert.normalize_str(NFC().normalize_str(char)) or (
            words is not None and len(split(f"a{char}b")) != words
        )

    return frozenset(filter(differs, map(chr, (*range(0xD800), *range(0xE000, 0x110000)))))


def comparable(texts):
    strange = unlike_reference()
    return [text for text in texts if strange.isdisjoint(text)] if strange else texts


def test_golden():
    cases = [json.loads(line) for line in (GOLDEN / "cases.jsonl").read_text("utf-8").split("\n") if line]
    texts = [case["text"] for case in cases]
    for setting in ("cased", "uncased"):
        expected = [case[setting] for case in cases]
        assert sum(i != 1 for ids in expected for i in ids) > 7_000
        for name, ids in both(Tokenizer(GOLDEN / "vocab.txt", lowercase=setting == "uncased")).items():
            assert not differences(texts, expected, ids(texts)), (name, setting)


@pytest.mark.parametrize("options", [{}, {"lowercase": True}, {"clean_text": False, "lowercase": True}, {"nfc": False}])
def test_random_texts(options):
    vocab = hard_vocab()
    expected = reference(vocab, **options)
    paths = both(Tokenizer(vocab, **options))
    texts = comparable(random_texts(RANDOM_TEXTS, seed=1))
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        ids = reference_ids(expected, batch)
        for name, path in paths.items():
            assert not differences(batch, ids, path(batch)), name
    print(f"\n{options}: {len(texts)} random texts, 0 differences")


@pytest.mark.slow
@pytest.mark.parametrize("lowercase", [False, True])
def test_data_sets(shared_data, lowercase):
    expected = reference(Tokenizer(GOLDEN / "vocab.txt").vocab, lowercase)
    paths = both(Tokenizer(GOLDEN / "vocab.txt", lowercase=lowercase))
    compared = 0
    for name in data_files(shared_data):
        lines = iter(comparable(list(itertools.islice(data_lines(shared_data / name), LINES_OF_A_FILE))))
        while batch := list(itertools.islice(lines, BATCH)):
            ids = reference_ids(expected, batch)
            for path_name, path in paths.items():
                assert not differences(batch, ids, path(batch)), (name, path_name)
            compared += len(batch)
    assert compared > 10_000
    print(f"\nlowercase={lowercase}: {compared} lines of the data sets, 0 differences")


@pytest.mark.parametrize("lowercase", [False, True])
def test_nfd_gives_the_ids_of_nfc(lowercase):
    texts = random_texts(1_000, seed=2)
    composed, decomposed = ([unicodedata.normalize(form, text) for text in texts] for form in ("NFC", "NFD"))
    known = Normalizer(lowercase).rewrite
    same = [i for i in range(len(texts)) if known(composed[i]) == known(decomposed[i])]
    assert len(same) > 900  # the others hold characters that the NFC of `tokenizers` doesn't know
    for path in both(Tokenizer(GOLDEN / "vocab.txt", lowercase=lowercase)).values():
        nfc = path([composed[i] for i in same])
        assert nfc == path([decomposed[i] for i in same])
    assert all(i in same for i, text in enumerate(texts) if not text.strip("가각힣 "))


@pytest.mark.parametrize(
    "options",
    [
        {"full_width": True, "max_jamo_repeats": 2, "lowercase": True},
        {"full_width": True, "max_jamo_repeats": 1, "clean_text": False},
        {"max_jamo_repeats": 100, "nfc": False},
        {"max_word_chars": 3},
    ],
)
def test_both_paths_agree_on_the_options(options):
    texts = [*random_texts(2_000, seed=3), "ㅋㅋㅋㅋㅋㅋ" * 30, "ﾡﾡﾡㄱㄱ", "Ｉ\u0307Ａ", "ㅋ\u200bㅋㅋ"]
    tokenizer = Tokenizer(hard_vocab(), **options)
    plain = Tokenizer(hard_vocab()).ids(texts).to_lists()
    expected = tokenizer.ids(texts).to_lists()
    assert expected != plain
    assert not differences(texts, expected, graph_ids(tokenizer)(texts))


class TestAWrongSettingIsSeen:
    """The comparison above is worth something: it fails for each of these mistakes."""

    texts = random_texts(1_500, seed=4)

    @pytest.mark.parametrize(
        "wrong", [{"nfc": False}, {"lowercase": True}, {"clean_text": False}, {"max_word_chars": 99}]
    )
    def test_in_the_tokenizer(self, wrong):
        expected = reference_ids(reference(hard_vocab()), self.texts)
        assert differences(self.texts, expected, Tokenizer(hard_vocab(), **wrong).ids(self.texts).to_lists())

    @pytest.mark.parametrize("mistake", ["100 bytes", "no guard around newer characters", "lower case of ICU", "jamo"])
    def test_in_the_graph(self, mistake, monkeypatch):
        import tensorflow as tf
        import tensorflow_text as tf_text

        from tfkor.text.graph import engines, normalization

        if mistake == "100 bytes":
            monkeypatch.setattr(engines, "UNIT", "BYTE")
        elif mistake == "no guard around newer characters":
            monkeypatch.setattr(normalization, "nfc", lambda texts, cleaned: tf_text.normalize_utf8(texts, "NFC"))
        elif mistake == "lower case of ICU":
            monkeypatch.setattr(normalization, "map_characters", lambda texts, table: tf.strings.lower(texts, "utf-8"))
        else:  # what tensorflow_text's lower_case=True does
            monkeypatch.setattr(normalization, "nfc", lambda texts, cleaned: tf_text.normalize_utf8(texts, "NFD"))
        expected = reference_ids(reference(hard_vocab(), lowercase=True), self.texts)
        found = graph_ids(Tokenizer(hard_vocab(), lowercase=True))(self.texts)
        wrong = differences(self.texts, expected, found)
        assert wrong, mistake
        if mistake == "100 bytes":
            assert any("가" * 100 in text for text, e, f in zip(self.texts, expected, found, strict=True) if e != f)


@pytest.mark.skipif(tokenizers.__version__ != characters.MADE_FROM, reason=f"made from {characters.MADE_FROM}")
def test_character_table():
    """characters.py says what the installed `tokenizers` does, code point by code point."""
    bert = BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    chinese = BertNormalizer(clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False)
    lower = BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=True)
    split = BertPreTokenizer().pre_tokenize_str
    clean_kinds, kinds, table = Normalizer().kinds, Normalizer(clean_text=False).kinds, lower_table()
    for code in (*range(0xD800), *range(0xE000, 0x110000)):
        char = chr(code)
        assert (bert.normalize_str(char) == "") == (clean_kinds[code] & REMOVED != 0), hex(code)
        words = len(split(f"a{char}b"))
        kind = SPACE if words == 2 else ALONE if words == 3 or chinese.normalize_str(char) != char else 0
        assert kinds[code] & (SPACE | ALONE) == kind, hex(code)
        if code != 0x130:
            assert lower.normalize_str(char) == chr(table[code]), hex(code)
