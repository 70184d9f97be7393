"""What a pretraining minimises: masked tokens, pairs of segments, replaced tokens.

Each is a Keras model that holds the encoders and their heads. `objective(batch)` gives the loss of a batch of
PretrainingBatches, the sum over its parts; `health(batch)` gives more figures for the log, when they are wanted.
"""

import keras
from keras import ops

from tfkor.layers import DiscriminatorHead, MaskedLmHead, PairHead, gather_positions
from tfkor.layers.fast import cross_entropy

BLOCK = 128  # ids in a block of `sample`


@keras.saving.register_keras_serializable("tfkor")
class MaskedLanguageModel(keras.Model):
    """MLM, and NSP or SOP with `pairs`: BERT, ALBERT, RoBERTa (Devlin et al. 2019, Lan et al. 2020, Liu et al. 2019).

        model = MaskedLanguageModel(Bert(BertConfig.of("mini")), pairs="nsp")
        loss, figures = model.objective(batch)

    Args:
      encoder: an encoder of tfkor.
      pairs: None, or "nsp" or "sop" for a second loss on the pooled output; the batches say which pairs they hold.
    """

    def __init__(self, encoder, pairs=None, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.pairs = encoder, pairs
        self.masked_lm_head = MaskedLmHead.of(encoder)
        self.pair_head = PairHead.of(encoder, name=f"{pairs}_head") if pairs else None
        self.built = True

    @property
    def encoders(self):
        """{name: encoder}, what a run leaves for others to use."""
        return {"encoder": self.encoder}

    @property
    def heads(self):
        """{name of the encoder: its heads}."""
        return {"encoder": [self.masked_lm_head, *([self.pair_head] if self.pairs else [])]}

    def idle_variables(self):
        """Variables that the loss does not depend on: the pooler of an encoder that learns no pairs."""
        return [] if self.pairs else self.encoder.pooler.variables

    def call(self, batch, training=False):
        """Returns the logits of the masked tokens float32 [B, P, V], and of the pairs [B, 2] or None."""
        sequence = encode(self.encoder, batch, training)  # [B, S, H]
        vectors = gather_positions(sequence, batch["masked_lm_positions"])  # [B, P, H]
        token_logits = self.masked_lm_head(vectors, self.encoder.word_embeddings)
        pair_logits = self.pair_head(self.encoder.pooler(sequence[:, 0])) if self.pairs else None
        return token_logits, pair_logits

    def objective(self, batch, training=True):
        """Returns the loss and its parts: mlm_loss, and pair_loss; means over the whole batch, in nats."""
        token_logits, pair_logits = self(batch, training=training)
        return self.losses_of(batch, token_logits, pair_logits)

    def losses_of(self, batch, token_logits, pair_logits):
        figures = {"mlm_loss": weighted(batch, "masked_lm", cross_entropy(batch["masked_lm_ids"], token_logits))}
        if self.pairs:
            figures["pair_loss"] = weighted(batch, "pair", cross_entropy(batch["pair_labels"], pair_logits))
        return sum(figures.values()), figures

    def health(self, batch):
        """Returns losses, mlm_accuracy, and pair_accuracy, without dropout."""
        token_logits, pair_logits = self(batch)
        loss, figures = self.losses_of(batch, token_logits, pair_logits)
        figures = {"loss": loss, **figures, "mlm_accuracy": accuracy(batch, "masked_lm", "masked_lm_ids", token_logits)}
        if self.pairs:
            figures["pair_accuracy"] = accuracy(batch, "pair", "pair_labels", pair_logits)
        return figures


@keras.saving.register_keras_serializable("tfkor")
class ReplacedTokenDetection(keras.Model):
    """RTD: a small generator fills masks in, a discriminator says which tokens are not the original ones (ELECTRA).

    Loss: the generator's MLM loss plus 50 times the discriminator's mean binary cross entropy over real tokens; no
    gradient flows through the sampled tokens (Clark et al. 2020, section 2). A token that was sampled as it had been
    counts as original. Samples are drawn with the batch's `sampling_noise`, so the same batch gives the same ones.

    Args:
      generator, discriminator: Electra, the generator made with `embeddings=discriminator.embeddings`.
      discriminator_weight: 50 in the paper.
      temperature: of the sampling.
    """

    def __init__(self, generator, discriminator, discriminator_weight=50.0, temperature=1.0, **kwargs):
        super().__init__(**kwargs)
        self.generator, self.discriminator = generator, discriminator
        self.discriminator_weight, self.temperature = discriminator_weight, temperature
        self.masked_lm_head = MaskedLmHead.of(generator)
        self.discriminator_head = DiscriminatorHead.of(discriminator)
        self.built = True

    @property
    def encoders(self):
        """{name: encoder}, what a run leaves for others to use."""
        return {"encoder": self.discriminator, "generator": self.generator}

    @property
    def heads(self):
        """{name of the encoder: its heads}."""
        return {"encoder": [self.discriminator_head], "generator": [self.masked_lm_head]}

    def idle_variables(self):
        return []

    def call(self, batch, training=False):
        """Returns the generator's logits [B, P, V], the discriminator's [B, S], and replaced float32 [B, S] of 0, 1."""
        sequence = encode(self.generator, batch, training)
        vectors = gather_positions(sequence, batch["masked_lm_positions"])
        token_logits = self.masked_lm_head(vectors, self.generator.word_embeddings)
        corrupted, replaced = self.corrupt(batch, ops.stop_gradient(token_logits))
        sequence = encode(self.discriminator, {**batch, "input_word_ids": corrupted}, training)
        return token_logits, self.discriminator_head(sequence), replaced

    def corrupt(self, batch, token_logits):
        """The original ids with samples of the generator at the masked positions, and where these differ."""
        original = batch["original_word_ids"]
        samples = sample(token_logits / self.temperature, batch["sampling_noise"])  # [B, P]
        predicted = ops.cast(batch["masked_lm_weights"] > 0, "int32")
        difference = (samples - batch["masked_lm_ids"]) * predicted  # 0 where the sample is the original
        places = ops.one_hot(batch["masked_lm_positions"], ops.shape(original)[1], dtype="int32")  # [B, P, S]
        corrupted = original + ops.sum(difference[..., None] * places, axis=1)
        return corrupted, ops.cast(corrupted != original, "float32")

    def objective(self, batch, training=True):
        """Returns the loss and its parts: mlm_loss of the generator, rtd_loss of the discriminator, in nats."""
        return self.losses_of(batch, *self(batch, training=training))

    def losses_of(self, batch, token_logits, replaced_logits, replaced):
        mlm_loss = weighted(batch, "masked_lm", cross_entropy(batch["masked_lm_ids"], token_logits))
        rtd_loss = weighted(batch, "token", binary_cross_entropy(replaced, replaced_logits))
        return mlm_loss + self.discriminator_weight * rtd_loss, {"mlm_loss": mlm_loss, "rtd_loss": rtd_loss}

    def health(self, batch):
        """Returns losses, mlm_accuracy and generator_entropy in nats; of the discriminator rtd_accuracy, and
        rtd_precision and rtd_recall for the replaced tokens, and their share, replaced_rate; without dropout."""
        token_logits, replaced_logits, replaced = self(batch)
        loss, figures = self.losses_of(batch, token_logits, replaced_logits, replaced)
        weights = batch["token_weights"]
        found = ops.cast(replaced_logits > 0, "float32")
        hits, told, there = (ops.sum(weights * x) for x in (found * replaced, found, replaced))
        log_probabilities = ops.log_softmax(token_logits)
        entropy = -ops.sum(ops.exp(log_probabilities) * log_probabilities, axis=-1)
        return {
            "loss": loss,
            **figures,
            "mlm_accuracy": accuracy(batch, "masked_lm", "masked_lm_ids", token_logits),
            "generator_entropy": weighted(batch, "masked_lm", entropy),
            "rtd_accuracy": ops.sum(weights * ops.cast(found == replaced, "float32")),
            "rtd_precision": hits / ops.maximum(told, 1e-9),
            "rtd_recall": hits / ops.maximum(there, 1e-9),
            "replaced_rate": there,
        }


def encode(encoder, batch, training):
    """The last hidden states [B, S, H]; in packed rows a token attends to those of its own document only."""
    return encoder(batch, training=training, outputs=("sequence_output",))["sequence_output"]


def weighted(batch, name, values):
    return ops.sum(values * batch[f"{name}_weights"])


def accuracy(batch, name, labels, logits):
    return weighted(batch, name, ops.cast(ops.argmax(logits, axis=-1) == batch[labels], "float32"))


def binary_cross_entropy(labels, logits):
    """Labels 0 or 1 and logits, float32 -> nats of the same shape."""
    return ops.maximum(logits, 0) - logits * labels + ops.log1p(ops.exp(-ops.abs(logits)))


def sample(logits, noise):
    """Draws ids from the distributions of logits [B, P, V] with noise [B, P] in [0, 1), by the inverse of their sum.

    First the run of BLOCK ids that it falls in, then the id: a running sum over all of V takes ten times as long.
    """
    batch, positions, vocab_size = ops.shape(logits)
    probabilities = ops.pad(ops.softmax(logits), ((0, 0), (0, 0), (0, -vocab_size % BLOCK)))
    blocks = ops.reshape(probabilities, (batch, positions, -1, BLOCK))
    sums = ops.sum(blocks, axis=-1)  # [B, P, V / BLOCK]
    reached = ops.cumsum(sums, axis=-1)
    target = noise[..., None] * reached[..., -1:]  # [B, P, 1]
    block = ops.sum(ops.cast(reached[..., :-1] <= target, "int32"), axis=-1, keepdims=True)  # [B, P, 1]
    before = ops.take_along_axis(reached - sums, block, axis=-1)
    inside = ops.take_along_axis(blocks, block[..., None], axis=2)[:, :, 0]  # [B, P, BLOCK]
    place = ops.sum(ops.cast(before + ops.cumsum(inside, axis=-1) <= target, "int32"), axis=-1)
    return ops.minimum(block[..., 0] * BLOCK + place, vocab_size - 1)
