"""Tagging of characters or words: named entities, parts of speech (Devlin et al. 2019, section 5.3)."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfkor.data import Batches
from tfkor.data.tagging import KLUE_NER_LABELS, TaggedData, characters_of, words_of
from tfkor.layers.inputs import Batch, Tensor
from tfkor.metrics import entities_of, entity_report, klue_ner_report
from tfkor.models.backbone import Backbone
from tfkor.tasks.batches import bucketed, prediction_batches
from tfkor.tasks.heads import TaskModel
from tfkor.tasks.losses import Loss, weighted_mean
from tfkor.tasks.task import Metrics, Task
from tfkor.tasks.windows import Window, best_windows, windows_of
from tfkor.text import Ragged, Tokenizer
from tfkor.text.ragged import ragged

UNITS = {"character": characters_of, "word": words_of}


@keras.saving.register_keras_serializable("tfkor")
class TaggingModel(TaskModel):
    """A batch of the three inputs, int [B, S] -> logits float32 [B, S, C]: dropout and a dense layer on each token."""

    def __init__(self, encoder: Backbone, num_labels: int, dropout: float = 0.1, **kwargs):
        super().__init__(encoder, **kwargs)
        self.dropout = keras.layers.Dropout(dropout)
        self.dense = keras.layers.Dense(num_labels, dtype="float32", name="logits")
        self.dense.build((None, None, encoder.config.hidden_size))
        self.built = True

    def call(self, inputs: Batch | list[Tensor], training: bool = False) -> Tensor:
        x = self.sequence_output(inputs, training)  # [B, S, H]
        return self.dense(self.dropout(x, training=training))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_labels": self.dense.units, "dropout": self.dropout.rate}


class TokenTagger(Task):
    """A tag for each character or each word of a text.

        tagger = TokenTagger(encoder, tokenizer=tokenizer)
        tagger.fit(read_klue_ner("klue-ner-v1.1_train.tsv"), validation=read_klue_ner("klue-ner-v1.1_dev.tsv"))
        tagger.entities(["이순신 장군은 서울에서 태어났다."])         # [[("PS", "이순신", 0, 3), ...]]

    In training the piece that begins a character or word has its tag, the other pieces of a word have none. In
    prediction a character inside a piece has the piece's tag, I- where that is B-. Longer texts are split into windows
    that overlap, and each piece is tagged in the window where it has the most context.

    Args:
      encoder: a model of tfkor.
      labels: the tags; None takes those that `fit` sees.
      dropout: of the tokens' vectors.
      tokenizer: a tfkor.text.Tokenizer.
      max_length: tokens of a row, [CLS] and [SEP] among them.
      unit: "character" or "word", what `predict` tags; `fit` sets it.
      suffix: whether tags are PS-B, not B-PS; `fit` sets it.
    """

    settings = ("labels", "dropout", "max_length", "unit", "suffix")

    def __init__(
        self,
        encoder: Backbone,
        labels: Sequence[str] | None = None,
        dropout: float = 0.1,
        *,
        tokenizer: Tokenizer,
        max_length: int = 128,
        unit: str = "character",
        suffix: bool = False,
    ):
        super().__init__(encoder, tokenizer, max_length)
        if unit not in UNITS:
            raise ValueError(f"unit is {unit!r}; expected one of {list(UNITS)}")
        self.labels = None if labels is None else list(labels)
        self.dropout, self.unit, self.suffix = dropout, unit, suffix
        if labels:
            self.build()

    def build(self) -> None:
        """Makes `model`, with an output for each of the labels."""
        self.set_model(TaggingModel(self.encoder, len(self.labels), self.dropout))

    @property
    def monitor(self) -> str:
        """The metric that chooses the best epoch."""
        return "f1" if self.are_entities() else "accuracy"

    def prepare(self, train: TaggedData) -> None:
        """Takes the tags, and the unit and form of them, from the training data."""
        seen = {tag for tags in train.tags for tag in tags}
        if self.labels is None:
            self.labels = list(KLUE_NER_LABELS) if seen <= set(KLUE_NER_LABELS) else sorted(seen)
        if unknown := sorted(seen - set(self.labels)):
            raise ValueError(f"{train.name}: the tag {unknown[0]!r}; expected one of {self.labels}")
        self.suffix = all(label == "O" or label[-2:] in ("-B", "-I") for label in self.labels)
        by_words = sum(units == words_of(text) for text, units in zip(train.texts, train.units))
        self.unit = "word" if 2 * by_words > len(train) else "character"
        if self.model is None:
            self.build()

    def are_entities(self) -> bool:
        """Whether the tags are those of entities: O, B- and I-."""
        ends = ("-B", "-I") if self.suffix else ("B-", "I-")
        return all(tag == "O" or (tag[-2:] if self.suffix else tag[:2]) in ends for tag in self.labels or ())

    def pieces(self, texts: Sequence[str]) -> list:
        """For each text its ids, and the (begin, end) offsets of each."""
        return self.tokenizer.all_offsets(texts)

    def rows(self, pieces: Sequence, stride: int | None = None) -> tuple[list[Window], Ragged]:
        """Windows, and Ragged ids of their rows [CLS] ... [SEP]."""
        capacity = self.max_length - 2
        windows = windows_of([len(ids) for ids, _ in pieces], capacity, stride or max(1, capacity // 2))
        tok = self.tokenizer
        return windows, ragged([[tok.cls_id, *pieces[w.row][0][w.begin : w.end], tok.sep_id] for w in windows])

    def batches(self, data: TaggedData, batch_size: int, max_buckets: int, seed: int) -> Batches:
        pieces = self.pieces(data.texts)
        number = {label: i + 1 for i, label in enumerate(self.labels)}  # 0: ignored
        tags = []
        for (_, spans), units, row in zip(pieces, data.units, data.tags):
            at = {begin: number[tag] for (begin, _), tag in zip(units, row)}
            tags.append([at.get(begin, 0) for begin, _ in spans])
        windows, ids = self.rows(pieces, stride=self.max_length - 2)  # each piece once
        targets = ragged([[0, *tags[w.row][w.begin : w.end], 0] for w in windows])
        options = dict(batch_size=batch_size, max_buckets=max_buckets, seed=seed)
        return bucketed(ids, None, {"tags": targets}, **options)

    def loss(self, batch: Batch, loss_function: Loss | None = None) -> tuple[Tensor, Metrics]:
        """The mean loss of the pieces that have a tag."""
        logits = self.model(batch, training=True)  # [B, S, C]
        tags = ops.cast(batch["tags"], "int32")  # [B, S], 0 for none
        losses = (loss_function or self.loss_function)(ops.maximum(tags - 1, 0), logits)
        weights = ops.cast(tags > 0, "float32") * batch["sample_weight"][:, None]
        return weighted_mean(losses, weights, least=1.0), {}

    def piece_labels(self, pieces: Sequence, batch_size: int = 64) -> list[np.ndarray]:
        """The likeliest label id of each piece of each text, where it has the most context."""
        windows, ids = self.rows(pieces)
        lengths = [len(row) for row, _ in pieces]
        found = [None] * len(windows)
        options = dict(batch_size=batch_size, max_length=self.max_length)
        for rows, batch in prediction_batches(ids, **options):
            likeliest = np.asarray(self.outputs(batch)).argmax(-1)
            for row, labels in zip(rows, likeliest):
                found[row] = labels[1 : 1 + windows[row].end - windows[row].begin]
        best = best_windows(windows, lengths)
        out = [np.zeros(length, np.int64) for length in lengths]
        for number, window in enumerate(windows):
            inside = np.flatnonzero(best[window.row][window.begin : window.end] == number)
            out[window.row][window.begin + inside] = found[number][inside]
        return out

    def predict(
        self, texts: Sequence[str], units: Sequence | None = None, batch_size: int = 64
    ) -> list[list[str]]:
        """Texts -> for each a list with the tag of each unit; by default its characters but blanks, or its words."""
        if self.model is None:
            raise ValueError("the tagger has no head yet: call fit, or give labels")
        units = [UNITS[self.unit](text) for text in texts] if units is None else units
        if not texts:
            return []
        pieces = self.pieces(texts)
        labels = self.piece_labels(pieces, batch_size)
        return [self.of_units(row, *each) for row, each in zip(units, zip(pieces, labels))]

    def of_units(self, units: Sequence, pieces: tuple, labels: np.ndarray) -> list[str]:
        """The tag of each unit: that of the piece over its first character, as I- where the piece began before it."""
        starts = {}  # character -> (label, whether the piece begins here)
        for (begin, end), label in zip(pieces[1], labels):
            for i in range(begin, end):
                starts.setdefault(i, (self.labels[label], i == begin))
        tags = []
        for begin, end in units:
            label, first = next((starts[i] for i in range(begin, end) if i in starts), ("O", True))
            tags.append(label if first else self.inside(label))
        return tags

    def inside(self, label: str) -> str:
        """B-PS -> I-PS, and PS-B -> PS-I."""
        changed = f"{label[:-1]}I" if self.suffix else f"I{label[1:]}"
        return changed if label != "O" and changed in self.labels else label

    def entities(self, texts: Sequence[str], batch_size: int = 64) -> list[list[tuple[str, str, int, int]]]:
        """Texts -> for each a list of (type, its characters, begin, end), end is exclusive."""
        out = []
        units = [UNITS[self.unit](text) for text in texts]
        for text, row, tags in zip(texts, units, self.predict(texts, units, batch_size)):
            spans = [(kind, row[first][0], row[last][1]) for kind, first, last in entities_of(tags, suffix=self.suffix)]
            out.append([(kind, text[begin:end], begin, end) for kind, begin, end in spans])
        return out

    def evaluate(self, data: TaggedData) -> Metrics:
        """TaggedData -> accuracy; of entities precision, recall and F1, as seqeval; for KLUE-NER its own metrics."""
        found = self.predict(data.texts, data.units)
        right = [a == b for pair in zip(data.tags, found) for a, b in zip(*pair)]
        report = {"accuracy": float(np.mean(right)), "examples": len(data)}
        if self.are_entities():
            report |= entity_report(data.tags, found, suffix=self.suffix)
        if set(self.labels) == set(KLUE_NER_LABELS):
            ids = {label: i for i, label in enumerate(KLUE_NER_LABELS)}
            flat = [[ids[tag] for tags in rows for tag in ("O", *tags, "O")] for rows in (data.tags, found)]
            report |= klue_ner_report(*flat, KLUE_NER_LABELS)
        return report


def tagged(texts: Sequence[str], tags: list, unit: str = "character") -> TaggedData:
    """Texts and the tags of their characters (blanks left out) or words, as TaggedData."""
    return TaggedData(list(texts), [UNITS[unit](text) for text in texts], tags)
