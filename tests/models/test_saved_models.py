"""The weights that come with a checkout: they load, with their tokenizer, and have a card."""

from pathlib import Path

import numpy as np
import pytest

from tfkor import zoo

FOLDER = Path(__file__).parents[2] / "saved_models"

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="runs in a checkout")


@pytest.mark.parametrize("folder", sorted(path for path in FOLDER.glob("*") if path.is_dir()), ids=lambda p: p.name)
def test_an_encoder_has_a_card_and_knows_words_by_their_context(folder):
    card = (folder / "README.md").read_text("utf-8")
    assert "licence" in card and "run_classifier" in card
    encoder, tokenizer = zoo.load(folder)
    assert encoder.config.vocab_size == tokenizer.vocab_size
    assert tokenizer.unk_id not in tokenizer.ids(["재미있는 영화를 보고 왔어요."]).values
    texts = ["배우 연기가 훌륭했다", "스토리가 너무 지루함", "제3조 법률을 공포한 날부터 시행한다"]  # no word in common
    batch = tokenizer(texts)
    vectors = np.asarray(encoder(list(batch.values()))[1], "float32")
    mask = np.asarray(batch["input_mask"])[..., None]
    means = (vectors * mask).sum(1) / mask.sum(1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    like = means @ means.T
    assert like[0, 1] > 0.2 + max(like[0, 2], like[1, 2])  # random weights: all three within 0.05
