"""What a tokenizer of any kind can be asked for: jamo, morphemes, user symbols, unused slots."""

import importlib.util
import re
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from text_parity import NAMED, SPECIAL, SYLLABLES, differences, hard_vocab, random_texts, reference, without_surrogates
from tokenizers import AddedToken
from tokenizers.normalizers import NFC

from tfkor.data import load_intents176
from tfkor.text import GraphTokenizer, Normalizer, Tokenizer, characters, morphemes, train_tokenizer, train_wordpiece
from tfkor.text.normalization import lower_table, regex_class

KINDS = ["wordpiece", "bpe", "unigram"]
SYMBOLS = ["<url>", "<urls>", "이름표", "ab"]
BOUNDARY = "\u200b"
TEXTS = load_intents176("train").texts[::4]


def graph_ids(tokenizer, **options):
    ids = tf.function(GraphTokenizer(tokenizer, **options).ids, input_signature=[tf.TensorSpec([None], tf.string)])
    return lambda texts: ids(tf.constant([without_surrogates(text).encode() for text in texts])).to_list()


def to_jamo(text):
    return "".join(unicodedata.normalize("NFD", char) if "가" <= char <= "힣" else char for char in text)


def with_symbols(texts, symbols=SYMBOLS):
    draw = np.random.default_rng(0)
    parts = [*symbols, "<url", "이름", "a<url>b", "<url><urls>", "abab가", "\U00100000"]
    places = [int(draw.integers(0, len(text) + 1)) for text in texts]
    return [text[:i] + str(draw.choice(parts)) * int(draw.integers(0, 3)) + text[i:] for text, i in zip(texts, places)]


@pytest.fixture
def pairs(monkeypatch):
    """A splitter that TensorFlow doesn't know either: two characters of a text are a morpheme, from its start on."""

    def spans(text):
        assert not re.search(r"[\s\0]", text.replace(" ", ""))
        return [(start, 2) for start in range(0, len(text), 2)]

    monkeypatch.setattr(morphemes, "_analyser", lambda splitter: spans)


# === Jamo ===


@pytest.mark.parametrize("lowercase", [False, True])
def test_wordpiece_of_jamo_equals_the_reference(lowercase):
    vocab = list(dict.fromkeys(map(to_jamo, hard_vocab())))
    tokenizer = Tokenizer(vocab, alphabet="jamo", lowercase=lowercase)
    expected = reference(vocab, lowercase, nfc=False)
    texts = random_texts(1_500, seed=31)
    composed = [to_jamo(NFC().normalize_str(without_surrogates(text))) for text in texts]
    ids = [encoding.ids for encoding in expected.encode_batch_fast(composed)]
    assert not differences(texts, ids, tokenizer.ids(texts).to_lists())
    assert not differences(texts, ids, graph_ids(tokenizer)(texts))


@pytest.mark.parametrize("kind", KINDS)
def test_jamo(kind):
    tokenizer = train_tokenizer(TEXTS, 1500, kind, alphabet="jamo")
    for form in ("NFC", "NFD"):
        text = unicodedata.normalize(form, " ".join(SYLLABLES))
        assert tokenizer.decode(tokenizer.ids([text]).values) == " ".join(SYLLABLES)
    assert tokenizer.normalizer("각 ㅋ") == "\u1100\u1161\u11a8 ㅋ"
    assert not any("가" <= char <= "힣" for entry in tokenizer.vocab for char in entry)
    text = "x " + unicodedata.normalize("NFD", "값이") + " 한국어를"
    ids, spans = tokenizer.offsets(text)
    assert ids == tokenizer.ids([text]).values.tolist() and spans[-1][1] == len(text)
    syllables = {"값": (2, 5), "이": (5, 7), "한": (8, 9), "국": (9, 10), "어": (10, 11), "를": (11, 12)}
    edges = {edge for span in syllables.values() for edge in span} | {0, 1, 7}
    assert {edge for span in spans for edge in span} <= edges  # never inside a syllable


def test_jamo_need_nfc():
    with pytest.raises(ValueError, match='alphabet is "jamo" and nfc False'):
        Tokenizer(SPECIAL, alphabet="jamo", nfc=False)
    with pytest.raises(ValueError, match="alphabet is 'letters'; expected syllable or jamo"):
        Tokenizer(SPECIAL, alphabet="letters")


# === User symbols and unused slots ===


@pytest.mark.parametrize("options", [{}, {"lowercase": True, "clean_text": False}])
def test_user_symbols_of_wordpiece_equal_the_reference(options):
    vocab = [*SPECIAL, *SYMBOLS, *hard_vocab()[5:]]
    tokenizer = Tokenizer(vocab, user_symbols=SYMBOLS, **options)
    expected = reference(vocab, **options)
    expected.add_tokens([AddedToken(symbol, normalized=True) for symbol in SYMBOLS])
    texts = with_symbols(random_texts(1_500, seed=32))
    ids = [encoding.ids for encoding in expected.encode_batch_fast(list(map(without_surrogates, texts)))]
    assert sum(i in range(5, 9) for row in ids for i in row) > 500
    assert not differences(texts, ids, tokenizer.ids(texts).to_lists())
    assert not differences(texts, ids, graph_ids(tokenizer)(texts))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alphabet", ["syllable", "jamo"])
def test_user_symbols_and_unused_slots(tmp_path, kind, alphabet):
    symbols = ["<url>", "@이름@"]
    texts = [*TEXTS, *["<url> <url>입니다 @이름@"] * 50]
    tokenizer = train_tokenizer(texts, 1500, kind, alphabet=alphabet, user_symbols=symbols, unused_slots=3)
    first = [*SPECIAL, "[unused0]", "[unused1]", "[unused2]", *map(tokenizer.normalizer, symbols)]
    assert tokenizer.vocab[:10] == first and list(tokenizer.user_symbols) == first[8:]
    assert not any("<u" in entry for entry in tokenizer.vocab[10:])
    text = "보기<url>를 @이름@[unused1] [MASK]"
    ids, spans = tokenizer.offsets(text)
    assert [text[start:end] for i, (start, end) in zip(ids, spans, strict=True) if 2 <= i < 10] == symbols
    tokenizer.save(tmp_path)
    assert Tokenizer.load(tmp_path).ids([text]).to_lists() == [ids] == tokenizer.ids([text]).to_lists()
    assert Tokenizer.load(tmp_path).fingerprint == tokenizer.fingerprint
    assert differences([text], [ids], graph_ids(tokenizer)([text])) == []


def test_a_wrong_user_symbol():
    for symbol, options, message in (
        ("<URL>", {"lowercase": True}, "'<URL>' becomes '<url>' by normalisation; expected this form"),
        ("a b", {}, "'a b'; expected characters without white space"),
        ("", {}, "''; expected characters"),
        ("가", {"alphabet": "jamo"}, "'가' ends in Hangul; expected another end"),
        ("[MASK]", {}, "'.MASK.' twice among special tokens, unused slots and user symbols"),
    ):
        for kind in KINDS:
            with pytest.raises(ValueError, match=message):
                train_tokenizer(TEXTS, 1500, kind, user_symbols=[symbol], **options)
    with pytest.raises(ValueError, match="user symbol '<url>' is not in the vocabulary"):
        Tokenizer([*SPECIAL, "a"], user_symbols=["<url>"])


# === Morphemes ===


def segments(text, options):
    """What the fake splitter makes of a normalised text: its words, each a list of morphemes."""
    alone = re.compile(f"[{regex_class(characters.ALONE)}]")
    text = Normalizer(**options).rewrite(text.replace(BOUNDARY, ""))
    marked = "".join(BOUNDARY * (i > 0 and i % 2 == 0) + char for i, char in enumerate(text))
    removed = f"[{regex_class(characters.REMOVED.replace('200b-200f', '200c-200f'))}\ud800-\udfff]"
    marked = re.sub(removed, "", marked)
    marked = re.sub(f"[{regex_class(characters.SPACE)}]", " ", alone.sub(r" \g<0> ", marked))
    if options.get("lowercase"):
        marked = "".join(chr(lower_table()[ord(char)]) for char in marked)
    return [[part for part in word.split(BOUNDARY) if part] for word in marked.split(" ") if word.strip(BOUNDARY)]


def longest_first(parts, numbers):
    ids = []
    for place, part in enumerate(parts):
        found, start = [], 0
        while start < len(part):
            mark = "##" if place or start else ""
            stop = next((stop for stop in range(len(part), start, -1) if mark + part[start:stop] in numbers), None)
            if stop is None:
                found, start = [1], len(part)
            else:
                found.append(numbers[mark + part[start:stop]])
                start = stop
        ids += [1] if len(part) > 100 else found
    return ids


@pytest.mark.parametrize("options", [{}, {"lowercase": True}])
def test_wordpiece_of_morphemes(pairs, options):
    vocab = hard_vocab()
    tokenizer = Tokenizer(vocab, morphemes="kiwi", **options)
    spellable = {entry: i for i, entry in enumerate(vocab) if i >= 5}
    texts = random_texts(800, seed=33)
    expected = [[i for parts in segments(text, options) for i in longest_first(parts, spellable)] for text in texts]
    assert not differences(texts, expected, tokenizer.ids(texts).to_lists())
    graph = graph_ids(tokenizer, pre_split=True)
    assert not differences(texts, expected, graph(tokenizer.pre_split(texts)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alphabet", ["syllable", "jamo"])
def test_morphemes(tmp_path, pairs, kind, alphabet):
    options = dict(alphabet=alphabet, morphemes="mecab")
    symbols = [*SYMBOLS[:2], "ab"] if alphabet == "jamo" else SYMBOLS
    required = "".join(sorted({char for text in NAMED[:-3] for char in without_surrogates(text)} - set(BOUNDARY)))
    tokenizer = train_tokenizer(
        TEXTS, 3000, kind, user_symbols=symbols, required_characters=required, max_word_chars=100, **options
    )
    plain = train_tokenizer(TEXTS, 3000, kind, user_symbols=symbols, required_characters=required, alphabet=alphabet)
    assert tokenizer.fingerprint != plain.fingerprint
    text = "한국어를 알려줘"
    assert tokenizer.normalizer("한국어를") == BOUNDARY.join(map(tokenizer.normalizer, ("한국", "어를")))
    pieces, boundary = tokenizer.tokenize(text), 2  # no piece goes on beyond the second syllable
    ids, spans = tokenizer.offsets(text)
    assert all(start // boundary == (end - 1) // boundary for start, end in spans) and BOUNDARY not in pieces
    assert tokenizer.decode(ids) == text
    texts = with_symbols(random_texts(600, seed=34), symbols)
    found = tokenizer.ids(texts).to_lists()
    assert not differences(texts, found, graph_ids(tokenizer, pre_split=True)(tokenizer.pre_split(texts)))
    marked = [BOUNDARY.join(text) for text in TEXTS[:50]]  # the boundaries of a text itself don't count
    assert tokenizer.ids(marked).to_lists() == tokenizer.ids(TEXTS[:50]).to_lists()
    for text in texts:
        if len(text) < 1_000:
            ids, spans = tokenizer.offsets(text)
            assert ids == tokenizer.ids([text]).values.tolist()
            assert all(0 <= start < end <= len(text) for start, end in spans)
    tokenizer.save(tmp_path)
    assert Tokenizer.load(tmp_path).config["morphemes"] == "mecab"
    assert Tokenizer.load(tmp_path).ids(texts).to_lists() == found


def test_the_graph_takes_split_text(pairs):
    split, plain = Tokenizer(hard_vocab(), morphemes="kiwi"), Tokenizer(hard_vocab())
    with pytest.raises(ValueError, match="pre_split is False, but the tokenizer's morphemes is 'kiwi'; expected"):
        GraphTokenizer(split)
    with pytest.raises(ValueError, match="pre_split is True, but the tokenizer's morphemes is None"):
        GraphTokenizer(plain, pre_split=True)
    with pytest.raises(ValueError, match="morphemes is None; expected a tokenizer that splits them"):
        plain.pre_split(["가"])
    assert split.pre_split(["한국어를", "각"]) == ["한국\u200b어를", "각"]


def test_an_analyser_that_is_missing(monkeypatch):
    morphemes._analyser.cache_clear()
    for splitter, module in (("kiwi", "kiwipiepy"), ("mecab", "mecab_ko")):
        monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(ImportError, match=f"morphemes is '{splitter}', which needs a package: pip install"):
            Tokenizer(hard_vocab(), morphemes=splitter).ids(["가"])
    with pytest.raises(ValueError, match="morphemes is 'khaiii'; expected None or kiwi or mecab"):
        Tokenizer(hard_vocab(), morphemes="khaiii")


@pytest.mark.parametrize(
    ("splitter", "module", "expected"),
    [
        ("kiwi", "kiwipiepy", ["한국어|를  공유|합니다|.", "예뻤|다", "학교|에\t갔|다", "𠀀|한국어|를\u3000가"]),
        ("mecab", "mecab_ko", ["한국어|를  공유|합니다|.", "예뻤|다", "학교|에\t갔|다", "𠀀|한국어|를\u3000가"]),
    ],
)
def test_the_analysers(splitter, module, expected):
    if not importlib.util.find_spec(module):
        pytest.skip(f"{module} is not installed")
    morphemes._analyser.cache_clear()
    normalizer = Normalizer(morphemes=splitter)
    assert [normalizer.rewrite(text.replace("|", "")).replace(BOUNDARY, "|") for text in expected] == expected
    assert morphemes.morpheme_starts("", splitter) == morphemes.morpheme_starts(" \0", splitter) == []
    for text in random_texts(300, seed=35):
        if len(text) < 5_000:
            assert normalizer.rewrite(text).replace(BOUNDARY, "") == Normalizer().rewrite(text.replace(BOUNDARY, ""))


def test_training_of_wordpiece_with_morphemes(pairs):
    vocab = train_wordpiece(["가나다라"] * 9, 100, morphemes="kiwi", required_characters="")
    assert vocab[5:] == ["가", "나", "다", "라", "##가", "##나", "##다", "##라", "가나", "##다라"]
