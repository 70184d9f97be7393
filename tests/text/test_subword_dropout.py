"""Segmentations drawn for training: those of the package sentencepiece, and the same in every process."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from tfkor.data import load_intents176
from tfkor.text import Tokenizer, train_sentencepiece

TEXT = "오늘 서울 날씨는 어때요"
COUNT = 4000
AGAIN = """
import sys
from tfkor.text import Tokenizer
print(Tokenizer.load(sys.argv[1]).ids([sys.argv[2]] * 50, dropout=0.5, seed=[7, 1]).to_lists())
"""


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def tokenizer(request):
    return Tokenizer(train_sentencepiece(load_intents176("train").texts, 2500, request.param, user_symbols=["ㅋㅋ"]))


@pytest.fixture(scope="module")
def drawer(tokenizer):
    return tokenizer.engine.model.drawer


def test_without_chance_the_pieces_are_those_of_the_package(tokenizer, drawer):
    texts = [tokenizer.normalizer(text) for text in load_intents176("dev").texts]
    texts += ["", "ㅋㅋㅋ 가나ㅋㅋ", "☃☃ ☃가☃", "날씨ㅋㅋㅋㅋ날씨"]
    certain = 0.0 if drawer.kind == "bpe" else 1e6
    score = {i: score for i, score in drawer.pieces.values()} | {drawer.unknown: drawer.unknown_score}
    equal = 0
    for text, ids in zip(texts, drawer.processor.Encode(texts), strict=True):
        drawn = drawer.draw(text, certain, np.random.default_rng(0))
        equal += drawn == ids
        assert drawn == ids or sum(score[i] for i in drawn) == sum(score[i] for i in ids)  # two of one probability
    assert equal == len(texts) if drawer.kind == "bpe" else equal > 0.95 * len(texts)


def test_they_are_drawn_as_often_as_by_the_package(drawer):
    for share in (0.2, 0.6):
        random = np.random.default_rng(3)
        found = Counter(tuple(drawer.draw(TEXT, share, random)) for _ in range(COUNT))
        options = dict(enable_sampling=True, nbest_size=-1, alpha=share)
        first, second = (Counter(map(tuple, drawer.processor.Encode([TEXT] * COUNT, **options))) for _ in range(2))
        assert len(found) > 10
        assert distance(found, first) < 1.3 * distance(first, second) + 0.02


def distance(a, b):
    """Half the sum of the differences of two empirical distributions of COUNT draws."""
    return sum(abs(a[key] - b[key]) for key in {*a, *b}) / (2 * COUNT)


def test_another_process_draws_the_same(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    command = [sys.executable, "-c", AGAIN, str(tmp_path), TEXT]
    again = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = tokenizer.ids([TEXT] * 50, dropout=0.5, seed=[7, 1]).to_lists()
    assert again.strip() == str(found) and len({tuple(row) for row in found}) > 5


def test_user_symbols_stay_whole(tokenizer, drawer):
    symbol = tokenizer.vocab.index("ㅋㅋ")
    random = np.random.default_rng(0)
    share = 0.9 if drawer.kind == "bpe" else 1.0
    assert all(drawer.draw("날씨ㅋㅋㅋ 네", share, random).count(symbol) == 1 for _ in range(200))


def test_unknown_characters_are_one_piece(drawer):
    assert drawer.draw("☃☃☃가☃", 0.3, np.random.default_rng(0)).count(drawer.unknown) == 2
