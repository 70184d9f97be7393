"""Masks: their rate, their units, 80/10/10, and the same ones for the same example."""

import numpy as np
import pytest

from tfkor.pretraining import Masking, PretrainingBatches, Recipe
from tfkor.pretraining.masking import Vocabulary, draw_masks
from tfkor.pretraining.randomness import keys, uniforms
from tfkor.text import Tokenizer


def batch_of(shards, units="token", batch_size=64, **options):
    return next(PretrainingBatches(shards, Recipe(length=48, masking=Masking(units, **options)), batch_size))


def masked(batch):
    """bool [B, S]: the positions to predict."""
    out = np.zeros(batch["input_word_ids"].shape, bool)
    row, column = np.nonzero(batch["masked_lm_weights"])
    out[row, batch["masked_lm_positions"][row, column]] = True
    return out


def original(batch):
    """The ids before masking."""
    ids = batch["input_word_ids"].copy()
    row, column = np.nonzero(batch["masked_lm_weights"])
    ids[row, batch["masked_lm_positions"][row, column]] = batch["masked_lm_ids"][row, column]
    return ids


@pytest.mark.parametrize("units", ["token", "whole_word", "eojeol", "span", {"span": 1, "token": 3}])
def test_a_fraction_of_the_tokens_is_masked_and_never_a_special_one(shards, units):
    batch = batch_of(shards, units)
    tokens = batch["input_mask"].sum(axis=1)
    count = masked(batch).sum(axis=1)
    assert (count <= np.maximum(1, np.round(tokens * 0.15))).all()
    assert count.sum() / tokens.sum() > 0.13
    tokenizer = shards.tokenizer
    special = [tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id]
    assert not np.isin(original(batch)[masked(batch)], special).any()
    np.testing.assert_allclose(batch["masked_lm_weights"].sum(), 1, rtol=1e-5)
    assert (np.diff(np.where(batch["masked_lm_weights"] > 0, batch["masked_lm_positions"], 10**6)) >= 0).all()


def test_of_the_masked_tokens_most_become_mask_some_another_some_stay(shards):
    counts = np.zeros(3)
    batches = PretrainingBatches(shards, Recipe(length=48), 64)
    for _ in range(20):
        batch = next(batches)
        new, old = batch["input_word_ids"][masked(batch)], original(batch)[masked(batch)]
        is_mask = new == shards.tokenizer.mask_id
        counts += [is_mask.sum(), (~is_mask & (new != old)).sum(), (new == old).sum()]
    fractions = counts / counts.sum()
    # a random token may happen to be the old one: 1 of 23
    np.testing.assert_allclose(fractions, [0.8, 0.1 * 22 / 23, 0.1 + 0.1 / 23], atol=0.02)


def test_electra_masks_most_and_leaves_the_rest(shards):
    batch = batch_of(shards, mask_share=0.85, random_share=0.0)
    new, old = batch["input_word_ids"][masked(batch)], original(batch)[masked(batch)]
    assert ((new == shards.tokenizer.mask_id) | (new == old)).all()
    assert 0.75 < (new == shards.tokenizer.mask_id).mean() < 0.95


@pytest.mark.parametrize("units", ["whole_word", "eojeol", "span"])
def test_words_are_masked_as_a_whole(shards, units):
    batch = batch_of(shards, units)
    ids, chosen = original(batch), masked(batch)
    continues = np.asarray(shards.tokenizer.continuations)[ids]
    row, column = np.nonzero(continues)
    assert (chosen[row, column] == chosen[row, column - 1]).all()


def test_spans_are_longer_than_words(shards):
    def mean_run(units):
        chosen = masked(batch_of(shards, units))
        starts = chosen[:, 1:] & ~chosen[:, :-1]
        return chosen.sum() / starts.sum()

    assert mean_run("span") > 1.3 * mean_run("whole_word")


def test_an_example_has_the_same_masks_in_any_batch(shards):
    small, large = (PretrainingBatches(shards, Recipe(length=48), size) for size in (8, 32))
    parts, whole = [next(small) for _ in range(4)], next(large)
    for name in ("input_word_ids", "masked_lm_positions", "masked_lm_ids"):
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), whole[name])


def test_random_numbers_are_uniform_and_differ_by_key_and_stream():
    key = keys(7, np.arange(1000))
    numbers = uniforms(key, 0, 50)
    assert numbers.min() >= 0 and numbers.max() < 1
    np.testing.assert_allclose(np.histogram(numbers, 10, (0, 1))[0] / numbers.size, 0.1, atol=0.005)
    assert abs(np.corrcoef(numbers[:, 0], numbers[:, 1])[0, 1]) < 0.1
    assert abs(np.corrcoef(numbers[:-1, 0], numbers[1:, 0])[0, 1]) < 0.1
    assert not np.array_equal(numbers, uniforms(key, 1, 50))


def test_a_row_with_nothing_to_mask_is_left_alone():
    rows = dict(
        input_word_ids=np.array([[2, 3, 0, 0]], np.int32),
        input_mask=np.array([[1, 1, 0, 0]], np.int32),
        maskable=np.zeros((1, 4), bool),
        continuations=np.zeros((1, 4), bool),
        eojeol_starts=np.zeros((1, 4), bool),
    )
    for units in ("token", "whole_word", "eojeol", "span"):
        out = draw_masks(rows, Masking(units), keys(0, np.zeros(1, int)), 2, 4, np.array([5, 6]))
        assert out["masked_lm_weights"].sum() == 0
        np.testing.assert_array_equal(out["input_word_ids"], rows["input_word_ids"])


def test_bad_masking_is_named():
    for options in (dict(units="word"), dict(rate=0.0), dict(mask_share=0.9, random_share=0.2), dict(units={})):
        with pytest.raises(ValueError, match=r"expected|exceed"):
            Masking(**options)


def test_a_tokenizer_without_a_mask_token_is_refused():
    tokenizer = Tokenizer.from_vocab(
        ["<pad>", "<unk>", "<s>", "</s>", "가"], special_tokens=dict(pad="<pad>", unk="<unk>", cls="<s>", sep="</s>")
    )
    with pytest.raises(ValueError, match="pretraining needs a mask token, but special_tokens has pad, unk, cls, sep"):
        Vocabulary.of(tokenizer)
