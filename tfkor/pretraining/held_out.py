"""The batches of an evaluation, from the documents that were held out."""

import numpy as np

from tfkor.data.shards import Shard, join_shards
from tfkor.pretraining.batches import GroupRows, PretrainingBatches
from tfkor.text.ragged import spans


def held_out_batches(batches: PretrainingBatches, count: int) -> list[dict]:
    """Returns up to `count` batches, always the same ones, from the held-out documents of as many shards as needed.

    Documents that don't fill one batch give a smaller one; without any rows the list is empty. Rows are made from the
    documents of all these shards together, so that NSP has other documents to draw from.

    Args:
      batches: PretrainingBatches with part="held_out"; its `state` does not change.
    """
    shards, tokens = [], 0
    for number in np.random.default_rng([batches.seed, 0, 1]).permutation(len(batches.shards)):
        for _, shard, documents in batches.parts([number]):
            shards.append(documents_of(shard, documents))
            tokens += len(shards[-1].tokens)
        if tokens >= count * batches.batch_size * batches.recipe.length:  # enough, as no row holds more
            break
    shard = join_shards(shards)
    rows = GroupRows.of([(0, shard, batches.rows_of(shard, 0, 0))])
    rows.order = np.random.default_rng([batches.seed, 0, 2, 0]).permutation(len(rows))
    size = min(batches.batch_size, len(rows))
    count = min(count, len(rows) // size) if size else 0
    return [batches.assemble(rows, slice(i * size, (i + 1) * size), 0) for i in range(count)]


def little_text(batches: PretrainingBatches, drawn: list[dict]) -> str | None:
    """A warning if `held_out_batches` gave less than one full batch, else None."""
    rows = len(drawn[0]["input_mask"]) if drawn else 0
    if rows >= batches.batch_size:
        return None
    documents = batches.shards.manifest["documents"]
    return (
        f"held_out={batches.held_out} of {documents:,} documents gives {rows} rows of {batches.recipe.length} ids: "
        + ("evaluations use these" if rows else "nothing is evaluated; expected a larger fraction, or 0")
    )


def documents_of(shard, chosen):
    """A Shard of only the documents `chosen`, bool [D]."""
    begin, end = shard.document_splits[:-1][chosen], shard.document_splits[1:][chosen]
    sentences = spans(begin, end - begin)
    starts = shard.sentence_splits[sentences]
    lengths = shard.sentence_splits[sentences + 1] - starts
    tokens = spans(starts, lengths)
    splits = [np.append(0, np.cumsum(counts)) for counts in (lengths, end - begin)]
    return Shard(shard.tokens[tokens], shard.eojeol_starts[tokens], *splits)
