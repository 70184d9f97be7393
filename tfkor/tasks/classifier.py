"""Classification and regression of one text or a pair of texts, on any encoder (Devlin et al. 2019, section 4.1)."""

import copy
import functools
import json
from pathlib import Path

import keras
import numpy as np
from keras import ops

import tfkor
import tfkor.models  # registers the architectures, for load
from tfkor import data as tfkor_data
from tfkor.files import new_folder, write_json
from tfkor.layers import activation_function
from tfkor.layers.inputs import INPUT_NAMES
from tfkor.layers.pooling import POOLINGS
from tfkor.metrics import classification as metrics
from tfkor.models.lora import LORA, lora_layers, merge_lora, save_lora
from tfkor.tasks.batches import prediction_batches, training_batches
from tfkor.tasks.distillation import Distillation
from tfkor.tasks.losses import ACTIVATIONS, disagreement, row_losses, smoothed
from tfkor.tasks.task import check_vocabulary
from tfkor.training import InferenceStep, compiles_each_shape, fine_tune

LABEL_TYPES = {"softmax": "class", "sigmoid": "multi_label", "linear": "regression"}
COLUMNS = ("text_column", "label_column", "pair_column")  # of a DataFrame
SETTINGS = ("dropout", "pooling", "activation", "labels", "max_length")
MONITORS = {"softmax": "accuracy", "sigmoid": "micro_f1", "linear": "spearman"}


class TextClassifier:
    """Dropout and a dense layer on the pooled output of an encoder, with raw text in and label names out.

        classifier = TextClassifier(encoder, num_classes=176, dropout=0.2, tokenizer=tokenizer)
        classifier.fit(texts, labels, validation=(dev_texts, dev_labels))
        classifier.predict(["내 통장에 얼마 있어?"])          # ["bank.balance_check"]
        classifier.save("runs/intents")

    Args:
      encoder: a model of tfkor; three int inputs [B, S] -> (pooled_output [B, H], sequence_output [B, S, H]).
      num_classes: outputs C of the dense layer; None takes it from `labels` or from the labels that `fit` sees.
      dropout: the share of the pooled output that is dropped in training.
      pooling: "first" for the pooled output of the encoder, as BERT has it; "max" or "mean" of the sequence output over
        the tokens, which learn faster where the encoder is not pretrained, and leave its pooler as it was.
      activation: "softmax" for one of C classes, "sigmoid" for any number of them, "linear" for a number (C = 1).
      tokenizer: a tfkor.text.Tokenizer; needed by all that takes texts.
      labels: names of the classes; None takes those that `fit` sees.
      max_length: tokens of a row, [CLS] and [SEP] among them; longer texts are cut, with a warning in training.
      pair: True where each row has a second text; `fit` sets it.

    `model` is the functional Keras model from the three inputs to logits float32 [B, C].
    """

    def __init__(
        self,
        encoder,
        num_classes=None,
        dropout=0.2,
        *,
        pooling="first",
        activation="softmax",
        tokenizer=None,
        labels=None,
        max_length=128,
        pair=False,
    ):
        if activation not in LABEL_TYPES:
            raise ValueError(f"activation is {activation!r}; expected one of {list(LABEL_TYPES)}")
        if pooling not in POOLINGS:
            raise ValueError(f"pooling is {pooling!r}; expected one of {list(POOLINGS)}")
        if labels is not None and num_classes not in (None, len(labels)):
            raise ValueError(
                f"num_classes is {num_classes}, and there are {len(labels)} labels; expected the same number"
            )
        positions = encoder.max_length
        if max_length > positions:
            raise ValueError(f"max_length is {max_length}; the encoder's position table holds {positions}")
        check_vocabulary(encoder, tokenizer)
        self.encoder, self.tokenizer = encoder, tokenizer
        self.activation, self.monitor = activation, MONITORS[activation]
        self.dropout, self.pooling = dropout, pooling
        self.labels = None if labels is None else list(labels)
        self.max_length, self.is_pair = max_length, pair
        self.none_threshold = self.model = self.scores = None
        if activation == "linear":
            num_classes = 1
        if num_classes or labels:
            self.build(num_classes or len(labels))

    def build(self, num_classes):
        """Makes the head of `num_classes` outputs, and `model`."""
        inputs = [keras.Input((None,), dtype="int32", name=name) for name in INPUT_NAMES]
        self.head_dropout = keras.layers.Dropout(self.dropout, name="head_dropout")
        self.head = keras.layers.Dense(num_classes, dtype="float32", name="logits")
        self.head_dense = None
        if self.pooling == "first" and (act := self.encoder.classifier_act):
            size, act = self.encoder.config.hidden_size, activation_function(act)
            self.head_dense = keras.layers.Dense(size, activation=act, dtype="float32", name="head_dense")
        if self.pooling == "first" and lora_layers(self.encoder):
            self.encoder.pooler.trainable = True  # a part of the head, and random in many a checkpoint
        pooled_output, sequence_output = self.encoder(inputs)
        if self.pooling != "first":
            pooled_output = POOLINGS[self.pooling](sequence_output, inputs[1])
        self.model = keras.Model(inputs, self.of_pooled(pooled_output), name="text_classifier")
        self.scores = InferenceStep(self.model, lambda batch: self.activate(self.logits(batch, training=False)))

    @property
    def num_classes(self):
        return None if self.model is None else self.head.units

    @property
    def label_type(self):
        """What a label is: "class" (a name), "multi_label" (a tuple of names) or "regression" (a number)."""
        return LABEL_TYPES[self.activation]

    def logits(self, batch, training):
        """Dict of the three inputs [B, S] -> logits float32 [B, C], without computing what they don't need."""
        inputs = [batch[name] for name in INPUT_NAMES]
        if self.pooling == "first":
            pooled = self.encoder.pooled(inputs, training=training)
        else:
            _, sequence_output = self.encoder(inputs, training=training)
            pooled = POOLINGS[self.pooling](sequence_output, inputs[1])
        return self.of_pooled(pooled, training)

    def of_pooled(self, pooled, training=False):
        """[B, H] -> logits float32 [B, C]; of an ELECTRA through a dense layer, as its authors have it."""
        if self.head_dense is not None:
            pooled = self.head_dense(self.head_dropout(pooled, training=training))
        return self.head(self.head_dropout(pooled, training=training))

    def activate(self, logits):
        """Logits [B, C] -> probabilities [B, C], or the numbers themselves for a regression."""
        return ACTIVATIONS[self.activation](logits)

    def loss(self, batch, r_drop=0.0, smoothing=0.0, row_losses=row_losses):
        """The mean loss of a batch, weighted by its sample_weight, and no more figures.

        With `r_drop`, which `fit` explains, the second half of the batch holds the rows of the first half again.
        """
        logits = self.logits(batch, training=True)
        losses = row_losses(self.activation, batch["labels"], logits)  # [B]
        if self.activation == "softmax":
            losses = smoothed(losses, logits, smoothing)
        if r_drop:
            losses = losses + r_drop * disagreement(self.activation, *ops.split(logits, 2))
        weight = batch["sample_weight"]
        return ops.sum(losses * weight) / ops.maximum(ops.sum(weight), 1e-6), {}

    def fit(
        self,
        texts,
        labels=None,
        pairs=None,
        *,
        validation=None,
        epochs=10,
        batch_size=32,
        class_weight=None,
        token_dropout=0.0,
        subword_dropout=0.0,
        r_drop=0.0,
        label_smoothing=0.0,
        teacher=None,
        temperature=2.0,
        distillation=0.5,
        unlabelled=None,
        seed=0,
        max_buckets=None,
        jit_compile=None,
        **options,
    ):
        """Trains on texts and labels, and keeps the weights of the epoch that is best on `validation`.

        Args:
          texts, labels, pairs: lists, NumPy arrays, pandas Series, a DataFrame (then `text_column="..."` and the like
            name its columns), or TextData.
          validation: TextData, a DataFrame, (texts, labels) or (texts, labels, pairs); None trains all the epochs.
          class_weight: {label: weight}, or "balanced" for weights that make each class count the same.
          token_dropout: the share of tokens that are replaced by [MASK] in training; helps where there is little data.
          subword_dropout: words fall into other pieces in each epoch; see the dropout of `Tokenizer.ids`. With `r_drop`
            for the second of the two passes, else for all rows.
          r_drop: weight of the disagreement of two passes of each row under different dropouts: half of the alpha of
            R-Drop (Liang et al. 2021). Where there is no pretraining, 1 and a subword_dropout of 0.3 help most.
          label_smoothing: the share of a label that is spread over all classes (Szegedy et al. 2016).
          teacher, temperature, distillation, unlabelled: a fine-tuned TextClassifier to learn from, how, and more texts
            for it to label; see `tfkor.tasks.distillation.Distillation`.
          max_buckets: lengths that batches are padded to; None takes 6 where each of them is compiled, else 32.
          options: of `tfkor.training.fine_tune`: learning_rate, warmup, ema, layer_decay, patience (3), on_best ...;
            and of a DataFrame, text_column, label_column, pair_column.

        Ctrl-C ends the training and keeps the best weights so far. The same seed gives the same weights.

        Returns:
          A list with the figures of each epoch.

        Raises:
          DataError: labels that are missing, of one class, or in `validation` alone.
        """
        keras.utils.set_random_seed(seed)
        columns = {name: options.pop(name) for name in COLUMNS if name in options}
        options = {"patience": 3} | options
        train = self.text_data(texts, labels, pairs, **columns)
        tfkor_data.check_trainable(train)
        lessons = None if teacher is None else Distillation(self, teacher, temperature, distillation)
        self.prepare(train)
        if validation is not None:
            parts = validation if isinstance(validation, tuple) else (validation,)
            validation = self.text_data(*parts, **columns)
            self.check(validation)
        targets, losses = None, row_losses
        if lessons is not None:
            (train, targets), losses = lessons.targets(train, unlabelled), lessons.row_losses
        batches = training_batches(
            self,
            train,
            targets,
            batch_size=batch_size,
            max_buckets=max_buckets or (6 if compiles_each_shape(jit_compile) else 32),
            class_weight=class_weight,
            token_dropout=token_dropout,
            subword_dropout=subword_dropout,
            two_views=bool(r_drop),
            seed=seed,
        )
        return fine_tune(
            self.model,
            self.encoder,
            functools.partial(self.loss, r_drop=r_drop, smoothing=label_smoothing, row_losses=losses),
            batches,
            idle=() if self.pooling == "first" else self.encoder.pooler.variables,
            epochs=epochs,
            evaluate=None if validation is None else lambda: self.evaluate(validation),
            monitor=self.monitor,
            jit_compile=jit_compile,
            views=2 if r_drop else 1,
            **options,
        )

    def prepare(self, train):
        """Takes the label names and the kind of rows from the training data, and builds the head if it isn't there."""
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

    def check(self, data):
        if (data.pairs is not None) != self.is_pair:
            wants, has = ("pairs of texts", "single texts") if self.is_pair else ("single texts", "pairs of texts")
            raise tfkor_data.DataError(f"{data.name}: it has {has}; the classifier takes {wants}: check pair_column")
        if data.labels is not None:
            tfkor_data.check_labels(data, self.labels or ())

    def text_data(self, texts, labels=None, pairs=None, **columns):
        return tfkor_data.as_text_data(texts, labels, pairs, label_type=self.label_type, **columns)

    def pack(self, data, dropout=0.0, seed=0):
        """TextData -> token ids and segment ids, one row each, cut at `max_length`; dropout: see `Tokenizer.ids`."""
        if self.tokenizer is None:
            raise ValueError(
                "the classifier has no tokenizer; expected TextClassifier(encoder, ..., tokenizer=tokenizer)"
            )
        first = self.tokenizer.ids(data.texts, dropout, seed)
        second = None if data.pairs is None else self.tokenizer.ids(data.pairs, dropout, seed)
        return self.tokenizer.pack(first, second, self.max_length)

    def predict_proba(self, texts, pairs=None, batch_size=64, **columns):
        """Texts -> probabilities float32 [N, C] in the order of `labels`; numbers [N, 1] for a regression."""
        data = self.text_data(texts, None, pairs, **columns)
        if self.model is None:
            raise ValueError("the classifier has no head yet: call fit, or give num_classes or labels")
        self.check(tfkor_data.TextData(data.texts, data.pairs))
        outputs = np.zeros((len(data), self.num_classes), np.float32)
        if len(data):
            ids, segments = self.pack(data)
            options = dict(batch_size=batch_size, max_length=self.max_length)
            for rows, batch in prediction_batches(ids, segments, **options):
                outputs[rows] = np.asarray(self.scores(batch))[: len(rows)]
        return outputs

    def predict(self, texts, pairs=None, reject=False, **columns):
        """Texts -> a list of label names (tuples of names for sigmoid, floats for linear).

        With `reject=True`, a text whose likeliest label is below the threshold of `calibrate` gives None.
        """
        return self.decide(self.predict_proba(texts, pairs, **columns), reject)

    def decide(self, scores, reject=False):
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

    def top(self, texts, pairs=None, k=3, **columns):
        """Texts -> for each the `k` likeliest (label, probability), the likeliest first."""
        scores = self.predict_proba(texts, pairs, **columns)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return [[(self.labels[i], float(row[i])) for i in order] for row, order in zip(scores, best, strict=True)]

    def evaluate(self, texts, labels=None, pairs=None, **columns):
        """Texts and labels -> figures: accuracy, macro_f1, examples; those of tfkor.metrics.classification."""
        data = self.text_data(texts, labels, pairs, **columns)
        tfkor_data.check_labels(data, self.labels or ())
        truth = tfkor_data.label_array(data, self.labels or ())
        scores = self.predict_proba(tfkor_data.TextData(data.texts, data.pairs))
        if self.activation == "softmax":
            return metrics.class_report(truth, scores.argmax(1), self.num_classes)
        if self.activation == "sigmoid":
            return metrics.multi_label_report(truth > 0, scores >= 0.5)
        return metrics.regression_report(truth, scores[:, 0])

    def calibrate(self, texts, pairs=None, acceptance=0.95, **columns):
        """Sets the threshold of "none of these" so that the share `acceptance` of these known texts stays above it.

        Take texts that were not trained on, such as the dev set (Hendrycks and Gimpel 2017, the largest probability).
        """
        if self.activation != "softmax":
            raise ValueError(f'"none of these" works with activation="softmax"; the activation is {self.activation!r}')
        likeliest = self.predict_proba(texts, pairs, **columns).max(1)
        self.none_threshold = float(np.quantile(likeliest, 1 - acceptance))
        return self.none_threshold

    def save(self, folder, overwrite=True):
        """Writes model.keras, classifier.json and tokenizer/ into `folder`, whole or not at all.

        LoRA weights are merged into the encoder that is written, and stand alone in lora.npz beside it.
        """
        if self.model is None or self.tokenizer is None:
            raise ValueError("only a classifier with a head and a tokenizer can be saved: call fit, or give both")
        with new_folder(folder, overwrite) as temporary:
            self.model.save(temporary / "model.keras")
            self.tokenizer.save(temporary / "tokenizer")
            settings = {name: getattr(self, name) for name in SETTINGS}
            settings |= {"tfkor": tfkor.__version__, "encoder": self.encoder.name, "pair": self.is_pair}
            settings["none_threshold"] = self.none_threshold
            write_json(temporary / "classifier.json", settings)
            if lora_layers(self.encoder):
                save_lora(temporary / LORA, self.encoder, self.tokenizer)

    def merged(self):
        """This classifier, or, if its encoder has LoRA weights, a copy without them that computes the same."""
        if not lora_layers(self.encoder):
            return self
        again = copy.copy(self)
        again.encoder = merge_lora(self.encoder)
        again.build(self.num_classes)
        for layer, old in ((again.head, self.head), (again.head_dense, self.head_dense)):
            if old is not None:
                layer.set_weights(old.get_weights())
        return again

    @classmethod
    def load(cls, folder):
        """Returns the classifier that `save` wrote into `folder`, on either backend.

        Raises:
          FileNotFoundError: a part of it is not there.
        """
        from tfkor.text import Tokenizer

        folder = Path(folder)
        for name in ("classifier.json", "model.keras", "tokenizer"):
            if not (folder / name).exists():
                raise FileNotFoundError(f"{folder} has no {name}; expected a folder that TextClassifier.save wrote")
        settings = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))
        model = keras.models.load_model(folder / "model.keras", compile=False)
        classifier = cls(
            model.get_layer(settings["encoder"]),
            tokenizer=Tokenizer.load(folder / "tokenizer"),
            pair=settings["pair"],
            **{name: settings[name] for name in SETTINGS},
        )
        classifier.model.set_weights(model.get_weights())
        classifier.none_threshold = settings["none_threshold"]
        return classifier
