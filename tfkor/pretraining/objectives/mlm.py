"""Masked language modelling, with or without pairs of segments: BERT, ALBERT, RoBERTa."""

import keras
import numpy as np
from keras import ops

from tfkor.layers import MaskedLmHead, PairHead, gather_positions
from tfkor.layers.fast import cross_entropy
from tfkor.pretraining.alarms import Flat
from tfkor.pretraining.masking import mask_examples
from tfkor.pretraining.objectives.metrics import accuracy, weighted_sum
from tfkor.pretraining.rows import NO_PAIR
from tfkor.pretraining.samples import masked_tokens
from tfkor.training.flops import encoder_flops, head_flops


@keras.saving.register_keras_serializable("tfkor")
class MaskedLanguageModel(keras.Model):
    """MLM, and NSP or SOP with `pairs`: BERT, ALBERT, RoBERTa (Devlin et al. 2019, Lan et al. 2020, Liu et al. 2019).

        model = MaskedLanguageModel(Bert(BertConfig.of("mini")), pairs="nsp")
        loss, metrics = model.objective(batch)

    Args:
      encoder: an encoder of tfkor.
      pairs: None, or "nsp" or "sop" for a second loss on the pooled output; the batches must have the same pairs.
    """

    papers = {"bert": "nsp", "albert": "sop", "roberta": None}  # {architecture: the pairs in its paper}
    pairs_allowed = (None, "nsp", "sop")
    masking = {}  # arguments of Masking that differ from the defaults
    alarms = (Flat("mlm_loss"),)
    encoder_names = ("encoder",)

    def __init__(self, encoder: keras.Model, pairs: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.pairs = encoder, pairs
        self.masked_lm_head = MaskedLmHead.of(encoder)
        self.pair_head = PairHead.of(encoder, name=f"{pairs}_head") if pairs else None
        self.built = True

    @classmethod
    def of(cls, encoder, pairs=None, config=None, start=None):
        """The objective of a run; see `tfkor.pretraining.objectives`."""
        return cls(encoder, pairs)

    # === Batches ===

    @classmethod
    def collate(cls, examples, recipe, vocabulary):
        """Rows -> a batch with masks, and with the labels of pairs; see `tfkor.pretraining.objectives`."""
        batch = {**examples.batch, **mask_examples(examples, recipe, vocabulary)}
        return cls.complete(batch | {"pair_labels": examples.pair_labels}, recipe, examples.keys)

    @staticmethod
    def complete(batch, recipe, keys):
        """A batch whose masks and pairs are fixed -> what the loss needs: weights that sum to 1.

        Args:
          batch: dict with masked_lm_weights [B, P], 0 where there is no prediction, and pair_labels int [B], -1 where
            there is no pair.
        """
        predicted = batch["masked_lm_weights"] > 0
        batch["masked_lm_weights"] = (predicted / max(predicted.sum(), 1)).astype(np.float32)
        labels = batch.pop("pair_labels")
        if recipe.pairs:
            has_pair = labels != NO_PAIR
            batch["pair_labels"] = np.maximum(labels, 0)
            batch["pair_weights"] = (has_pair / max(has_pair.sum(), 1)).astype(np.float32)
        return batch

    # === What a run saves ===

    @property
    def encoders(self):
        """{name: encoder}, which a run saves."""
        return {"encoder": self.encoder}

    @property
    def heads(self):
        """{name of the encoder: its heads}."""
        return {"encoder": [self.masked_lm_head, *([self.pair_head] if self.pairs else [])]}

    @property
    def language_model(self):
        """(encoder, MaskedLmHead) that fill in masks."""
        return self.encoder, self.masked_lm_head

    def idle_variables(self):
        """Variables that the loss does not depend on: the pooler, if there are no pairs."""
        pooler = getattr(self.encoder, "pooler", None)
        return [] if self.pairs or pooler is None else pooler.variables

    # === The loss ===

    def call(self, batch, training=False):
        """Returns the logits of the masked tokens float32 [B, P, V], and of the pairs [B, 2] or None."""
        outputs = self.encoder(batch, training=training)
        vectors = gather_positions(outputs["sequence_output"], batch["masked_lm_positions"])  # [B, P, H]
        token_logits = self.masked_lm_head(vectors, self.encoder.word_embeddings)
        pair_logits = self.pair_head(outputs["pooled_output"]) if self.pairs else None
        return token_logits, pair_logits

    def objective(self, batch: dict, training: bool = True):
        """Returns the loss and its parts: mlm_loss, and with pairs pair_loss; means over the whole batch, in nats."""
        return self.losses_of(batch, *self(batch, training=training))

    def losses_of(self, batch, token_logits, pair_logits):
        losses = {"mlm_loss": weighted_sum(batch, "masked_lm", cross_entropy(batch["masked_lm_ids"], token_logits))}
        if self.pairs:
            losses["pair_loss"] = weighted_sum(batch, "pair", cross_entropy(batch["pair_labels"], pair_logits))
        return sum(losses.values()), losses

    def evaluation_metrics(self, batch: dict) -> dict:
        """Returns the losses, mlm_accuracy, and with pairs pair_accuracy, without dropout."""
        token_logits, pair_logits = self(batch)
        loss, losses = self.losses_of(batch, token_logits, pair_logits)
        metrics = {"loss": loss, **losses, "mlm_accuracy": accuracy(batch, "masked_lm", "masked_lm_ids", token_logits)}
        if self.pairs:
            metrics["pair_accuracy"] = accuracy(batch, "pair", "pair_labels", pair_logits)
        return metrics

    def forward_flops(self, batch_size: int, recipe) -> int:
        """FLOPs of one forward pass over so many rows of a Recipe, matrix products only."""
        tokens = batch_size * recipe.predictions
        forward = encoder_flops(self.encoder, batch_size, recipe.length)
        return forward + head_flops(self.masked_lm_head, tokens, self.encoder.word_embeddings)

    def samples(self, batch: dict, tokenizer, rows: int = 3, predictions: int = 4) -> list[str]:
        """A line for some rows of a batch: the masked text, then original -> prediction."""
        return masked_tokens(ops.convert_to_numpy(self(batch)[0]), batch, tokenizer, rows, predictions)
