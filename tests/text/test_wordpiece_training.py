"""train_wordpiece and the program train_tokenizer."""

import gzip
import hashlib
import os
import subprocess
import sys
import unicodedata

import pytest

from tfkor.data import load_intents176
from tfkor.text import SPECIAL_TOKENS, Lines, Tokenizer, train_wordpiece

TEXTS = ["한국어를 공유합니다.", "한국어를 배웁니다!", "한국 사람입니다. ABC abc", "공유합니다 한국어"] * 5
HASH = """
import hashlib
from tfkor.data import load_intents176
from tfkor.text import train_wordpiece
vocab = train_wordpiece(load_intents176("train").texts, 4000)
print(hashlib.sha256("\\n".join(vocab).encode()).hexdigest())
"""


def entries(vocab):
    """The vocabulary in its parts: special tokens, characters, ## characters, pieces."""
    rest = vocab[len(SPECIAL_TOKENS) :]
    heads = [entry for entry in rest if len(entry) == 1]
    tails = [entry for entry in rest if len(entry) == 3 and entry.startswith("##")]
    return rest[: len(heads)] == heads, heads, tails, rest[len(heads) + len(tails) :]


def test_the_order_of_the_vocabulary():
    vocab = train_wordpiece(TEXTS, 1000)
    in_order, heads, tails, pieces = entries(vocab)
    assert tuple(vocab[:5]) == SPECIAL_TOKENS and in_order
    assert heads == sorted({*map(chr, range(0x21, 0x7F)), *"".join(TEXTS)} - {" "})
    assert tails == [f"##{char}" for char in heads if char.isalnum()]
    assert len(set(vocab)) == len(vocab) and {"한국", "공유", "##합니다"} <= set(pieces)
    assert Tokenizer(vocab).tokenize("한국어를 공유합니다.") == ["한국어를", "공유합니다", "."]


def test_options_reach_the_vocabulary():
    texts = [*TEXTS, "ＡＢＣ ㅋㅋㅋㅋㅋㅋ ㅋㅋㅋㅋㅋㅋ"]
    lower = train_wordpiece(texts, 1000, lowercase=True, full_width=True, max_jamo_repeats=2)
    assert not any(char.isupper() or char == "Ａ" for entry in lower[5:] for char in entry)
    assert "ㅋㅋ" in lower and "ㅋㅋㅋ" not in lower
    decomposed = [unicodedata.normalize("NFD", text) for text in TEXTS]
    assert train_wordpiece(decomposed, 1000) == train_wordpiece(TEXTS, 1000)
    assert train_wordpiece(decomposed, 1000, nfc=False) != train_wordpiece(TEXTS, 1000)


def test_control_characters_do_not_reach_the_vocabulary():
    vocab = train_wordpiece(["가나 가나 다\x01라\x01"] * 9, 500, clean_text=False)
    assert Tokenizer(vocab, clean_text=False).tokenize("가나 다\x01라") == ["가나", "[UNK]"]
    assert "다라" in train_wordpiece(["가나 가나 다\x01라\x01"] * 9, 500)


def test_the_alphabet():
    texts = ["가가가 나나 다"] * 9
    _, heads, tails, _ = entries(train_wordpiece(texts, 100, alphabet_limit=2, required_characters="하!"))
    assert heads == ["!", "가", "나", "하"] and tails == ["##가", "##나", "##하"]
    # a word with a character outside the alphabet teaches nothing: it will be [UNK]
    vocab = train_wordpiece(["가나힣가나"] * 9, 100, alphabet_limit=2, required_characters="")
    assert vocab[5:] == ["가", "나", "##가", "##나"]
    assert "가나" in train_wordpiece(["가나 힣가나"] * 9, 100, alphabet_limit=2, required_characters="")
    syllables = "".join(map(chr, range(0xAC00, 0xD7A4)))
    tokenizer = Tokenizer(train_wordpiece(TEXTS, 24_000, required_characters=syllables))
    assert tokenizer.unk_id not in tokenizer.ids([" ".join(syllables), "뷁뷁"]).values


def test_the_same_texts_give_the_same_vocabulary():
    vocab = train_wordpiece(load_intents176("train").texts, 4000)
    expected = hashlib.sha256("\n".join(vocab).encode()).hexdigest()
    for seed, threads in (("1", "1"), ("2", "4")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads}
        command = [sys.executable, "-c", HASH]
        result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert result.stdout.strip() == expected


def test_lines_of_files(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(TEXTS[:10]).encode())
    with gzip.open(tmp_path / "b.txt.gz", "wb") as file:
        file.write("\n".join(TEXTS[10:]).encode())
    lines = Lines([tmp_path / "a.txt", str(tmp_path / "b.txt.gz")])
    assert list(lines) == list(lines) == TEXTS
    assert train_wordpiece(lines, 500) == train_wordpiece(TEXTS, 500)
    assert list(Lines(str(tmp_path / "a.txt"))) == list(Lines(tmp_path / "a.txt")) == TEXTS[:10]


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.txt: no such file; expected a text file"):
        Lines([tmp_path / "none.txt"])
    bad = tmp_path / "bad.txt"
    bad.write_bytes("가\n나\n".encode() + "가나".encode("cp949") + b"\n")
    with pytest.raises(ValueError, match=r"bad.txt: line 3 has the byte 0xb0 at position 1; expected UTF-8"):
        train_wordpiece(Lines([bad]), 500)
    cut = tmp_path / "cut.txt.gz"
    cut.write_bytes(gzip.compress("가나다\n".encode() * 1000)[:-20])
    with pytest.raises(ValueError, match=r"cut.txt.gz: after line .*expected a whole .gz file"):
        list(Lines([cut]))
    (tmp_path / "plain.gz").write_bytes(b"text\n")
    with pytest.raises(ValueError, match=r"plain.gz: after line 0: Not a gzipped file"):
        list(Lines([tmp_path / "plain.gz"]))


def test_bad_arguments():
    for texts in ([], [""], [" \n", "\u200b"]):
        with pytest.raises(ValueError, match="the texts hold no words"):
            train_wordpiece(texts, 500)
    with pytest.raises(ValueError, match=r"vocab_size is 100, but special tokens \(5\), characters \(\d+\) and"):
        train_wordpiece(TEXTS, 100)
    with pytest.raises(TypeError, match="texts is one str"):
        train_wordpiece("한국어", 500)
    with pytest.raises(TypeError, match="an iterator, which can be read once only; expected"):
        train_wordpiece(iter(TEXTS), 500)
