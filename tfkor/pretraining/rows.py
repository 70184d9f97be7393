"""Documents -> rows of a length: one segment, a pair of segments (NSP, SOP), or several documents packed together.

A row is spans of its shard's tokens; nothing is copied until a batch is put together. All documents of a shard are cut
side by side in NumPy.
"""

from typing import NamedTuple

import numpy as np

PAIRS = ("nsp", "sop")
NO_PAIR = -1


class Rows(NamedTuple):
    """Row i is made of the pieces row_splits[i] to row_splits[i + 1]; a piece is tokens[start:end] of the shard.

    starts, ends: int64 [K]; row_splits: int64 [R + 1]; labels: int32 [R], of a pair 1 if its second segment is not the
    one that follows (NSP) or both are swapped (SOP), else 0, and -1 where there is no pair.
    """

    starts: np.ndarray
    ends: np.ndarray
    row_splits: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)


def make_rows(
    shard,
    length: int,
    pairs: str | None = None,
    packing: bool = False,
    seed=0,
    short_seq_prob: float = 0.1,
    documents: np.ndarray | None = None,
) -> Rows:
    """Cuts the documents of a shard into rows of at most `length` ids, special tokens included.

    Without pairs a row takes whole sentences of one document as long as they fit (RoBERTa's DOC-SENTENCES). With them
    it is google-research/bert's procedure: sentences up to a target length, which is shorter with `short_seq_prob`, cut
    in two behind a random one. A sentence that fills a row by itself has no pair in SOP and a random one in NSP.

    Args:
      shard: tfkor.data.Shard.
      length: ids of a row, [CLS] and [SEP] among them.
      pairs: None, "nsp" (Devlin et al. 2019) or "sop" (Lan et al. 2020).
      packing: put rows that are short together into one, without pairs only (Krell et al. 2021).
      seed: int or list of int; the same seed gives the same rows.
      documents: bool [D], the ones to take; None takes all.

    NSP with one document alone has true pairs only.

    Raises:
      ValueError: pairs with packing, or rows too short for anything.
    """
    check_rows(length, pairs, packing)
    random = np.random.default_rng(seed)
    splits, documents_at = shard.sentence_splits, shard.document_splits
    begin, end = documents_at[:-1], documents_at[1:]
    chosen = np.flatnonzero((end > begin) if documents is None else (end > begin) & documents)
    begin, end = begin[chosen], end[chosen]
    if pairs:
        return paired_rows(splits, begin, end, length - 3, pairs, random, short_seq_prob)
    starts, ends = single_rows(splits, begin, end, length - 2)
    group = packed(ends - starts + 2, length) if packing else np.arange(len(starts))
    order = np.argsort(group, kind="stable")
    row_splits = np.append(0, np.cumsum(np.bincount(group)))
    return Rows(starts[order], ends[order], row_splits, np.full(len(row_splits) - 1, NO_PAIR, np.int32))


def check_rows(length, pairs, packing):
    if pairs not in (None, *PAIRS):
        raise ValueError(f"pairs is {pairs!r}; expected one of {PAIRS} or None")
    if pairs and packing:
        raise ValueError(f"packing with pairs={pairs!r}: a packed row has no one pair; expected one of both")
    if length < least_length(pairs):
        beside = f" with pairs={pairs!r}" if pairs else ""
        raise ValueError(f"the length of a row is {length}; expected at least {least_length(pairs)}{beside}")


def least_length(pairs: str | None) -> int:
    """The ids of the shortest rows: [CLS] and [SEP] with a token; [CLS], [SEP] and [SEP] with a token each."""
    return 5 if pairs else 3


def single_rows(splits, begin, end, limit):
    """Token spans of at most `limit`, each of whole sentences of one document where a sentence fits."""
    at, last = splits[begin], splits[end]
    starts, ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    while len(at):
        stop = splits[np.searchsorted(splits, at + limit, "right") - 1]  # the last sentence's end within reach
        stop = np.minimum(np.where(stop > at, stop, at + limit), last)
        starts.append(at)
        ends.append(stop)
        at, last = (x[stop < last] for x in (stop, last))
    return np.concatenate(starts), np.concatenate(ends)


def paired_rows(splits, begin, end, limit, pairs, random, short_seq_prob):
    """create_instances_from_document of google-research/bert and albert, for all documents side by side."""
    first_sentence, last_sentence, document = begin, end, np.arange(len(begin))
    at, stop = begin, end
    out = []
    while len(at):
        target = np.full(len(at), limit)
        short = random.random(len(at)) < short_seq_prob
        target[short] = random.integers(2, limit + 1, len(at))[short]
        until = np.clip(np.searchsorted(splits, splits[at] + target, "left"), at + 1, stop)
        sentences = until - at
        cut = at + 1 + (random.random(len(at)) * (sentences - 1)).astype(np.int64)
        first, second = (splits[at], splits[cut]), (splits[cut], splits[until])
        coin = random.random(len(at)) < 0.5
        if pairs == "nsp" and len(begin) == 1:  # no other document to draw from
            label = np.where(sentences == 1, NO_PAIR, 0)
            following = until
        elif pairs == "nsp":
            label = np.where((sentences == 1) | coin, 1, 0)
            other = (document + random.integers(1, len(begin), len(at))) % len(begin)
            width = last_sentence[other] - first_sentence[other]
            start = first_sentence[other] + (random.random(len(at)) * width).astype(np.int64)
            wanted = splits[start] + np.maximum(target - (first[1] - first[0]), 1)
            there = np.clip(np.searchsorted(splits, wanted, "left"), start + 1, last_sentence[other])
            second = [np.where(label, a, b) for a, b in zip((splits[start], splits[there]), second)]
            following = np.where(label, cut, until)  # sentences that a random pair left unused come next
        else:
            label = np.where(sentences == 1, NO_PAIR, np.where(coin, 1, 0))
            swapped = label == 1
            first, second = (
                [np.where(swapped, b, a) for a, b in zip(first, second)],
                [np.where(swapped, a, b) for a, b in zip(first, second)],
            )
            following = until
        out.append((*truncate_pair(first, second, limit, random), label))
        going_on = following < stop
        at, stop, document = following[going_on], stop[going_on], document[going_on]
    first, second, labels = (np.concatenate(part, axis=-1) for part in zip(*out)) if out else np.zeros((3, 2, 0), int)
    labels = labels.astype(np.int32).reshape(-1)
    # one piece for a row without a pair, else two
    pieces = np.stack([first, second]).transpose(2, 0, 1)  # [R, 2, 2]
    kept = pieces[..., 1] > pieces[..., 0]
    counts = kept.sum(axis=1)
    starts, ends = pieces[kept].T
    return Rows(starts.copy(), ends.copy(), np.append(0, np.cumsum(counts)), labels)


def truncate_pair(first, second, limit, random):
    """Cuts the longer of both until they fit, at its front or its back by a coin for each token, as in BERT."""
    (a, a_end), (b, b_end) = first, second
    lengths = np.stack([a_end - a, b_end - b])
    kept_first = np.minimum(lengths[0], np.maximum((limit + 1) // 2, limit - lengths[1]))
    kept = np.stack([kept_first, np.minimum(lengths[1], limit - kept_first)])
    front = random.binomial(lengths - kept, 0.5)
    starts = np.stack([a, b]) + front
    return np.stack([starts[0], starts[0] + kept[0]]), np.stack([starts[1], starts[1] + kept[1]])


def packed(lengths, length):
    """Puts rows of `lengths` together, none longer than `length`: the longest first, each into the fullest it fits in.

    Returns:
      int64 [R]: which packed row, from 0, each of them stands in.
    """
    group = np.zeros(len(lengths), np.int64)
    rows_with = [np.flatnonzero(lengths == n) for n in range(length + 1)]
    groups_with_space = [[] for _ in range(length + 1)]
    count = 0
    for need in range(length, 0, -1):
        rows = rows_with[need]
        space = need
        while len(rows):
            while space < length and not groups_with_space[space]:
                space += 1
            filled = space < length
            taken = min(len(rows), len(groups_with_space[space]) if filled else -(-len(rows) // (length // need)))
            if filled:
                groups = groups_with_space[space][-taken:]
                del groups_with_space[space][-taken:]
            else:
                groups = list(range(count, count + taken))
                count += taken
            group[rows[:taken]], rows = groups, rows[taken:]
            groups_with_space[space - need].extend(groups)
            space = max(need, space - need)
    return group
