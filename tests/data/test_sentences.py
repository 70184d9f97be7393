"""Korean sentences by rule, and by Kiwi where it is installed."""

import gzip
import importlib.util

import pytest

from tfkor.data.sentences import sentence_splitter, split_by_rule

KIWI = pytest.mark.skipif(importlib.util.find_spec("kiwipiepy") is None, reason="needs kiwipiepy, of tfkor[morph]")


@pytest.mark.parametrize(
    "text",
    [
        "비가 온다.|우산을 챙기자.",
        "정말요?|네!|그럼 가요…|좋아요.",
        "회의는 2024. 5. 3. 오후 3.5시간 동안 열렸다.|모두 왔다.",
        "1. 목적을 적는다.|가. 나이를 쓴다.|나. 주소를 쓴다.",
        "띄어 썼 다.|학교에 가.|그래.",
        '그는 "늦었다. 어서 가자." 라고 말했다.|우리는 뛰었다.',
        '"안녕하세요?"|문이 열렸다.',
        "그가 왔다(정말이다. 내가 봤다).|끝.",
        "(주의. 뜨겁다.)|조심하세요.",
        "Dr. Kim과 e.g. 서울을 봤다.|It works. 잘 된다.".replace("works. 잘", "works.|잘"),
        "닫히지 않은 (괄호가 있다.|그래도 나뉜다.",
        "주소는 www.naver.com 이다.|파일은 a.txt다.",
        "대박!!!|ㅋㅋㅋ 웃기다.|ㅠㅠ",
        "마침표가 없는 문장",
    ],
)
def test_the_rule(text):
    assert split_by_rule(text.replace("|", " ")) == text.split("|")


def test_nothing_is_lost_and_blank_text_has_no_sentence():
    assert split_by_rule(" ") == split_by_rule("") == []
    assert split_by_rule("  가.  나다!\t라? ") == ["가.  나다!", "라?"]  # 가. counts, as in 가. 나.
    assert sentence_splitter("none")(["가다. 오다.", "b"]) == [["가다. 오다."], ["b"]]
    assert sentence_splitter("rule")(["가다. 오다.", "b"]) == [["가다.", "오다."], ["b"]]
    with pytest.raises(ValueError, match="split_sentences='regex'; expected one of none, rule, kiwi"):
        sentence_splitter("regex")


@KIWI
def test_kiwi():
    found = sentence_splitter("kiwi")(["비가 온다. 우산을 챙기자.", "맑다."])
    assert found == [["비가 온다.", "우산을 챙기자."], ["맑다."]]


def test_kiwi_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs kiwipiepy: pip install \"tfkor\[morph\]\", or use \"rule\""):
        sentence_splitter("kiwi")


def test_sentences_of_treebanks(shared_data):
    """Sentences that people cut, joined to paragraphs, are cut again at the same places where a mark ends them."""
    for name, marked_share in (("gsd", 0.7), ("kaist", 0.99)):
        with gzip.open(shared_data / f"ud-korean-{name}/ko_{name}-ud-test.conllu.gz", "rt", encoding="utf-8") as file:
            sentences = [line.split("=", 1)[1].strip() for line in file if line.startswith("# text =")]
        marked = right = found = 0
        for start in range(0, len(sentences), 5):
            paragraph = sentences[start : start + 5]
            cut = split_by_rule(" ".join(paragraph))
            ours, ends = (
                {len("".join(of[: i + 1]).replace(" ", "")): of[i] for i in range(len(of))} for of in (cut, paragraph)
            )
            right, found = right + len(ends.keys() & ours), found + len(ours)
            with_mark = {end for end, sentence in ends.items() if sentence[-1] in ".!?"}
            marked += len(with_mark)
            assert len(with_mark - ours.keys()) <= 1, (paragraph, cut)
        assert marked > marked_share * len(sentences) and right / found > 0.995
