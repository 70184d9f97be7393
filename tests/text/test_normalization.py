"""Normalizer: what each option does, and the way back to the original."""

import unicodedata

import pytest
from text_parity import FEW, SYLLABLES, random_texts, without_surrogates
from tokenizers.normalizers import NFC, BertNormalizer, Sequence

from tfkor.text import Normalizer


def test_defaults():
    normalize = Normalizer()
    assert normalize(unicodedata.normalize("NFD", "한국어 Café")) == "한국어 Café"
    assert normalize("탭\t줄\n끝\u3000빈\u200b칸\x00\ufffd") == "탭 줄 끝 빈칸"
    assert normalize("ＡＢＣ ㅋㅋㅋㅋ") == "ＡＢＣ ㅋㅋㅋㅋ"
    assert normalize("\ud800") == normalize("") == ""
    assert normalize(SYLLABLES) == normalize(unicodedata.normalize("NFD", SYLLABLES)) == SYLLABLES


def test_options():
    assert Normalizer(lowercase=True)("ABC ÀÉ ΣΑΣ İ 한글") == "abc àé σας".replace("ς", "σ") + " i\u0307 한글"
    assert Normalizer(nfc=False)(unicodedata.normalize("NFD", "각")) == unicodedata.normalize("NFD", "각")
    assert Normalizer(clean_text=False)("a\t\u200b\x00\n") == "a\t\u200b\x00\n"
    assert Normalizer(clean_text=False)("\ud800a") == "\ufffda"
    assert Normalizer(full_width=True)("ＡＢＣ１２３！　ﾡﾢ ｶﾞ ￦") == "ABC123! ㄱㄲ ガ ₩"
    repeats = Normalizer(max_jamo_repeats=2)
    assert repeats("ㅋㅋㅋㅋㅋ ㅠㅠㅠ ㅋㅎㅋㅎ 하하하 ㅋㅋㅋㅎㅎㅎ") == "ㅋㅋ ㅠㅠ ㅋㅎㅋㅎ 하하하 ㅋㅋㅎㅎ"
    assert Normalizer(max_jamo_repeats=1)("ㅋㅋ\n\nㅋ") == "ㅋ  ㅋ"


@pytest.mark.parametrize(
    "options", [{"max_jamo_repeats": 0}, {"max_jamo_repeats": 101}, {"max_jamo_repeats": True}, {"nfc": None}]
)
def test_a_wrong_option(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} is .*; expected"):
        Normalizer(**options)


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("clean_text", [False, True])
def test_equals_the_reference(lowercase, clean_text):
    bert = BertNormalizer(clean_text=clean_text, handle_chinese_chars=False, strip_accents=False, lowercase=lowercase)
    expected = Sequence([NFC(), bert])
    normalize = Normalizer(lowercase=lowercase, clean_text=clean_text)
    known = set(map(chr, (code for codes in FEW.values() for code in codes)))
    for text in random_texts(1_500, seed=11):
        if known.issuperset(text):
            assert normalize(text) == expected.normalize_str(without_surrogates(text)), ascii(text)


def test_spans():
    text = "x" + "ㅋ" * 5 + unicodedata.normalize("NFD", "각하") + "İＡｶﾞ\ufa0b"
    found, spans = Normalizer(lowercase=True, full_width=True, max_jamo_repeats=2).rewrite_with_spans(text)
    pieces = [(char, text[start:end]) for char, (start, end) in zip(found, spans, strict=True)]
    assert pieces == [
        ("x", "x"),
        ("ㅋ", "ㅋ"),
        ("ㅋ", "ㅋㅋㅋㅋ"),
        ("각", unicodedata.normalize("NFD", "각")),
        ("하", unicodedata.normalize("NFD", "하")),
        ("i", "İ"),
        ("\u0307", "İ"),
        ("A", "Ａ"),
        ("ガ", "ｶﾞ"),
        ("\u5ed3", "\ufa0b"),
    ]


def test_spans_of_reordered_marks():
    assert Normalizer().rewrite_with_spans("a\u0301\u0323b") == ("ạ\u0301b", [(0, 3), (1, 2), (3, 4)])


@pytest.mark.parametrize(
    "options", [{}, {"lowercase": True, "full_width": True, "max_jamo_repeats": 1}, {"nfc": False}]
)
def test_both_ways_to_rewrite_agree(options):
    normalizer = Normalizer(**options)
    for text in random_texts(1_500, seed=12):
        found, spans = normalizer.rewrite_with_spans(text)
        assert found == normalizer.rewrite(text), ascii(text)
        assert len(spans) == len(found) and all(0 <= start < end <= len(text) for start, end in spans)
        assert bool(text) == bool(spans)
        if spans:  # nothing of the text is left out
            assert {i for start, end in spans for i in range(start, end)} == set(range(len(text)))
