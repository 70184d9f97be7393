"""Relation extraction: how two entities of a sentence are related (Park et al. 2021, section 3.5)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfkor.data.relations import KLUE_RE_RELATIONS, RelationData, entity_markers
from tfkor.data.text_data import label_array
from tfkor.layers.inputs import Batch, Tensor
from tfkor.metrics import relation_report
from tfkor.models.backbone import Backbone
from tfkor.models.resize import with_symbols
from tfkor.tasks.classifier import TextClassifier
from tfkor.tasks.losses import Loss
from tfkor.tasks.task import Metrics, Task
from tfkor.text import Tokenizer


class RelationExtractor(Task):
    """The relation of two entities of a sentence: a TextClassifier on [CLS], with the entities in markers.

        extractor = RelationExtractor(encoder, tokenizer=tokenizer)
        extractor.fit(read_klue_re("klue-re-v1.1_train.json"), validation=read_klue_re("klue-re-v1.1_dev.json"))
        extractor.predict(read_klue_re("new.json", labelled=False))       # ["per:place_of_residence", ...]

    The markers become symbols of the tokenizer, with embeddings of their own in the encoder. The first of
    `relations` is the one that micro F1 leaves out, no_relation.

    Args:
      encoder: a model of tfkor; copied with more word embeddings for the markers, see `tfkor.zoo.with_symbols`.
      relations: names of the classes.
      dropout: of the vector of [CLS].
      tokenizer: a WordPiece tfkor.text.Tokenizer.
      max_length: tokens of a row; longer sentences are truncated, with a warning in training.
      typed: whether markers have the entities' types, <subj:PER>; those of KLUE-baseline have none, <subj>.
    """

    settings = ("relations", "dropout", "max_length", "typed")
    monitor = "micro_f1"

    def __init__(
        self,
        encoder: Backbone,
        relations: Sequence[str] = KLUE_RE_RELATIONS,
        dropout: float = 0.1,
        *,
        tokenizer: Tokenizer,
        max_length: int = 256,
        typed: bool = True,
    ):
        markers = entity_markers(typed)
        if not set(markers) <= set(tokenizer.user_symbols):
            encoder, tokenizer = with_symbols(encoder, tokenizer, markers)
        super().__init__(encoder, tokenizer, max_length)
        self.relations, self.dropout, self.typed = list(relations), dropout, typed
        options = dict(tokenizer=tokenizer, labels=self.relations, max_length=max_length)
        self.classifier = TextClassifier(encoder, dropout=dropout, **options)
        self.model, self.outputs = self.classifier.model, self.classifier.outputs

    def prepare(self, train: RelationData) -> None:
        self.classifier.check(train.marked())

    def idle_variables(self) -> tuple:
        return ()

    def batches(self, data: RelationData, batch_size: int, max_buckets: int, seed: int) -> Any:
        return self.classifier.batches(data.marked(self.typed), batch_size, max_buckets, seed)

    def loss(self, batch: Batch, loss_function: Loss | None = None) -> tuple[Tensor, Metrics]:
        """The loss of `TextClassifier.loss`."""
        return self.classifier.loss(batch, loss_function)

    def predict_proba(self, data: RelationData, batch_size: int = 64) -> np.ndarray:
        """RelationData -> probabilities float32 [N, C] in the order of `relations`."""
        return self.classifier.predict_proba(data.marked(self.typed).texts, batch_size=batch_size)

    def predict(self, data: RelationData, batch_size: int = 64) -> list[str]:
        """RelationData -> a list of relations."""
        return [self.relations[i] for i in self.predict_proba(data, batch_size).argmax(1)]

    def evaluate(self, data: RelationData) -> Metrics:
        """RelationData -> accuracy, and what `tfkor.metrics.relation_report` has: micro F1, AUPRC."""
        marked = data.marked()
        self.classifier.check(marked)
        truth, probabilities = label_array(marked, self.relations), self.predict_proba(data)
        accuracy = float((probabilities.argmax(1) == truth).mean())
        return {**relation_report(truth, probabilities), "accuracy": accuracy, "examples": len(data)}
