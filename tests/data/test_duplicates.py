"""Duplicate lines: what is found on disk in ranges is what a comparison of all pairs finds."""

import itertools
import unicodedata

import numpy as np
import pytest

from tfkor.data.duplicates import BANDS, DuplicateFinder, alike, band_hashes, grams, line_hashes, line_keys, near_lines

SYLLABLES = [chr(code) for code in range(0xAC00, 0xAC00 + 300)]


def drops(folder, blocks, method, memory=10**9):
    """The lines that are dropped of each block."""
    finder = DuplicateFinder(folder, method, memory)
    for number, lines in enumerate(blocks):
        finder.sketch(number, lines, f"hash {number}")
    for name in ("lines", "bands")[: 1 + (method == "near")]:
        ranges = finder.ranges(name, len(blocks))
        for number in reversed(range(ranges)):
            finder.merge(name, number, ranges, len(blocks))
    return [finder.dropped(number).tolist() for number in range(len(blocks))]


def random_lines(random, count):
    return ["".join(random.choice(SYLLABLES, random.integers(5, 60))) for _ in range(count)]


def variant(line, random):
    """`line` with one of its characters replaced."""
    place = int(random.integers(len(line)))
    return line[:place] + str(random.choice(SYLLABLES)) + line[place + 1 :]


def test_exact_duplicates(tmp_path):
    blocks = [["가", "나", "가"], [], ["나!", "나", "다"], ["다", "라"]]
    assert drops(tmp_path, blocks, "exact") == [[2], [], [1], [0]]


def test_keys():
    lines = ["정말 재밌다!! ㅋㅋㅋㅋ", "정말재밌다ㅋㅋㅋ.", unicodedata.normalize("NFD", "한글 ABC_1"), "!!!", "..."]
    assert line_keys(lines) == ["정말재밌다ㅋㅋ", "정말재밌다ㅋㅋ", "한글abc1", "!!!", "..."]
    assert line_keys([]) == []


def test_lines_with_the_same_key_are_near(tmp_path):
    blocks = [["정말 재밌다!! ㅋㅋㅋㅋ", "다른 문장이다"], ["정말재밌다ㅋㅋㅋ.", "!!!", "..."]]
    assert drops(tmp_path / "near", blocks, "near") == [[], [0]]
    assert drops(tmp_path / "exact", blocks, "exact") == [[], []]


def test_similarity():
    assert alike(grams("가나다라마바사"), grams("가나다라마바사"))
    a, b = "가나다라마바사아자차카타", "가나다라마바사아자차카하"  # 9 of 11 sets of three
    assert len(grams(a) & grams(b)) / len(grams(a) | grams(b)) == pytest.approx(9 / 11)
    assert alike(grams(a), grams(b)) and alike(grams(b), grams(a))
    assert not alike(grams(a), grams(b[:-3]))
    assert grams("가") == {"가"}


def test_the_first_eight_of_a_band_are_compared():
    sets = [frozenset([i]) for i in range(10)]
    members = [*enumerate(sets), (10, sets[7]), (11, sets[9])]
    assert near_lines(members) == [10]


@pytest.mark.parametrize("memory", [10**9, 20_000])
def test_near_duplicates_are_those_of_all_pairs(tmp_path, memory):
    random = np.random.default_rng(1)
    lines = random_lines(random, 300)
    lines += [variant(lines[i], random) for i in random.integers(0, 300, 150)]
    lines += [lines[i] for i in random.integers(0, 450, 50)]
    lines = [lines[i] for i in random.permutation(len(lines))]
    blocks = [lines[:200], lines[200:210], lines[210:]]
    sets = [grams(key) for key in line_keys(lines)]
    expected = {j for i, j in itertools.combinations(range(len(lines)), 2) if alike(sets[i], sets[j])}
    finder = DuplicateFinder(tmp_path, "near", memory)
    found = drops(tmp_path, blocks, "near", memory)
    assert (finder.ranges("bands", 3) > 5) == (memory == 20_000)
    found = {start + line for start, of_block in zip((0, 200, 210), found) for line in of_block}
    assert found <= expected  # every pair was compared: no false one
    assert len(found) > 0.97 * len(expected) > 100  # MinHash overlooks a few near 0.8


def test_bands_find_similar_lines_as_often_as_stated():
    random = np.random.default_rng(0)
    line = "".join(random.choice(SYLLABLES, 400))
    others = []
    for _ in range(300):
        changed = list(line)
        for place in random.choice(400, 15, replace=False):
            changed[place] = "힣"
        others.append("".join(changed))
    found = band_hashes([line, *others])
    assert found.shape == (301, BANDS)
    hit = (found[1:] == found[0]).any(1)
    similar = np.array([len(grams(line) & grams(o)) / len(grams(line) | grams(o)) for o in others])
    expected = 1 - (1 - similar**4) ** 8
    assert abs(hit.mean() - expected.mean()) < 0.03
    assert np.array_equal(band_hashes([line])[0], found[0])  # whatever stands beside it
    assert len(np.unique(found[0])) == BANDS
    assert band_hashes([]).shape == (0, BANDS)
    assert not (band_hashes(["가"]) == band_hashes(["나"])).any()


def test_hashes_differ():
    assert len(set(line_hashes([str(i) for i in range(10_000)]).tolist())) == 10_000


def test_what_is_there_is_not_done_again(tmp_path):
    blocks = [["가나다라", "마바사"], ["가나다라"]]
    assert drops(tmp_path, blocks, "near") == [[], [0]]
    finder = DuplicateFinder(tmp_path, "near", 10**9)
    assert [finder.sketched(number) for number in range(3)] == ["hash 0", "hash 1", None]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npy")}
    assert len(before) == 2
    finder.merge("lines", 0, 1, 2)
    finder.merge("bands", 0, 1, 2)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npy")}
