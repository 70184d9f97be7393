"""Classification and regression of one text or a pair of texts, on any encoder (Devlin et al. 2019, section 4.1)."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfkor import data as tfkor_data
from tfkor.data import TextData
from tfkor.layers.inputs import Batch, Tensor
from tfkor.layers.pooling import Pooling, get_pooling
from tfkor.metrics import classification as metrics
from tfkor.models.backbone import Backbone
from tfkor.models.lora import lora_layers
from tfkor.tasks.batches import prediction_batches, training_batches
from tfkor.tasks.distillation import Distillation
from tfkor.tasks.heads import ClassificationModel
from tfkor.tasks.losses import LOSSES, CrossEntropy, Loss, weighted_mean
from tfkor.tasks.task import Metrics, Task, buckets_of
from tfkor.text import Ragged, Tokenizer

LABEL_TYPES = {"softmax": "class", "sigmoid": "multi_label", "linear": "regression"}
COLUMNS = ("text_column", "label_column", "pair_column")  # of a DataFrame
MONITORS = {"softmax": "accuracy", "sigmoid": "micro_f1", "linear": "spearman"}


class TextClassifier(Task):
    """Dropout and a dense layer on the pooled output of an encoder, with raw text in and label names out.

        classifier = TextClassifier(encoder, num_classes=176, dropout=0.2, tokenizer=tokenizer)
        classifier.fit(texts, labels, validation=(dev_texts, dev_labels))
        classifier.predict(["내 통장에 얼마 있어?"])          # ["bank.balance_check"]
        classifier.save("runs/intents")

    Args:
      encoder: a model of tfkor; three int inputs [B, S] -> (pooled_output [B, H], sequence_output [B, S, H]).
      num_classes: outputs C of the dense layer; None takes it from `labels` or from the labels that `fit` sees.
      dropout: rate of the dropout on the pooled output, in training.
      pooling: "first" for the pooled output of the encoder, as BERT has it; "max" or "mean" of the sequence output over
        the tokens, which learn faster where the encoder is not pretrained, and leave its pooler as it was. Or an object
        of `tfkor.layers.pooling`.
      activation: "softmax" for one of C classes, "sigmoid" for any number of them, "linear" for a number (C = 1).
      tokenizer: a tfkor.text.Tokenizer; every method that takes texts needs it.
      labels: names of the classes; None takes those that `fit` sees.
      max_length: tokens of a row, [CLS] and [SEP] among them; longer texts are truncated, with a warning in training.
      pair: True where each row has a second text; `fit` sets it.
      none_threshold: a text whose likeliest label has a lower probability is none of these; `calibrate` sets it.

    `model`, a `tfkor.tasks.heads.ClassificationModel`, goes from the three inputs to logits float32 [B, C].
    """

    settings = ("num_classes", "dropout", "activation", "labels", "max_length", "none_threshold")

    def __init__(
        self,
        encoder: Backbone,
        num_classes: int | None = None,
        dropout: float = 0.2,
        *,
        pooling: str | Pooling = "first",
        activation: str = "softmax",
        tokenizer: Tokenizer | None = None,
        labels: Sequence[str] | None = None,
        max_length: int = 128,
        pair: bool = False,
        none_threshold: float | None = None,
    ):
        if activation not in LABEL_TYPES:
            raise ValueError(f"activation is {activation!r}; expected one of {list(LABEL_TYPES)}")
        if labels is not None and num_classes not in (None, len(labels)):
            raise ValueError(
                f"num_classes is {num_classes}, and there are {len(labels)} labels; expected the same number"
            )
        super().__init__(encoder, tokenizer, max_length)
        self.activation, self.loss_function = activation, LOSSES[activation]()
        self.dropout, self.pooling = dropout, get_pooling(pooling)
        self.labels = None if labels is None else list(labels)
        self.is_pair, self.none_threshold = pair, none_threshold
        if activation == "linear":
            num_classes = 1
        if num_classes or labels:
            self.build(num_classes or len(labels))

    def build(self, num_classes: int) -> None:
        """Makes `model`, whose head has `num_classes` outputs."""
        model = ClassificationModel(self.encoder, num_classes, self.dropout, self.pooling, name="text_classifier")
        if model.reads_pooler and lora_layers(self.encoder):
            self.encoder.pooler.trainable = True  # a part of the head, and random in many a checkpoint
        self.set_model(model, lambda batch: self.activate(self.logits(batch)))

    @property
    def num_classes(self) -> int | None:
        return None if self.model is None else self.model.head.units

    @property
    def label_type(self) -> str:
        """What a label is: "class" (a name), "multi_label" (a tuple of names) or "regression" (a number)."""
        return LABEL_TYPES[self.activation]

    @property
    def monitor(self) -> str:
        """The metric that chooses the best epoch."""
        return MONITORS[self.activation]

    def get_settings(self) -> dict[str, Any]:
        return {**super().get_settings(), "pooling": self.pooling.name, "pair": self.is_pair}

    # === Training ===

    def logits(self, batch: Batch, training: bool = False) -> Tensor:
        """A batch of the three inputs, int [B, S] -> logits float32 [B, C]."""
        return self.model(batch, training=training)

    def activate(self, logits: Tensor) -> Tensor:
        """Logits [B, C] -> probabilities [B, C], or the numbers themselves for a regression."""
        return self.loss_function.scores(logits)

    def loss(self, batch: Batch, loss_function: Loss | None = None, r_drop: float = 0.0) -> tuple[Tensor, Metrics]:
        """The mean loss of a batch, weighted by its sample_weight, and an empty dict: no further metrics.

        With `r_drop`, which `fit` explains, the second half of the batch holds the rows of the first half again.
        """
        logits = self.logits(batch, training=True)
        losses = (loss_function or self.loss_function)(batch["labels"], logits)  # [B]
        if r_drop:
            losses = losses + r_drop * self.loss_function.disagreement(*keras.ops.split(logits, 2))
        return weighted_mean(losses, batch["sample_weight"]), {}

    def fit(
        self,
        texts: Any,
        labels: Any = None,
        pairs: Any = None,
        *,
        validation: Any = None,
        callbacks: Sequence[Any] = (),
        loss: Loss | None = None,
        epochs: int = 10,
        batch_size: int = 32,
        class_weight: dict[str, float] | str | None = None,
        token_dropout: float = 0.0,
        subword_dropout: float = 0.0,
        r_drop: float = 0.0,
        label_smoothing: float = 0.0,
        teacher: "TextClassifier | None" = None,
        temperature: float = 2.0,
        distillation: float = 0.5,
        unlabelled: Any = None,
        seed: int = 0,
        max_buckets: int | None = None,
        jit_compile: bool | None = None,
        **options: Any,
    ) -> list[Metrics]:
        """Trains on texts and labels, and keeps the weights of the epoch that is best on `validation`.

        Args:
          texts, labels, pairs: lists, NumPy arrays, pandas Series, a DataFrame (then `text_column="..."` and the like
            name its columns), or TextData.
          validation: TextData, a DataFrame, (texts, labels) or (texts, labels, pairs); None trains all the epochs.
          callbacks, loss: as in `Task.fit`.
          class_weight: {label: weight}, or "balanced" for weights that make each class count the same.
          token_dropout: the fraction of tokens that are replaced by [MASK] in training; helps if there is little data.
          subword_dropout: words are segmented differently in each epoch; see the dropout of `Tokenizer.ids`. With
            `r_drop` in the second of the two passes only, else in all rows.
          r_drop: weight of the disagreement of two passes of each row under different dropouts: half of the alpha of
            R-Drop (Liang et al. 2021). Without pretraining, 1 and a subword_dropout of 0.3 help most.
          label_smoothing: the fraction of a label that is spread over all classes (Szegedy et al. 2016), for softmax.
          teacher, temperature, distillation, unlabelled: a fine-tuned TextClassifier to learn from, how, and more texts
            for it to label; see `tfkor.tasks.distillation.Distillation`.
          max_buckets: lengths that batches are padded to; None takes 6 where each of them is compiled, else 32.
          options: of `tfkor.training.fine_tune`: learning_rate, warmup, ema, layer_decay, patience (3), on_best ...;
            and of a DataFrame, text_column, label_column, pair_column.

        Ctrl-C ends the training and keeps the best weights so far. The same seed gives the same weights.

        Returns:
          A list with the metrics of each epoch.

        Raises:
          DataError: labels that are missing, of one class, or in `validation` alone.
          ValueError: label smoothing without softmax, or together with a `loss`.
        """
        keras.utils.set_random_seed(seed)
        columns = {name: options.pop(name) for name in COLUMNS if name in options}
        train = self.text_data(texts, labels, pairs, **columns)
        tfkor_data.check_trainable(train)
        lessons = None if teacher is None else Distillation(self, teacher, temperature, distillation)
        loss = self.loss_with(loss, label_smoothing, lessons)
        self.prepare(train)
        if validation is not None:
            parts = validation if isinstance(validation, tuple) else (validation,)
            validation = self.text_data(*parts, **columns)
            self.check(validation)
        train, targets = (train, None) if lessons is None else lessons.targets(train, unlabelled)
        changes = {"class_weight": class_weight, "token_dropout": token_dropout, "subword_dropout": subword_dropout}
        batches = self.batches(
            train, batch_size, buckets_of(max_buckets, jit_compile), seed, targets, two_views=bool(r_drop), **changes
        )
        return self.fit_batches(
            batches,
            functools.partial(self.loss, loss_function=loss, r_drop=r_drop),
            validation,
            callbacks,
            epochs=epochs,
            jit_compile=jit_compile,
            views=2 if r_drop else 1,
            **{"patience": 3} | options,
        )

    def loss_with(self, loss: Loss | None, label_smoothing: float, lessons: Distillation | None) -> Any:
        """The loss that `fit` minimises."""
        if label_smoothing and (loss is not None or self.activation != "softmax"):
            found = f"the activation is {self.activation!r}" if loss is None else f"loss is {loss}"
            raise ValueError(f"label_smoothing works with activation='softmax' and its own loss; {found}")
        if lessons is not None:
            return lessons.loss(label_smoothing)
        return CrossEntropy(label_smoothing) if label_smoothing else loss

    def prepare(self, train: TextData) -> None:
        """Takes label names and the kind of rows from the training data, and builds the head if there is none yet."""
        self.is_pair = train.pairs is not None
        if self.activation != "linear":
            if self.labels is None:
                self.labels = tfkor_data.label_names(train)
            if self.num_classes not in (None, len(self.labels)):
                raise tfkor_data.DataError(
                    f"{train.name}: {len(self.labels)} different labels; the classifier has "
                    f"num_classes={self.num_classes}"
                )
        if self.model is None:
            self.build(len(self.labels))
        self.check(train)

    def idle_variables(self) -> Sequence[keras.Variable]:
        return () if self.model.reads_pooler else super().idle_variables()

    # === Texts -> rows ===

    def batches(
        self,
        data: TextData,
        batch_size: int,
        max_buckets: int,
        seed: int,
        targets: np.ndarray | None = None,
        **changes: Any,
    ) -> Any:
        """TextData -> batches; `changes` are further arguments of `tfkor.tasks.batches.training_batches`."""
        options = dict(batch_size=batch_size, max_buckets=max_buckets, seed=seed)
        return training_batches(self, data, targets, **options, **changes)

    def check(self, data: TextData) -> None:
        """Raises DataError where rows are not of the kind that the classifier takes, or have an unknown label."""
        if (data.pairs is not None) != self.is_pair:
            wants, has = ("pairs of texts", "single texts") if self.is_pair else ("single texts", "pairs of texts")
            raise tfkor_data.DataError(f"{data.name}: it has {has}; the classifier takes {wants}: check pair_column")
        if data.labels is not None:
            tfkor_data.check_labels(data, self.labels or ())

    def text_data(self, texts: Any, labels: Any = None, pairs: Any = None, **columns: str) -> TextData:
        """What `fit` takes -> TextData."""
        return tfkor_data.as_text_data(texts, labels, pairs, label_type=self.label_type, **columns)

    def pack(self, data: TextData, dropout: float = 0.0, seed: int | list[int] = 0) -> tuple[Ragged, Ragged]:
        """TextData -> token ids and segment ids, rows truncated to `max_length`; dropout: see `Tokenizer.ids`."""
        if self.tokenizer is None:
            raise ValueError(
                "the classifier has no tokenizer; expected TextClassifier(encoder, ..., tokenizer=tokenizer)"
            )
        first = self.tokenizer.ids(data.texts, dropout, seed)
        second = None if data.pairs is None else self.tokenizer.ids(data.pairs, dropout, seed)
        return self.tokenizer.pack(first, second, self.max_length)

    # === Predictions ===

    def predict_proba(self, texts: Any, pairs: Any = None, batch_size: int = 64, **columns: str) -> np.ndarray:
        """Texts -> probabilities float32 [N, C] in the order of `labels`; numbers [N, 1] for a regression."""
        data = self.text_data(texts, None, pairs, **columns)
        if self.model is None:
            raise ValueError("the classifier has no head yet: call fit, or give num_classes or labels")
        self.check(TextData(data.texts, data.pairs))
        outputs = np.zeros((len(data), self.num_classes), np.float32)
        if len(data):
            ids, segments = self.pack(data)
            options = dict(batch_size=batch_size, max_length=self.max_length)
            for rows, batch in prediction_batches(ids, segments, **options):
                outputs[rows] = np.asarray(self.outputs(batch))[: len(rows)]
        return outputs

    def predict(self, texts: Any, pairs: Any = None, reject: bool = False, **columns: Any) -> list:
        """Texts -> a list of label names (tuples of names for sigmoid, floats for linear).

        With `reject=True`, a text whose likeliest label is below the threshold of `calibrate` gives None.
        """
        return self.decide(self.predict_proba(texts, pairs, **columns), reject)

    def decide(self, scores: np.ndarray, reject: bool = False) -> list:
        """Scores [N, C] -> what `predict` gives for them."""
        if self.activation == "linear":
            return [float(score) for score in scores[:, 0]]
        if self.activation == "sigmoid":
            return [tuple(np.array(self.labels)[row >= 0.5].tolist()) for row in scores]
        if reject and self.none_threshold is None:
            raise ValueError(
                "reject=True needs a threshold: call calibrate(texts) with texts of the known labels first"
            )
        threshold = self.none_threshold if reject else -1.0
        return [self.labels[row.argmax()] if row.max() >= threshold else None for row in scores]

    def top(self, texts: Any, pairs: Any = None, k: int = 3, **columns: Any) -> list[list[tuple[str, float]]]:
        """Texts -> for each the `k` likeliest (label, probability), the likeliest first."""
        scores = self.predict_proba(texts, pairs, **columns)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return [[(self.labels[i], float(row[i])) for i in order] for row, order in zip(scores, best, strict=True)]

    def evaluate(self, texts: Any, labels: Any = None, pairs: Any = None, **columns: Any) -> Metrics:
        """Texts and labels -> metrics: accuracy, macro_f1, examples; those of tfkor.metrics.classification."""
        data = self.text_data(texts, labels, pairs, **columns)
        tfkor_data.check_labels(data, self.labels or ())
        truth = tfkor_data.label_array(data, self.labels or ())
        scores = self.predict_proba(TextData(data.texts, data.pairs))
        if self.activation == "softmax":
            return metrics.class_report(truth, scores.argmax(1), self.num_classes)
        if self.activation == "sigmoid":
            return metrics.multi_label_report(truth > 0, scores >= 0.5)
        return metrics.regression_report(truth, scores[:, 0])

    def calibrate(self, texts: Any, pairs: Any = None, acceptance: float = 0.95, **columns: Any) -> float:
        """Sets the threshold of "none of these" so that the fraction `acceptance` of these texts is above it.

        Give texts with known labels that were not trained on, such as the dev set. The score is the largest probability
        (Hendrycks and Gimpel 2017).
        """
        if self.activation != "softmax":
            raise ValueError(f'"none of these" works with activation="softmax"; the activation is {self.activation!r}')
        likeliest = self.predict_proba(texts, pairs, **columns).max(1)
        self.none_threshold = float(np.quantile(likeliest, 1 - acceptance))
        return self.none_threshold
