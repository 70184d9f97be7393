"""Replaced token detection: a generator fills in masks, a discriminator finds the replaced tokens (ELECTRA)."""

import keras
import numpy as np
from keras import ops

from tfkor.layers import DiscriminatorHead, MaskedLmHead, gather_positions
from tfkor.layers.fast import cross_entropy
from tfkor.pretraining.alarms import Flat, Low
from tfkor.pretraining.objectives.metrics import accuracy, weighted_sum
from tfkor.pretraining.objectives.mlm import MaskedLanguageModel
from tfkor.pretraining.randomness import uniforms
from tfkor.pretraining.samples import masked_tokens
from tfkor.training.flops import encoder_flops, head_flops

BLOCK = 128  # number of ids in a block of `sample`
NOISE = 17  # stream of random numbers for the sampling of replaced tokens


@keras.saving.register_keras_serializable("tfkor")
class ReplacedTokenDetection(keras.Model):
    """RTD: a small generator fills in masks, a discriminator predicts which tokens were replaced (ELECTRA).

    Loss: the generator's MLM loss plus 50 times the discriminator's mean binary cross entropy without padding; no
    gradient flows through the sampled tokens (Clark et al. 2020, section 2). A sampled token that equals the original
    counts as original. Samples are drawn with the batch's `sampling_noise`, so the same batch gives the same ones.

    Args:
      generator, discriminator: Electra, the generator made with `embeddings=discriminator.embeddings`.
      discriminator_weight: weight of the discriminator's loss; 50 in the paper.
      temperature: of the generator's softmax when tokens are sampled.
    """

    papers = {"electra": None}
    pairs_allowed = (None,)
    masking = dict(mask_share=0.85, random_share=0.0)
    alarms = (
        Flat("mlm_loss"),
        Low("rtd_recall", 0.005, 'the discriminator predicted "original" nearly everywhere', "use a larger generator"),
    )
    encoder_names = ("encoder", "generator")

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        discriminator_weight: float = 50.0,
        temperature: float = 1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.generator, self.discriminator = generator, discriminator
        self.discriminator_weight, self.temperature = discriminator_weight, temperature
        self.masked_lm_head = MaskedLmHead.of(generator)
        self.discriminator_head = DiscriminatorHead.of(discriminator)
        self.built = True

    @classmethod
    def of(cls, encoder, pairs=None, config=None, start=None):
        """The objective of a run, with the generator of `start`, or one of `config.generator_size`."""
        size = config.generator_size if config is not None else None
        return cls(make_generator(encoder, size, (start or {}).get("generator")), encoder)

    # === Batches ===

    @classmethod
    def collate(cls, examples, recipe, vocabulary):
        """Rows -> a batch with masks, and noise to sample replaced tokens with; see `tfkor.pretraining.objectives`."""
        batch = MaskedLanguageModel.collate(examples, recipe, vocabulary)
        return cls.add_replaced(batch, recipe, examples.keys)

    @classmethod
    def complete(cls, batch, recipe, keys):
        """A batch whose masks are fixed -> what the loss needs."""
        return cls.add_replaced(MaskedLanguageModel.complete(batch, recipe, keys), recipe, keys)

    @staticmethod
    def add_replaced(batch, recipe, keys):
        """Adds original_word_ids int32 [B, S], sampling_noise float32 [B, P] in [0, 1), token_weights float32 [B, S]
        with sum 1."""
        original = batch["input_word_ids"].copy()
        row, column = np.nonzero(batch["masked_lm_weights"])
        original[row, batch["masked_lm_positions"][row, column]] = batch["masked_lm_ids"][row, column]
        real = batch["input_mask"] > 0
        batch["original_word_ids"] = original
        batch["sampling_noise"] = uniforms(keys, NOISE, recipe.predictions)
        batch["token_weights"] = (real / max(real.sum(), 1)).astype(np.float32)
        return batch

    # === What a run saves ===

    @property
    def encoders(self):
        """{name: encoder}, which a run saves."""
        return {"encoder": self.discriminator, "generator": self.generator}

    @property
    def heads(self):
        """{name of the encoder: its heads}."""
        return {"encoder": [self.discriminator_head], "generator": [self.masked_lm_head]}

    @property
    def language_model(self):
        """(encoder, MaskedLmHead) that fill in masks."""
        return self.generator, self.masked_lm_head

    def idle_variables(self):
        """Variables that the loss does not depend on: none."""
        return []

    # === The loss ===

    def call(self, batch, training=False):
        """Returns the generator's logits [B, P, V], the discriminator's [B, S], and 1.0 for replaced tokens [B, S]."""
        sequence = self.generator(batch, training=training)["sequence_output"]  # [B, S, H]
        vectors = gather_positions(sequence, batch["masked_lm_positions"])  # [B, P, H]
        token_logits = self.masked_lm_head(vectors, self.generator.word_embeddings)
        corrupted, replaced = self.corrupt(batch, ops.stop_gradient(token_logits))
        outputs = self.discriminator({**batch, "input_word_ids": corrupted}, training=training)
        return token_logits, self.discriminator_head(outputs["sequence_output"]), replaced

    def corrupt(self, batch, token_logits):
        """The original ids with samples of the generator at the masked positions, and where these differ."""
        original = batch["original_word_ids"]
        samples = sample(token_logits / self.temperature, batch["sampling_noise"])  # [B, P]
        predicted = ops.cast(batch["masked_lm_weights"] > 0, "int32")
        difference = (samples - batch["masked_lm_ids"]) * predicted  # 0 where the sample is the original
        at = ops.one_hot(batch["masked_lm_positions"], ops.shape(original)[1], dtype="int32")  # [B, P, S]
        corrupted = original + ops.sum(difference[..., None] * at, axis=1)
        return corrupted, ops.cast(corrupted != original, "float32")

    def objective(self, batch: dict, training: bool = True):
        """Returns the loss and its parts: mlm_loss of the generator, rtd_loss of the discriminator, in nats."""
        return self.losses_of(batch, *self(batch, training=training))

    def losses_of(self, batch, token_logits, replaced_logits, replaced):
        mlm_loss = weighted_sum(batch, "masked_lm", cross_entropy(batch["masked_lm_ids"], token_logits))
        rtd_loss = weighted_sum(batch, "token", binary_cross_entropy(replaced, replaced_logits))
        return mlm_loss + self.discriminator_weight * rtd_loss, {"mlm_loss": mlm_loss, "rtd_loss": rtd_loss}

    def evaluation_metrics(self, batch: dict) -> dict:
        """Returns metrics without dropout: the losses; mlm_accuracy and generator_entropy (in nats) of the generator;
        rtd_accuracy of the discriminator, its rtd_precision and rtd_recall for replaced tokens, and their rate,
        replaced_rate."""
        token_logits, replaced_logits, replaced = self(batch)
        loss, losses = self.losses_of(batch, token_logits, replaced_logits, replaced)
        weights = batch["token_weights"]
        found = ops.cast(replaced_logits > 0, "float32")
        hits, predicted, actual = (ops.sum(weights * x) for x in (found * replaced, found, replaced))
        log_probabilities = ops.log_softmax(token_logits)
        entropy = -ops.sum(ops.exp(log_probabilities) * log_probabilities, axis=-1)
        return {
            "loss": loss,
            **losses,
            "mlm_accuracy": accuracy(batch, "masked_lm", "masked_lm_ids", token_logits),
            "generator_entropy": weighted_sum(batch, "masked_lm", entropy),
            "rtd_accuracy": ops.sum(weights * ops.cast(found == replaced, "float32")),
            "rtd_precision": hits / ops.maximum(predicted, 1e-9),
            "rtd_recall": hits / ops.maximum(actual, 1e-9),
            "replaced_rate": actual,
        }

    def forward_flops(self, batch_size: int, recipe) -> int:
        """FLOPs of one forward pass over so many rows of a Recipe, matrix products only."""
        forward = sum(encoder_flops(encoder, batch_size, recipe.length) for encoder in self.encoders.values())
        table = self.generator.word_embeddings
        forward += head_flops(self.masked_lm_head, batch_size * recipe.predictions, table)
        return forward + head_flops(self.discriminator_head, batch_size * recipe.length)

    def samples(self, batch: dict, tokenizer, rows: int = 3, predictions: int = 4) -> list[str]:
        """A line for some rows of a batch: the masked text, then original -> the generator's prediction."""
        return masked_tokens(ops.convert_to_numpy(self(batch)[0]), batch, tokenizer, rows, predictions)


def make_generator(
    discriminator: keras.Model, size: float | None = None, start: keras.Model | None = None
) -> keras.Model:
    """A generator that shares the discriminator's embeddings.

    Args:
      size: its width as a fraction of the discriminator's; None takes the paper's.
      start: the generator of a checkpoint, whose config and weights are taken; or None.

    Raises:
      ValueError: `size` is not the width of `start`.
    """
    config = discriminator.config.generator(size)
    if start is not None:
        if size and start.config.hidden_size != config.hidden_size:
            raise ValueError(
                f"generator_size is {size}, {config.hidden_size} wide; expected None, since the generator of the "
                f"checkpoint is {start.config.hidden_size} wide"
            )
        config = start.config
    generator = type(discriminator)(config, embeddings=discriminator.embeddings, dtype=discriminator.dtype_policy)
    generator.gradient_checkpointing = discriminator.gradient_checkpointing
    if start is not None:
        shared = {id(v) for v in discriminator.embeddings.variables}
        for ours, theirs in zip(generator.variables, start.variables, strict=True):
            if id(ours) not in shared:
                ours.assign(theirs)
    return generator


def binary_cross_entropy(labels, logits):
    """Labels 0 or 1 and logits, float32 [...] -> the cross entropy in nats [...]."""
    return ops.maximum(logits, 0) - logits * labels + ops.log1p(ops.exp(-ops.abs(logits)))


def sample(logits, noise):
    """Draws ids from the distributions of logits [B, P, V] with noise [B, P] in [0, 1), by inverse transform sampling.

    First finds the block of BLOCK ids, then the id in it: a cumulative sum over all of V takes ten times as long.
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
    number = ops.sum(ops.cast(before + ops.cumsum(inside, axis=-1) <= target, "int32"), axis=-1)
    return ops.minimum(block[..., 0] * BLOCK + number, vocab_size - 1)
