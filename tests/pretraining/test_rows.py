"""Rows: nothing lost, nothing across documents, pairs as google-research/bert and albert define them."""

import numpy as np
import pytest
from tiny_corpus import make_shard, make_tokenizer

from tfkor.pretraining.rows import NO_PAIR, make_rows, packed


@pytest.fixture(scope="module")
def shard():
    return make_shard(make_tokenizer(), 50, seed=9, least=1, most=30)


def pieces(rows, i):
    return [(int(a), int(b)) for a, b in zip(rows.starts, rows.ends)][rows.row_splits[i] : rows.row_splits[i + 1]]


def document_of(shard, token):
    sentence = np.searchsorted(shard.sentence_splits, token, "right") - 1
    return int(np.searchsorted(shard.document_splits, sentence, "right") - 1)


def sentence_edges(shard):
    return set(shard.sentence_splits.tolist())


def test_rows_of_one_segment_hold_each_token_once_and_whole_sentences(shard):
    rows = make_rows(shard, 40)
    held = np.concatenate([np.arange(a, b) for i in range(len(rows)) for a, b in pieces(rows, i)])
    assert sorted(held) == list(range(len(shard.tokens)))
    assert (rows.ends - rows.starts).max() <= 38
    for i in range(len(rows)):
        ((a, b),) = pieces(rows, i)
        assert {a, b} <= sentence_edges(shard)
        assert document_of(shard, a) == document_of(shard, b - 1)
    assert set(rows.labels) == {NO_PAIR}


def test_a_sentence_longer_than_a_row_is_cut(shard):
    rows = make_rows(shard, 7)
    assert (rows.ends - rows.starts).max() == 5
    assert (rows.ends - rows.starts).sum() == len(shard.tokens)


def test_sop_pairs_are_neighbours_of_one_document_half_of_them_swapped(shard):
    rows = make_rows(shard, 40, pairs="sop", seed=3)
    swapped = []
    for i in range(len(rows)):
        parts = pieces(rows, i)
        assert sum(b - a for a, b in parts) <= 37
        assert len({document_of(shard, a) for a, _ in parts}) == 1
        if rows.labels[i] == NO_PAIR:
            assert len(parts) == 1
            continue
        (a, _), (b, _) = parts
        assert (a > b) == (rows.labels[i] == 1)
        swapped.append(rows.labels[i])
    assert 0.4 < np.mean(swapped) < 0.6


def test_nsp_pairs_follow_each_other_or_come_from_another_document(shard):
    rows = make_rows(shard, 40, pairs="nsp", seed=3)
    assert 0.4 < rows.labels.mean() < 0.75
    for i in range(len(rows)):
        (a, a_end), (b, b_end) = pieces(rows, i)
        assert (a_end - a) + (b_end - b) <= 37
        same = document_of(shard, a) == document_of(shard, b)
        assert same == (rows.labels[i] == 0)
        if same:
            assert b >= a_end


def test_without_cuts_nsp_and_sop_begin_and_end_at_sentences(shard):
    """Rows longer than any document are not cut, so both segments are whole sentences, side by side."""
    edges = sentence_edges(shard)
    for pairs in ("nsp", "sop"):
        rows = make_rows(shard, 2000, pairs=pairs, short_seq_prob=0.0)
        assert set(rows.starts.tolist()) | set(rows.ends.tolist()) <= edges
        for i in np.flatnonzero(rows.labels == 0):
            (_, end), (start, _) = pieces(rows, i)
            assert end == start


def test_short_rows_come_with_their_probability(shard):
    def fraction_of_short(probability):
        rows = make_rows(shard, 64, pairs="sop", short_seq_prob=probability)
        lengths = np.add.reduceat(rows.ends - rows.starts, rows.row_splits[:-1])
        return (lengths < 30).mean()

    assert fraction_of_short(0.9) > fraction_of_short(0.0) + 0.2


def test_packed_rows_hold_each_token_once_and_fill_up(shard):
    rows = make_rows(shard, 40, packing=True)
    widths = [sum(b - a + 2 for a, b in pieces(rows, i)) for i in range(len(rows))]
    assert max(widths) <= 40
    assert (rows.ends - rows.starts).sum() == len(shard.tokens)
    plain = make_rows(shard, 40)
    assert len(rows) < len(plain)
    assert np.mean(widths) > (plain.ends - plain.starts + 2).mean()


def test_packing_leaves_no_two_rows_that_would_fit_together():
    lengths = np.random.default_rng(0).integers(3, 60, 500)
    group = packed(lengths, 64)
    used = np.bincount(group, weights=lengths)
    assert used.max() <= 64
    assert np.sort(used)[:2].sum() > 64
    assert sorted(set(group)) == list(range(len(used)))


def test_the_same_seed_gives_the_same_rows_another_one_others(shard):
    def starts(seed):
        return make_rows(shard, 40, pairs="nsp", seed=seed).starts.tolist()

    assert starts(1) == starts(1) != starts(2)


def test_documents_can_be_chosen(shard):
    chosen = np.arange(50) % 5 == 0
    for pairs in (None, "nsp", "sop"):
        rows = make_rows(shard, 40, pairs=pairs, documents=chosen)
        assert {document_of(shard, a) for a in rows.starts.tolist()} <= set(np.flatnonzero(chosen).tolist())


def test_nsp_with_one_document_alone_has_true_pairs_only(shard):
    rows = make_rows(shard, 40, pairs="nsp", documents=np.arange(50) == 3)
    assert set(rows.labels) <= {0, NO_PAIR} and (rows.labels == 0).any()
    for i in np.flatnonzero(rows.labels == 0):
        (_, end), (start, _) = pieces(rows, i)
        assert start >= end


def test_bad_combinations_are_named(shard):
    with pytest.raises(ValueError, match="packing with pairs='nsp'"):
        make_rows(shard, 40, pairs="nsp", packing=True)
    for pairs, length in ((None, 2), ("nsp", 4), ("sop", 4)):
        with pytest.raises(ValueError, match=f"the length of a row is {length}; expected at least {length + 1}"):
            make_rows(shard, length, pairs=pairs)
        assert len(make_rows(shard, length + 1, pairs=pairs))
    with pytest.raises(ValueError, match="pairs is 'next'"):
        make_rows(shard, 40, pairs="next")
