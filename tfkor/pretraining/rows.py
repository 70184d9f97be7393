"""Documents -> rows of limited length: one segment, a pair of segments (NSP, SOP), or several packed documents.

A row consists of spans of its shard's tokens; no tokens are copied until a batch is assembled. All documents of a shard
are processed in parallel in NumPy.
"""

from typing import NamedTuple

import numpy as np

PAIRS = ("nsp", "sop")
NO_PAIR = -1


class Rows(NamedTuple):
    """Row i consists of the pieces row_splits[i] to row_splits[i + 1]; a piece is tokens[start:end] of the shard.

    starts, ends: int64 [K]; row_splits: int64 [R + 1]; labels: int32 [R], of a pair 1 if its second segment is a random
    one (NSP) or the two are swapped (SOP), else 0, and -1 for a row without a pair.
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
    """Cuts the documents of a shard into rows of at most `length` tokens, special tokens included.

    Without pairs a row takes whole sentences of one document while they fit (RoBERTa's DOC-SENTENCES). With pairs the
    procedure is that of google-research/bert: sentences up to a target length, which with probability `short_seq_prob`
    is a shorter one, are split in two after a random sentence. A sentence that fills a row by itself has no pair in SOP
    and a random one in NSP.

    Args:
      shard: a tfkor.data.Shard.
      length: the longest row in tokens, [CLS] and [SEP] included.
      pairs: None, "nsp" (Devlin et al. 2019) or "sop" (Lan et al. 2020).
      packing: sequence packing: join short rows (Krell et al. 2021); only without pairs.
      seed: int or list of int; the same seed gives the same rows.
      documents: bool [D], which documents to use; None uses all.

    NSP with a single document has only true pairs.

    Raises:
      ValueError: unknown pairs, pairs with packing, or rows that are too short.
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
        raise ValueError(f"packing with pairs={pairs!r}; expected one of both, since a packed row has no single pair")
    if length < least_length(pairs):
        context = f" with pairs={pairs!r}" if pairs else ""
        raise ValueError(f"the length of a row is {length}; expected at least {least_length(pairs)}{context}")


def least_length(pairs: str | None) -> int:
    """The length of the shortest rows: [CLS] token [SEP], or with pairs [CLS] token [SEP] token [SEP]."""
    return 5 if pairs else 3


def single_rows(splits, begin, end, limit):
    """Spans of at most `limit` tokens, of whole sentences of one document; longer sentences are cut."""
    at, last = splits[begin], splits[end]
    starts, ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    while len(at):
        stop = splits[np.searchsorted(splits, at + limit, "right") - 1]  # the last end of a sentence within the limit
        stop = np.minimum(np.where(stop > at, stop, at + limit), last)
        starts.append(at)
        ends.append(stop)
        at, last = (x[stop < last] for x in (stop, last))
    return np.concatenate(starts), np.concatenate(ends)


def paired_rows(splits, begin, end, limit, pairs, random, short_seq_prob):
    """create_instances_from_document of google-research/bert and albert, for all documents in parallel."""
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
            following = np.where(label, cut, until)  # the sentences that a random pair replaced come next
        else:
            label = np.where(sentences == 1, NO_PAIR, np.where(coin, 1, 0))
            swapped = label == 1
            first, second = (
                [np.where(swapped, b, a) for a, b in zip(first, second)],
                [np.where(swapped, a, b) for a, b in zip(first, second)],
            )
            following = until
        out.append((*truncate_pair(first, second, limit, random), label))
        unfinished = following < stop
        at, stop, document = following[unfinished], stop[unfinished], document[unfinished]
    first, second, labels = (np.concatenate(part, axis=-1) for part in zip(*out)) if out else np.zeros((3, 2, 0), int)
    labels = labels.astype(np.int32).reshape(-1)
    # one piece for a row without a pair, else two
    pieces = np.stack([first, second]).transpose(2, 0, 1)  # [R, 2, 2]
    kept = pieces[..., 1] > pieces[..., 0]
    counts = kept.sum(axis=1)
    starts, ends = pieces[kept].T
    return Rows(starts.copy(), ends.copy(), np.append(0, np.cumsum(counts)), labels)


def truncate_pair(first, second, limit, random):
    """Truncates the longer one until both fit; each token goes from the front or the back at random, as in BERT."""
    (a, a_end), (b, b_end) = first, second
    lengths = np.stack([a_end - a, b_end - b])
    kept_first = np.minimum(lengths[0], np.maximum((limit + 1) // 2, limit - lengths[1]))
    kept = np.stack([kept_first, np.minimum(lengths[1], limit - kept_first)])
    front = random.binomial(lengths - kept, 0.5)
    starts = np.stack([a, b]) + front
    return np.stack([starts[0], starts[0] + kept[0]]), np.stack([starts[1], starts[1] + kept[1]])


def packed(lengths, length):
    """Packs rows of `lengths` into rows of at most `length`, by best fit: the longest first, each into the fullest row.

    Returns:
      int64 [R]: the number of the packed row, from 0, that each row is part of.
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
