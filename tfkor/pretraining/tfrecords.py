"""Batches from TFRecords of google-research/bert or TF Model Garden, instead of PretrainingBatches."""

import itertools

import numpy as np

from tfkor.data.tfrecord import read_tfrecords, tfrecord_files
from tfkor.pretraining.batches import Recipe
from tfkor.pretraining.objectives import OBJECTIVES
from tfkor.pretraining.randomness import keys

CHUNK = 100_000  # number of examples that are shuffled together


class TFRecordBatches:
    """Batches like those of PretrainingBatches, from examples whose masks and pairs are fixed.

    In each epoch the files are shuffled, and examples within chunks of 100,000. `state` is the position to resume at,
    as in PretrainingBatches; to resume within an epoch, the examples before are read again.

    Args:
      paths: files or glob patterns.
      tokenizer: the Tokenizer whose vocabulary made the ids.
      batch_size: B, the rows of all devices together.
      pairs: None, or "nsp" to train on the pairs, too.
      objective: the name of the objective whose `complete` makes the batches, see Recipe.

    Raises:
      DataError: see `read_tfrecords`.
      ValueError: ids outside the tokenizer's vocabulary, or fewer than B examples.
    """

    def __init__(
        self, paths, tokenizer, batch_size: int, pairs: str | None = None, objective: str = "mlm", seed: int = 0
    ):
        self.files, self.tokenizer, self.batch_size, self.seed = tfrecord_files(paths), tokenizer, batch_size, seed
        first = next(read_tfrecords(self.files[0], 1))
        self.recipe = Recipe(
            length=first["input_word_ids"].shape[1],
            max_predictions=first["masked_lm_positions"].shape[1],
            pairs=pairs,
            objective=objective,
        )
        self.state = {"epoch": 0, "batch": 0}
        self.running = None

    def __iter__(self):
        return self

    def __next__(self):
        epoch, number = self.state["epoch"], self.state["batch"]
        if self.running is None or self.running[0] != (epoch, number):
            self.running = [None, itertools.islice(self.epoch(epoch), number, None)]
        batch = next(self.running[1], None)
        if batch is None:
            if number == 0:
                raise ValueError(f"{self.files[0]} ...: expected at least batch_size={self.batch_size} examples")
            self.state = {"epoch": epoch + 1, "batch": 0}
            return next(self)
        self.state = {"epoch": epoch, "batch": number + 1}
        self.running[0] = (epoch, number + 1)
        return batch

    def epoch(self, epoch):
        """Yields the batches of one epoch; the last examples of a chunk, which don't fill a batch, are left out."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.files))
        chunks = read_tfrecords([self.files[i] for i in order], CHUNK)
        for number, chunk in enumerate(chunks):
            self.check(chunk["input_word_ids"])
            size = len(chunk["input_word_ids"])
            shuffled = np.random.default_rng([self.seed, epoch, number]).permutation(size)
            for start in range(0, size - self.batch_size + 1, self.batch_size):
                rows = shuffled[start : start + self.batch_size]
                yield self.complete({name: values[rows] for name, values in chunk.items()}, keys(epoch, number, rows))

    def check(self, ids):
        if ids.min() < 0 or ids.max() >= self.tokenizer.vocab_size:
            raise ValueError(
                f"{self.files[0]} ...: the id {ids.max()}; expected 0 to {self.tokenizer.vocab_size - 1}, those of the "
                "tokenizer that made the records"
            )

    def complete(self, batch, example):
        """The batch with weights of sum 1, and whatever else the objective needs."""
        batch["pair_labels"] = batch.pop("next_sentence_labels")
        return OBJECTIVES[self.recipe.objective].complete(batch, self.recipe, keys(self.seed, example))
