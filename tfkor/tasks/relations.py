"""Relation extraction: how two entities of a sentence are related (Park et al. 2021, section 3.5)."""

from tfkor.data.relations import KLUE_RE_RELATIONS, entity_markers
from tfkor.data.text_data import label_array
from tfkor.metrics import relation_report
from tfkor.models.resize import with_symbols
from tfkor.tasks.batches import training_batches
from tfkor.tasks.classifier import TextClassifier
from tfkor.tasks.task import Task


class RelationExtractor(Task):
    """The relation of two entities of a sentence: a TextClassifier on [CLS], with the entities in markers.

        extractor = RelationExtractor(encoder, tokenizer=tokenizer)
        extractor.fit(read_klue_re("klue-re-v1.1_train.json"), validation=read_klue_re("klue-re-v1.1_dev.json"))
        extractor.predict(read_klue_re("new.json", labelled=False))       # ["per:place_of_residence", ...]

    The markers become symbols of the tokenizer, with vectors of their own in the encoder. The first of `relations` is
    the one that micro F1 leaves out, no_relation.

    Args:
      encoder: a model of tfkor; one with more word vectors takes its place, see `tfkor.zoo.with_symbols`.
      relations: names of the classes.
      dropout: of the vector of [CLS].
      tokenizer: a WordPiece tfkor.text.Tokenizer.
      max_length: tokens of a row; longer sentences are cut, with a warning in training.
      typed: whether markers have the entities' types, <subj:PER>; those of KLUE-baseline have none, <subj>.
    """

    settings = ("relations", "dropout", "max_length", "typed")
    monitor = "micro_f1"
    label_smoothing = 0.0

    def __init__(self, encoder, relations=KLUE_RE_RELATIONS, dropout=0.1, *, tokenizer, max_length=256, typed=True):
        markers = entity_markers(typed)
        if not set(markers) <= set(tokenizer.user_symbols):
            encoder, tokenizer = with_symbols(encoder, tokenizer, markers)
        self.encoder, self.tokenizer, self.typed = encoder, tokenizer, typed
        self.relations, self.dropout, self.max_length = list(relations), dropout, max_length
        options = dict(tokenizer=tokenizer, labels=self.relations, max_length=max_length)
        self.classifier = TextClassifier(encoder, dropout=dropout, **options)
        self.model = self.classifier.model

    def fit(self, train, validation=None, *, label_smoothing=0.0, **options):
        """As `Task.fit`; `label_smoothing` is the share of a relation that is spread over all (Szegedy et al. 2016)."""
        self.label_smoothing = label_smoothing
        return super().fit(train, validation, **options)

    def prepare(self, train):
        self.classifier.check(train.marked())

    def idle_variables(self):
        return ()

    def batches(self, data, batch_size, max_buckets, seed):
        data = data.marked(self.typed)
        return training_batches(self.classifier, data, batch_size=batch_size, max_buckets=max_buckets, seed=seed)

    def loss(self, batch):
        return self.classifier.loss(batch, smoothing=self.label_smoothing)

    def predict_proba(self, data):
        """RelationData -> probabilities float32 [N, C] in the order of `relations`."""
        return self.classifier.predict_proba(data.marked(self.typed).texts)

    def predict(self, data):
        """RelationData -> a list of relations."""
        return [self.relations[i] for i in self.predict_proba(data).argmax(1)]

    def evaluate(self, data):
        """RelationData -> accuracy, and what `tfkor.metrics.relation_report` has: micro F1, AUPRC."""
        marked = data.marked()
        self.classifier.check(marked)
        truth, probabilities = label_array(marked, self.relations), self.predict_proba(data)
        accuracy = float((probabilities.argmax(1) == truth).mean())
        return {**relation_report(truth, probabilities), "accuracy": accuracy, "examples": len(data)}
