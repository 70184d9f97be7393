"""Shards -> the batches of a pretraining, in an order that a resumed run continues."""

import queue
import threading
from dataclasses import dataclass, field

import numpy as np

from tfkor.data.shards import join_shards
from tfkor.pretraining.masking import Examples, Masking, Vocabulary
from tfkor.pretraining.objectives import OBJECTIVES
from tfkor.pretraining.randomness import keys, uniforms
from tfkor.pretraining.rows import Rows, check_rows, make_rows
from tfkor.text.ragged import spans

HELD_OUT = 23  # stream of random numbers for the choice of held-out documents


@dataclass(frozen=True)
class Recipe:
    """How rows become examples.

    Args:
      length: S, the length of a row in tokens.
      max_predictions: P, the positions to predict per row; None takes `masking.rate` of S.
      pairs, packing, short_seq_prob: see `make_rows`.
      masking: a Masking.
      static_masks: use the same rows and masks in each epoch, for comparison (RoBERTa, section 4.1).
      objective: a name in `tfkor.pretraining.objectives.OBJECTIVES`, whose `collate` makes the batches.

    Raises:
      ValueError: an unknown objective, pairs with packing, rows that are too short, or a number out of its bounds.
    """

    length: int = 128
    max_predictions: int | None = None
    pairs: str | None = None
    packing: bool = False
    short_seq_prob: float = 0.1
    masking: Masking = field(default_factory=Masking)
    static_masks: bool = False
    objective: str = "mlm"

    def __post_init__(self):
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective is {self.objective!r}; expected one of {list(OBJECTIVES)}")
        check_rows(self.length, self.pairs, self.packing)
        if self.max_predictions is not None and not 1 <= self.max_predictions <= self.length:
            raise ValueError(f"max_predictions is {self.max_predictions}; expected 1 to the length, {self.length}")
        if not 0 <= self.short_seq_prob <= 1:
            raise ValueError(f"short_seq_prob is {self.short_seq_prob}; expected a probability")

    @property
    def predictions(self) -> int:
        """P, the positions to predict per row."""
        return self.max_predictions or self.masking.predictions(self.length)


class PretrainingBatches:
    """Endless batches, the same ones for the same seed: dicts of arrays of B rows with S tokens and P predictions.

    input_word_ids, input_mask, segment_ids int32 [B, S]; masked_lm_positions, masked_lm_ids int32 [B, P];
    masked_lm_weights float32 [B, P] with sum 1, so that the loss of a batch is the sum of the losses of its parts, on
    whatever device they are computed. With pairs: pair_labels int32 [B] and pair_weights float32 [B] with sum 1. With
    packing: input_mask numbers the documents of a row from 1, and positions int32 [B, S] start at 0 in each. The
    recipe's objective may add more.

    `state` is the position after the last batch; assign it to resume there. Rows are shuffled within groups of `group`
    shards. The rows of a group that don't fill a batch are left out, different ones in each epoch.

    Args:
      shards: tfkor.data.ShardFolder.
      recipe: a Recipe.
      batch_size: B, the rows of all devices together.
      held_out: fraction of the documents that is kept for evaluation.
      part: "train" or "held_out", the documents that these batches are made of.
      on_damage: "stop" at a shard that can't be read, or "skip" it with a warning.

    With NSP a shard of fewer than two documents is joined with a neighbour.

    Raises:
      ValueError: an epoch doesn't fill one batch, or NSP with a single document.
    """

    def __init__(
        self,
        shards,
        recipe: Recipe,
        batch_size: int,
        seed: int = 0,
        held_out: float = 0.0,
        part: str = "train",
        group: int = 8,
        on_damage: str = "stop",
    ):
        self.shards, self.recipe, self.batch_size, self.seed = shards, recipe, batch_size, seed
        self.held_out, self.part, self.group, self.on_damage = held_out, part, group, on_damage
        if recipe.pairs == "nsp" and (found := shards.manifest["documents"]) < 2:
            raise ValueError(
                f"{shards.folder}: nsp draws its wrong pairs from other documents, but there is {found}; expected two "
                "or more, separated by blank lines in the corpus, or no pairs"
            )
        self.tokenizer, self.vocabulary = shards.tokenizer, Vocabulary.of(shards.tokenizer)
        self.state = {"epoch": 0, "group": 0, "batch": 0}
        self.loaded = None

    def __iter__(self):
        return self

    def __next__(self):
        epoch, group, batch = (self.state[name] for name in ("epoch", "group", "batch"))
        first = (epoch, group, batch)
        while True:
            rows = self.load(epoch, group)
            if (batch + 1) * self.batch_size <= len(rows):
                break
            group, batch = group + 1, 0
            if group * self.group >= len(self.shards):
                epoch, group = epoch + 1, 0
            if epoch > first[0] + 1:
                raise ValueError(
                    f"{self.shards.folder}: an epoch has fewer rows of {self.recipe.length} ids than batch_size, "
                    f"{self.batch_size}; expected more text, or a smaller batch"
                )
        self.state = {"epoch": epoch, "group": group, "batch": batch + 1}
        return self.assemble(rows, slice(batch * self.batch_size, (batch + 1) * self.batch_size), epoch)

    def load(self, epoch, group):
        """The shuffled rows of a group of shards; those of the last call are cached."""
        drawn = 0 if self.recipe.static_masks else epoch
        if self.loaded and self.loaded[0] == (epoch, group):
            return self.loaded[1]
        order = np.random.default_rng([self.seed, epoch, 1]).permutation(len(self.shards))
        parts = self.parts(sorted(order[group * self.group : (group + 1) * self.group]))
        if self.recipe.pairs == "nsp":
            parts = with_two_documents(parts)
        rows = GroupRows.of([(i, shard, self.rows_of(shard, drawn, i, documents)) for i, shard, documents in parts])
        rows.order = np.random.default_rng([self.seed, epoch, 2, group]).permutation(len(rows))
        self.loaded = (epoch, group), rows
        return rows

    def parts(self, numbers):
        """(number, Shard, bool [D]: which of its documents are in this part) of the shards that can be read."""
        read = ((int(i), self.read(int(i))) for i in numbers)
        return [(i, shard, self.documents(i, len(shard.document_splits) - 1)) for i, shard in read if shard is not None]

    def rows_of(self, shard, epoch, number, documents=None):
        recipe, seed = self.recipe, [self.seed, epoch, number]
        return make_rows(shard, recipe.length, recipe.pairs, recipe.packing, seed, recipe.short_seq_prob, documents)

    def read(self, i):
        try:
            return self.shards.read(i)
        except (ValueError, OSError) as error:
            if self.on_damage != "skip":
                raise
            from absl import logging

            logging.warning("%s; it is skipped", error)
            return None

    def documents(self, shard, number):
        """bool [D]: which documents of a shard belong to this part."""
        if not self.held_out:
            return np.ones(number, bool)
        held_out = uniforms(keys(HELD_OUT, shard, np.arange(number)), 0, 1)[:, 0] < self.held_out
        return held_out if self.part == "held_out" else ~held_out

    def assemble(self, rows, chosen, epoch):
        """The batch of the rows `chosen`, a slice of GroupRows."""
        recipe, index = self.recipe, rows.order[chosen]
        example = keys(self.seed, 0 if recipe.static_masks else epoch, rows.shard[index], rows.number[index])
        batch = lay_out(rows, index, recipe.length, self.tokenizer, recipe.packing)
        eojeol_starts, special = batch.pop("eojeol_starts"), batch.pop("special")
        examples = Examples(batch, ~special, eojeol_starts, rows.labels[index], example)
        return OBJECTIVES[recipe.objective].collate(examples, recipe, self.vocabulary)


def with_two_documents(parts):
    """`parts` of PretrainingBatches, joined until each has two chosen documents, if there are so many."""
    out = []
    for part in parts:
        if out and min(out[-1][2].sum(), part[2].sum()) < 2:
            number, shard, documents = out.pop()
            part = number, join_shards([shard, part[1]]), np.concatenate([documents, part[2]])
        out.append(part)
    return out


class GroupRows:
    """The rows of several shards together; `shard` and `number`, int [R], are a row's shard and its number there."""

    def __init__(self, tokens, eojeol_starts, rows, shard, number):
        self.tokens, self.eojeol_starts = tokens, eojeol_starts
        self.starts, self.ends, self.row_splits, self.labels = rows
        self.shard, self.number, self.order = shard, number, None

    def __len__(self):
        return len(self.labels)

    @classmethod
    def of(cls, parts):
        """From a list of (shard number, Shard, Rows)."""
        if not parts:
            empty = np.zeros(0, np.int64)
            return cls(empty, empty, Rows(empty, empty, np.zeros(1, np.int64), empty), empty, empty)
        shift = np.cumsum([0, *(len(shard.tokens) for _, shard, _ in parts)])
        pieces = np.cumsum([0, *(len(rows.starts) for _, _, rows in parts)])
        rows = Rows(
            np.concatenate([rows.starts + s for s, (_, _, rows) in zip(shift, parts)]),
            np.concatenate([rows.ends + s for s, (_, _, rows) in zip(shift, parts)]),
            np.concatenate([[0], *(rows.row_splits[1:] + p for p, (_, _, rows) in zip(pieces, parts))]),
            np.concatenate([rows.labels for _, _, rows in parts]),
        )
        return cls(
            np.concatenate([shard.tokens for _, shard, _ in parts]),
            np.concatenate([shard.eojeol_starts for _, shard, _ in parts]),
            rows,
            np.concatenate([np.full(len(rows), i) for i, _, rows in parts]),
            np.concatenate([np.arange(len(rows)) for _, _, rows in parts]),
        )


def lay_out(rows, index, length, tokenizer, packing):
    """Builds [CLS] first [SEP] second [SEP] for each row, or [CLS] document [SEP] for each document of a packed row.

    Returns:
      dict of [B, S]: input_word_ids, input_mask, segment_ids int32, eojeol_starts and special bool, and positions
      int32 for packed rows.
    """
    counts = np.diff(rows.row_splits)[index]
    piece = spans(rows.row_splits[index], counts)
    row = np.repeat(np.arange(len(index)), counts)
    first_of_row = np.cumsum(counts) - counts
    number = np.arange(len(piece)) - np.repeat(first_of_row, counts)  # 0, 1, ... within the row
    starts, lengths = rows.starts[piece], rows.ends[piece] - rows.starts[piece]
    has_cls = np.ones(len(piece), bool) if packing else number == 0
    widths = lengths + has_cls + 1
    begin = np.cumsum(widths) - widths
    begin = begin - np.repeat(begin[first_of_row], counts)  # the column where the piece begins

    shape = (len(index), length)
    word_ids = np.full(shape, tokenizer.pad_id, np.int32)
    eojeol_starts, special = np.zeros(shape, bool), np.ones(shape, bool)
    flat = row * length + begin  # positions in the flattened batch
    source, target = spans(starts, lengths), spans(flat + has_cls, lengths)
    word_ids.ravel()[target] = rows.tokens[source]
    eojeol_starts.ravel()[target] = rows.eojeol_starts[source]
    special.ravel()[target] = False
    word_ids.ravel()[flat[has_cls]] = tokenizer.cls_id
    word_ids.ravel()[flat + widths - 1] = tokenizer.sep_id

    def filled(values):
        out = np.zeros(shape, np.int32)
        out.ravel()[spans(flat, widths)] = values
        return out

    batch = {
        "input_word_ids": word_ids,
        "input_mask": filled(np.repeat(number + 1 if packing else np.ones_like(number), widths)),
        "segment_ids": filled(np.repeat(np.zeros_like(number) if packing else number, widths)),
        "eojeol_starts": eojeol_starts,
        "special": special,
    }
    if packing:
        batch["positions"] = filled(spans(np.zeros_like(widths), widths))
    return batch


class Prefetch:
    """Draws batches ahead in a thread; `state` is that of `batches` after the last batch that was taken."""

    def __init__(self, batches, depth=4):
        self.batches, self.queue, self.stopped = batches, queue.Queue(depth), threading.Event()
        self.state = dict(batches.state)
        self.thread = threading.Thread(target=self.draw, daemon=True)
        self.thread.start()

    def draw(self):
        try:
            for batch in self.batches:
                if not self.put((batch, dict(self.batches.state))):
                    return
            self.put(None)
        except BaseException as error:  # raised where the batch is waited for
            self.put(error)

    def put(self, item):
        while not self.stopped.is_set():
            try:
                self.queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                pass
        return False

    def __iter__(self):
        while (item := self.queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            batch, self.state = item
            yield batch

    def close(self):
        self.stopped.set()
        self.thread.join()
