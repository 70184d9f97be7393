"""Tokenizer: what it returns, what it refuses."""

import copy
import doctest
import json
import re
import subprocess
import sys
import unicodedata
from collections import Counter

import numpy as np
import pytest
from text_parity import SPECIAL, SYLLABLES, hard_vocab, random_texts, reference, without_surrogates

from tfkor.text import Ragged, Tokenizer, characters
from tfkor.text.normalization import regex_class

VOCAB = [*SPECIAL, "한국", "한국어", "##어", "##를", "공유", "##합니다", ".", "각", "##각"]
VOCAB += ["[", "]", "M", "##A", "##S", "##K", "ㅋㅋ"]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_vocab(VOCAB)


def rows(lengths, first=10):
    splits = np.append(0, np.cumsum(lengths)).astype(np.int64)
    return Ragged(np.arange(first, first + splits[-1], dtype=np.int32), splits)


def nfd(text):
    return unicodedata.normalize("NFD", text)


def test_tokenize(tokenizer):
    assert tokenizer.tokenize("한국어를 공유합니다.") == ["한국어", "##를", "공유", "##합니다", "."]
    assert tokenizer.tokenize(nfd("한국어를 공유합니다.")) == tokenizer.tokenize("한국어를 공유합니다.")
    assert tokenizer.tokenize("[MASK]") == ["[", "M", "##A", "##S", "##K", "]"]
    assert tokenizer.tokenize("한국말") == ["[UNK]"]
    assert tokenizer.tokenize("") == tokenizer.tokenize(" \u200b\n") == []


def test_ids(tokenizer):
    ids = tokenizer.ids(["한국어", "", "각각 각", "x"])
    assert ids.values.dtype == np.int32 and ids.row_splits.dtype == np.int64
    assert ids.to_lists() == [[6], [], [12, 13, 12], [1]]
    assert ids.lengths.tolist() == [1, 0, 3, 1]
    for nothing in ([], ()):
        empty = tokenizer.ids(nothing)
        assert empty.values.dtype == np.int32 and empty.row_splits.tolist() == [0] and empty.to_lists() == []


def test_ids_and_eojeols(tokenizer):
    texts = ["한국어를 공유합니다.", "", " \t각각.각\u3000[K] 뷁 ", "\u200b 각\u200b각", "각"]
    ids, first = tokenizer.ids_and_eojeols(texts)
    assert ids.to_lists() == tokenizer.ids(texts).to_lists() and first.dtype == bool
    pieces = [f"{'|' * bool(start)}{tokenizer.vocab[i]}" for i, start in zip(ids.values, first, strict=True)]
    expected = "|한국어 ##를 |공유 ##합니다 . |각 ##각 . 각 |[ [UNK] ] |[UNK] |각 ##각 |각"
    assert " ".join(pieces) == expected
    ids, first = tokenizer.ids_and_eojeols([])
    assert ids.to_lists() == [] and first.tolist() == []


def test_eojeols_of_random_texts():
    tokenizer = Tokenizer(hard_vocab())
    texts = random_texts(400, seed=6)
    ids, first = tokenizer.ids_and_eojeols(texts)
    assert np.array_equal(ids.values, tokenizer.ids(texts).values)
    counts = np.diff(np.append(0, np.cumsum(first))[ids.row_splits]).tolist()
    space = re.compile(f"[{regex_class(characters.SPACE)}]+")
    assert counts == [len([eojeol for eojeol in space.split(tokenizer.normalizer(text)) if eojeol]) for text in texts]


def test_continuations(tokenizer):
    marked = [entry for entry, goes_on in zip(VOCAB, tokenizer.continuations, strict=True) if goes_on]
    assert marked == [entry for entry in VOCAB if entry.startswith("##")]
    assert not Tokenizer([*SPECIAL, "##", "#"]).continuations.any()


def test_fingerprint(tokenizer):
    assert tokenizer.fingerprint == Tokenizer(VOCAB).fingerprint == copy.deepcopy(tokenizer).fingerprint
    assert re.fullmatch("[0-9a-f]{64}", tokenizer.fingerprint)
    others = [Tokenizer(VOCAB[::-1]), Tokenizer([*VOCAB, "말"]), Tokenizer(VOCAB, lowercase=True)]
    others += [Tokenizer(VOCAB, max_word_chars=99), Tokenizer(VOCAB, max_jamo_repeats=2)]
    assert len({tokenizer.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_dropout_passes_over_longer_entries():
    vocab = [*SPECIAL, "가", "##나", "##다", "가나", "##나다", "##라마"]
    tokenizer = Tokenizer(vocab)
    (plain,) = {tuple(row) for row in tokenizer.ids(["가나다라마"] * 3).to_lists()}
    assert [vocab[i] for i in plain] == ["가나", "##다", "##라마"]
    rows = tokenizer.ids(["가나다라마"] * 4000, dropout=0.25, seed=[1, 2]).to_lists()
    found = Counter(" ".join(vocab[i] for i in row) for row in rows)
    shares = {pieces: count / 4000 for pieces, count in found.items()}
    expected = {"가나 ##다 ##라마": 0.75, "가 ##나다 ##라마": 0.25 * 0.75, "가 ##나 ##다 ##라마": 0.25 * 0.25}
    assert shares == pytest.approx(expected, abs=0.03)  # ##라마 has nothing shorter, and stays
    assert rows == tokenizer.ids(["가나다라마"] * 4000, dropout=0.25, seed=[1, 2]).to_lists()
    # a word that its shorter pieces can't spell is spelled as ever
    dead_end = Tokenizer([*SPECIAL, "가", "가나", "##다"])
    assert {tuple(row) for row in dead_end.ids(["가나다"] * 50, dropout=0.9).to_lists()} == {(6, 7)}
    with pytest.raises(ValueError, match=r"dropout is 1\.0; expected a probability"):
        tokenizer.ids(["가"], dropout=1.0)


def test_ids_do_not_depend_on_the_neighbours(tokenizer, monkeypatch):
    texts = ["한국", "\u0301각", "각각" * 40_000, "", "한국어를 공유합니다."] * 3
    together = tokenizer.ids(texts).to_lists()
    assert together == [tokenizer.ids([text]).to_lists()[0] for text in texts]
    monkeypatch.setattr("tfkor.text.tokenizer.BLOCK", 7)
    assert tokenizer.ids(texts).to_lists() == together


def test_a_word_of_100_characters():
    tokenizer = Tokenizer(VOCAB)
    assert tokenizer.tokenize("각" * 100) == ["각"] + ["##각"] * 99
    assert tokenizer.tokenize(nfd("각" * 100)) == ["각"] + ["##각"] * 99
    assert tokenizer.tokenize("각" * 101 + ".") == ["[UNK]", "."]
    assert Tokenizer(VOCAB, max_word_chars=2).tokenize("각각 각각각") == ["각", "##각", "[UNK]"]


def test_all_syllables_survive():
    tokenizer = Tokenizer([*SPECIAL, *SYLLABLES, *(f"##{syllable}" for syllable in SYLLABLES)])
    words = " ".join(SYLLABLES[start : start + 100] for start in range(0, len(SYLLABLES), 100))
    for text in (words, " ".join(SYLLABLES)):
        for form in (text, nfd(text)):
            assert tokenizer.normalizer(form) == text
            assert tokenizer.decode(tokenizer.ids([form]).values) == text


def test_offsets(tokenizer):
    text = "한국어를  공유합니다."
    ids, spans = tokenizer.offsets(text)
    assert ids == tokenizer.ids([text]).values.tolist()
    assert [text[start:end] for start, end in spans] == ["한국어", "를", "공유", "합니다", "."]
    assert tokenizer.offsets("") == ([], [])


def test_offsets_of_decomposed_text(tokenizer):
    text = nfd("한국어를 각각 한국말 공유합니다.")
    _, spans = tokenizer.offsets(text)
    pieces = ["한국어", "를", "각", "각", "한국말", "공유", "합니다", "."]
    assert [text[start:end] for start, end in spans] == [nfd(piece) for piece in pieces]
    # what Hugging Face gives ends in the middle of a composed syllable
    assert [tuple(span) for span in reference(VOCAB).encode(text).offsets] != spans


def test_offsets_of_removed_and_shortened_text():
    tokenizer = Tokenizer([*VOCAB, "i", "##\u0307", "가", "##나"], lowercase=True, full_width=True, max_jamo_repeats=2)
    for text, expected in {
        "가\u200b나 \u200b각": ["가", "나", "각"],
        "각 ㅋㅋㅋㅋㅋ.": ["각", "ㅋㅋㅋㅋㅋ", "."],
        "각ㅋㅋㅋ\u200b.": ["각ㅋㅋㅋ", "."],
        "\ud800각\udfff각": ["각", "각"],
        "İ": ["İ", "İ"],
        "［ﾡ］": ["［", "ﾡ", "］"],
        "각\u0323\u0301x": ["각\u0323\u0301x"],
    }.items():
        assert [text[start:end] for start, end in tokenizer.offsets(text)[1]] == expected


def test_offsets_equal_the_reference_where_nothing_was_composed():
    vocab = [*SPECIAL, *"abcdefgh가나다라!?", *(f"##{char}" for char in "abcdefgh가나다라")]
    tokenizer, expected = Tokenizer(vocab, lowercase=True), reference(vocab, lowercase=True)
    draw = np.random.default_rng(0)
    for _ in range(300):
        text = "".join(draw.choice(list("abcdEFGH가나다라!? \t\u200b中漢"), draw.integers(0, 30)))
        encoding = expected.encode(text)
        ids, spans = tokenizer.offsets(text)
        assert (ids, spans) == (encoding.ids, encoding.offsets), ascii(text)


def test_offsets_of_random_texts():
    tokenizer = Tokenizer([*SPECIAL, *"abcdefgh가나다"], lowercase=True, full_width=True, max_jamo_repeats=1)
    for text in random_texts(500, seed=5):
        ids, spans = tokenizer.offsets(text)
        assert ids == tokenizer.ids([text]).values.tolist()
        assert all(0 <= start < end <= len(text) for start, end in spans)
        # each word by itself gives the same pieces
        for (start, end), i in zip(spans, ids, strict=True):
            assert i in tokenizer.ids([text[start:end]]).values


def bert_truncation(first, second, room):
    """truncate_seq_pair of google-research/bert."""
    while len(first) + len(second) > room:
        (first if len(first) > len(second) else second).pop()
    return first, second


@pytest.mark.parametrize("max_length", [3, 4, 7, 8, 20])
def test_pack(tokenizer, max_length):
    lengths = [(a, b) for a in range(8) for b in range(8)]
    first, second = rows([a for a, _ in lengths]), rows([b for _, b in lengths], first=1000)
    ids, segments = tokenizer.pack(first, second, max_length)
    assert segments.row_splits.tolist() == ids.row_splits.tolist()
    for a, b, got, segment in zip(*(x.to_lists() for x in (first, second, ids, segments)), strict=True):
        a, b = bert_truncation(a, b, max_length - 3)
        assert got == [2, *a, 3, *b, 3]
        assert segment == [0] * (len(a) + 2) + [1] * (len(b) + 1)
    ids, segments = tokenizer.pack(first, None, max_length)
    assert ids.to_lists() == [[2, *a[: max_length - 2], 3] for a in first.to_lists()]
    assert not segments.values.any() and segments.values.dtype == ids.values.dtype == np.int32


def test_pack_refuses(tokenizer):
    with pytest.raises(ValueError, match=r"max_length is 1; expected at least 2"):
        tokenizer.pack(rows([2]), None, 1)
    with pytest.raises(ValueError, match=r"max_length is 2; expected at least 3"):
        tokenizer.pack(rows([2]), rows([1]), 2)
    with pytest.raises(ValueError, match=r"2 texts but 1 pairs"):
        tokenizer.pack(rows([2, 3]), rows([1]), 9)


def test_call(tokenizer):
    out = tokenizer(["한국어를", "각"], ["각각", ""])
    assert {name: array.tolist() for name, array in out.items()} == {
        "input_word_ids": [[2, 6, 8, 3, 12, 13, 3], [2, 12, 3, 3, 0, 0, 0]],
        "input_mask": [[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0]],
        "segment_ids": [[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 0, 0, 0]],
    }
    assert list(out) == ["input_word_ids", "input_mask", "segment_ids"]
    assert all(array.dtype == np.int32 for array in out.values())
    assert tokenizer(["각 " * 200])["input_word_ids"].shape == (1, 128)
    assert tokenizer(["각"], max_length=8, pad_to=8)["input_word_ids"].tolist() == [[2, 12, 3, 0, 0, 0, 0, 0]]
    assert tokenizer([])["input_mask"].shape == (0, 0)
    with pytest.raises(ValueError, match="pad_to is 4, but a row has 5 ids"):
        tokenizer(["각각각"], pad_to=4)


def test_decode(tokenizer):
    ids = tokenizer(["한국어를 공유합니다."], pad_to=12)["input_word_ids"][0]
    assert tokenizer.decode(ids) == "한국어를 공유합니다 ."
    assert tokenizer.decode([1, 4]) == "[UNK] [MASK]"
    assert tokenizer.decode([]) == ""
    for bad in (-1, len(VOCAB)):
        with pytest.raises(ValueError, match=f"id {bad}; expected 0 to {len(VOCAB) - 1}"):
            tokenizer.decode([5, bad])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lowercase": True, "max_word_chars": 7},
        {"nfc": False, "clean_text": False, "full_width": True, "max_jamo_repeats": 2},
    ],
)
def test_save_and_load(tmp_path, options):
    tokenizer = Tokenizer(VOCAB, **options)
    folder = tmp_path / "new" / "folder"
    tokenizer.save(folder)
    loaded = Tokenizer.load(folder)
    assert (loaded.vocab, loaded.config) == (tokenizer.vocab, tokenizer.config)
    assert all(loaded.config[name] == value for name, value in options.items())
    assert sorted(path.name for path in folder.iterdir()) == ["tokenizer_config.json", "vocab.txt"]
    assert Tokenizer(folder / "vocab.txt").vocab == VOCAB


def test_a_copy_for_another_process_is_the_same(tokenizer):
    tokenizer.ids(["각"])
    assert copy.deepcopy(tokenizer).ids(["한국어를"]).to_lists() == tokenizer.ids(["한국어를"]).to_lists()


def test_special_ids(tokenizer):
    found = (tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id)
    assert found == (0, 1, 2, 3, 4) and tokenizer.vocab_size == len(VOCAB)
    other = Tokenizer(["a", *reversed(SPECIAL)])
    assert (other.pad_id, other.unk_id, other.mask_id) == (5, 4, 1)
    assert other(["a b"])["input_word_ids"].tolist() == [[3, 0, 4, 2]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "vocab.txt: empty; expected"),
        (b"\n\n", "vocab.txt: empty; expected"),
        (b"[PAD]\n[CLS]\n[SEP]\n[MASK]\na\n", r"vocab.txt: no \[UNK\] among its 5 entries; expected \[PAD\] \[UNK\]"),
        (b"a\nb\n", r"no \[PAD\] \[UNK\] \[CLS\] \[SEP\] \[MASK\] among its 2"),
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n가\n나\n가\n".encode(), "vocab.txt: line 8 repeats '가' of line 6"),
        (b"[PAD]\n[UNK]\n\n[CLS]\n[SEP]\n[MASK]\n", "vocab.txt: line 3 is ''; expected"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nab\xb0\xa1\n", "vocab.txt: line 6 .* byte 0xb0 at position 3; expected"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\x11\n", r"vocab.txt: line 6 is 'a\\x11'; expected"),
    ],
)
def test_a_bad_vocab(tmp_path, content, message):
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Tokenizer.from_vocab(path)
    with pytest.raises(ValueError, match=message):
        (tmp_path / "tokenizer_config.json").write_text('{"type": "wordpiece"}')
        Tokenizer.load(tmp_path)


def test_a_vocab_from_windows(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*SPECIAL, "가", ""]).encode())
    assert Tokenizer(path).vocab == [*SPECIAL, "가"]
    with pytest.raises(FileNotFoundError):
        Tokenizer(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "tokenizer_config.json: not JSON"),
        ("[1]", "found a list; expected an object with the keys type, max_word_chars, lowercase"),
        ('{"type": "wordpiece", "do_lower_case": true}', "found unknown key do_lower_case; expected an object"),
        ('{"type": "char"}', 'type is \'char\'; expected "wordpiece", "bpe", "unigram" or "published"'),
        ('{"type": "bpe"}', "sentencepiece.model: no such file; expected a folder written by Tokenizer.save"),
        ("{}", "type is None; expected"),
        ('{"type": "wordpiece", "lowercase": 1}', "tokenizer_config.json: lowercase is 1; expected True or False"),
        ('{"type": "wordpiece", "max_jamo_repeats": 0}', "max_jamo_repeats is 0; expected None or a whole number"),
        ('{"type": "wordpiece", "max_word_chars": "100"}', "max_word_chars is '100'; expected"),
    ],
)
def test_a_bad_config(tmp_path, tokenizer, config, message):
    tokenizer.save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(config)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Tokenizer.load(tmp_path)


def test_a_folder_without_a_tokenizer(tmp_path, tokenizer):
    with pytest.raises(FileNotFoundError, match=r"tokenizer_config.json: no such file; expected a folder written by"):
        Tokenizer.load(tmp_path)
    tokenizer.save(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"vocab.txt: no such file"):
        Tokenizer.load(tmp_path)


def test_texts_that_are_none(tokenizer):
    for method in (tokenizer.ids, tokenizer):
        with pytest.raises(TypeError, match=r"texts is one str; expected a list of str: write \[text\]"):
            method("한국어")
        with pytest.raises(TypeError, match=r"text 1 is nan, a float; expected str"):
            method(["한국어", float("nan")])
    with pytest.raises(TypeError, match="text 0 is None, a NoneType"):
        tokenizer.offsets(None)
    assert tokenizer.ids(np.array(["한국", "각"])).to_lists() == [[5], [12]]


def test_only_numpy_is_needed():
    """Neither TensorFlow nor Hugging Face's tokenizers is imported for ids."""
    code = (
        "import sys, json, tfkor.text; from tfkor.text import Tokenizer;"
        f"ids = Tokenizer({VOCAB!r}).ids(['한국어를 공유합니다.']).values.tolist();"
        "heavy = ('tensorflow', 'keras', 'tokenizers', 'sentencepiece', 'jax');"
        "print(json.dumps([ids, [m for m in heavy if m in sys.modules]]))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == [[6, 8, 9, 10, 11], []]


def test_the_examples_of_the_docstrings():
    assert doctest.testmod(sys.modules["tfkor.text.tokenizer"]) == (0, 2)


def test_lone_surrogates_are_replaced():
    tokenizer = Tokenizer([*VOCAB, "\ufffd", "##\ufffd"], clean_text=False)
    text = "\ud800각\udfff"
    assert tokenizer.ids([text]).to_lists() == tokenizer.ids([without_surrogates(text)]).to_lists()
    assert tokenizer.tokenize("\ud800") == ["\ufffd"]
    assert Tokenizer(VOCAB).tokenize("각\ud83d각") == ["각", "##각"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        dict(lowercase=True, full_width=True, max_jamo_repeats=1),
        dict(nfc=False, clean_text=False),
        dict(alphabet="jamo"),
    ],
)
def test_offsets_of_many_texts_are_those_of_each(options):
    tokenizer = Tokenizer([*SPECIAL, *"abcdefgh가나다각ㅋ한국", "##가", "##나", "##\u11ab", "나다"], **options)
    texts = random_texts(300, seed=7)
    texts += ["", " 가나 다각\n", nfd("가나"), "\ud800가나", "가\u200b나", "가나 ㅋㅋㅋ"] * 2
    found = tokenizer.all_offsets(texts)
    wrong = [ascii(text)[:80] for text, row in zip(texts, found, strict=True) if row != tokenizer.offsets(text)]
    assert not wrong, (len(wrong), wrong[:3])
    assert tokenizer.all_offsets([]) == []
    if not options:
        assert 100 < sum(tokenizer.normalizer.unmoved(texts)) < len(texts) - 50  # both ways were taken
