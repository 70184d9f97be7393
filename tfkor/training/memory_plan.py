"""Estimates the device memory of a training step, tensor by tensor, and the largest batch that fits.

The tensors are those that XLA keeps for the step that TrainStep compiles on JAX (float32 on the CPU, its scheduler set
to save memory): `compiled_memory` asks the compiler, benchmarks/memory_plan.py compares. The memory of a step peaks at
one of a few moments, and the plan is for the one that needs most. Numbers for bfloat16 follow from the same list; they
are estimates that have not been compared with an accelerator's allocator yet.
"""

from dataclasses import dataclass

import numpy as np

GIB = 2**30
PRECISIONS = {"float32": 4, "mixed_bfloat16": 2}  # bytes of an activation; weights and gradients are float32
OPTIMIZERS = {"adamw": 2, "lamb": 2, "sgd": 0}  # float32 values per weight in the optimizer's state
FLOAT32, RANDOM_BITS = 4, 8  # bytes per value; the second is for the random bits that XLA keeps of a dropout
PARTS = ("weights", "gradients", "optimizer", "activations", "logits", "workspace")

# google-research/bert, README: the largest batch for fine-tuning BERT-base with Adam, float32, on a GPU of 12 GB
PUBLISHED_BATCHES = {64: 64, 128: 32, 256: 16, 320: 14, 384: 12, 512: 6}


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes of each part at one moment of a step; `tensors` is {name: bytes} of all but weights and optimizer."""

    moment: str
    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    workspace: int
    tensors: dict

    @property
    def total(self) -> int:
        return sum(getattr(self, part) for part in PARTS)


def plan_memory(config, batch_size: int, length: int, **options) -> MemoryPlan:
    """Returns the MemoryPlan of the moment that needs most memory; arguments as in `memory_moments`."""
    return max(memory_moments(config, batch_size, length, **options), key=lambda plan: plan.total)


def memory_moments(
    config,
    batch_size: int,
    length: int,
    *,
    optimizer: str = "adamw",
    precision: str = "float32",
    gradient_checkpointing: bool = False,
    predictions: int = 0,
    num_classes: int = 2,
    generator=None,
    gradient_accumulation_steps: int = 1,
) -> list[MemoryPlan]:
    """Returns the MemoryPlans of a training step of an encoder with this config, on batches int [B, S].

    Args:
      config: a BertConfig, AlbertConfig, RobertaConfig or ElectraConfig.
      optimizer, precision: names in OPTIMIZERS and PRECISIONS.
      gradient_checkpointing: whether each block is recomputed in the backward pass, as set on the encoder.
      predictions: P, the masked positions of a row for the MLM head; 0 for a TextClassifier on the pooled output.
      num_classes: C of the classifier.
      generator: the ElectraConfig of a generator that shares the embeddings; `config` is then the discriminator's.
      gradient_accumulation_steps: the number of micro-batches that the batch is split into.

    Raises:
      ValueError: an unknown optimizer or precision, a config with relative attention, rows longer than the position
        table, or a generator without predictions.
    """
    for name, value, known in (("optimizer", optimizer, OPTIMIZERS), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}; expected one of {list(known)}")
    if not 0 < length <= config.max_position_embeddings:
        raise ValueError(f"length is {length}; expected 1 to {config.max_position_embeddings}, the config's positions")
    if generator and not predictions:
        raise ValueError("predictions is 0; expected the masked positions of a row, which the generator fills in")
    if getattr(config, "relative_attention", False):
        raise ValueError("relative_attention is True; expected False: the plan does not include its tensors")
    part = -(-batch_size // gradient_accumulation_steps)
    head = "rtd" if generator else "mlm" if predictions else "classifier"
    sizes = dict(batch_size=part, length=length, activation_bytes=PRECISIONS[precision])
    sizes |= dict(recompute=gradient_checkpointing, predictions=predictions, num_classes=num_classes)
    step = Step(config, head, **sizes)
    moments, count = step.moments(), sum(step.weights.values())
    if generator:
        other = Step(generator, "mlm", **sizes)
        moments = with_generator(moments, other)
        count += other.own_weights()
    state = {"weights": FLOAT32 * count, "optimizer": FLOAT32 * OPTIMIZERS[optimizer] * count}
    plans = []
    for moment, parts in moments.items():
        if gradient_accumulation_steps > 1:
            summed = {"sum of the micro-batches' gradients": FLOAT32 * count}
            parts = parts | {"gradients": parts.get("gradients", {}) | summed}
        sums = {part: sum(parts.get(part, {}).values()) for part in PARTS} | state
        tensors = {name: size for tensors in parts.values() for name, size in tensors.items()}
        plans.append(MemoryPlan(moment, **sums, tensors=tensors))
    return plans


def with_generator(moments, generator):
    """The moments of a discriminator, with what its generator (a Step) holds at the time, and the generator's own."""
    gradients = {"gradients of the generator": FLOAT32 * generator.own_weights()}
    own = {"the generator's loss": generator.moments()["the loss"]}
    for moment, parts in moments.items():
        if moment == "the update":
            own[moment] = parts | {"gradients": parts["gradients"] | gradients}
            continue
        kept = {f"generator: {name}": size for name, size in generator.kept().items()}
        own[moment] = parts | {"activations": parts["activations"] | kept, "logits": generator.logits(2)}
    return own


def largest_batch(config, length: int, device_bytes: float, **options) -> int:
    """Returns the largest batch whose plan fits into `device_bytes`, 0 if none does; options as in `memory_moments`."""

    def fits(batch_size):
        return plan_memory(config, batch_size, length, **options).total <= device_bytes

    low, high = 0, 1
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


class Step:
    """The tensors of one training step: {part: {name: bytes}} for each moment at which memory may run out."""

    def __init__(self, config, head, batch_size, length, activation_bytes, recompute, predictions, num_classes):
        self.config, self.recompute, self.head = config, recompute, head
        self.predictions, self.num_classes = predictions, num_classes
        self.batch_size, self.tokens, self.bytes = batch_size, batch_size * length, activation_bytes
        self.embedding_size = getattr(config, "embedding_size", config.hidden_size)
        self.hidden = self.tokens * config.hidden_size  # [B, S, H]
        self.inner = self.tokens * config.intermediate_size  # [B, S, I]
        self.scores = self.tokens * config.num_attention_heads * length  # [B, N, S, S]
        # the last block below a pooler computes one position only, see Backbone.pooled
        self.whole_blocks = config.num_hidden_layers - (1 if head == "classifier" else 0)
        self.weights = self.count_weights()

    def count_weights(self):
        """{name: number of weights} of those that are trained."""
        from tfkor.models import ElectraConfig

        config = self.config
        V, E, H, I = config.vocab_size, self.embedding_size, config.hidden_size, config.intermediate_size  # noqa: E741
        albert, electra = hasattr(config, "num_hidden_groups"), isinstance(config, ElectraConfig)
        blocks = config.num_hidden_groups if albert else config.num_hidden_layers
        block = 4 * (H * H + H) + H * I + I + I * H + H + 4 * H
        return {
            "word embeddings": V * E,
            "other embeddings": (config.max_position_embeddings + config.type_vocab_size + 2) * E,
            "projection": E * H + H if albert or E != H else 0,
            "blocks": blocks * block,
            "pooler": 0 if electra or self.head == "mlm" else H * H + H,
            "head": {
                "mlm": H * E + 3 * E + V,
                "rtd": H * H + H + H + 1,
                "classifier": (H + 1) * self.num_classes,
            }[self.head],
        }

    def own_weights(self):
        """The number of weights without the embeddings, which generator and discriminator share."""
        return sum(count for name, count in self.weights.items() if not name.endswith("embeddings"))

    def moments(self):
        """{moment: {part: {name: bytes}}}; weights and the optimizer's state are there all the time."""
        weights = self.weights
        head = {"gradients of the head": FLOAT32 * (weights["head"] + weights["pooler"])}
        blocks = {"gradients of the blocks": FLOAT32 * (weights["blocks"] + weights["projection"])}
        tables = {"gradients of the embeddings": FLOAT32 * (weights["word embeddings"] + weights["other embeddings"])}
        kept = self.kept()
        recomputed = self.block(" of the block that is recomputed") if self.recompute else {}
        casts = {"weights in bfloat16": self.bytes * sum(weights.values())} if self.bytes < FLOAT32 else {}
        moments = {
            "the loss": {"activations": kept | self.pooled_block(), "logits": self.logits(3), "workspace": casts},
        }
        if self.whole_blocks:
            moments[f"the backward pass of block {self.whole_blocks - 1}"] = {
                "activations": kept,
                "logits": self.logits(2),
                "gradients": head,
                "workspace": recomputed | self.in_flight() | casts,
            }
            moments["the end of the backward pass"] = {
                "activations": self.embeddings(),
                "logits": self.logits(2),
                "gradients": head | blocks,
                "workspace": self.block(" of block 0") | self.in_flight() | casts,
            }
        moments["the update"] = {"gradients": head | blocks | tables, "workspace": casts}
        return moments

    def kept(self):
        """What the forward pass keeps for the backward pass: all of a block, or its input if it is recomputed."""
        blocks = self.whole_blocks
        if self.recompute:
            return self.embeddings() | {f"inputs of {blocks} blocks": blocks * self.bytes * self.hidden}
        tensors = {f"{name} of {blocks} blocks": blocks * size for name, size in self.block().items()}
        return self.embeddings() | tensors

    def embeddings(self):
        values = self.tokens * self.embedding_size  # [B, S, E]
        tensors = {"sum of embeddings, difference from its mean": 2 * self.bytes * values}
        if self.config.hidden_dropout_prob:
            tensors["random bits of the embeddings' dropout"] = RANDOM_BITS * values
        if self.weights["projection"]:
            tensors["embeddings before the projection"] = self.bytes * values
        return tensors

    def block(self, of=""):
        """What the backward pass of one block needs of its forward pass."""
        hidden, inner, scores = (self.bytes * size for size in (self.hidden, self.inner, self.scores))
        tensors = {
            "input": hidden,
            "queries, keys, values": 3 * hidden,
            "exponentials of the scores": FLOAT32 * self.scores,
            "probabilities after dropout": scores,
            "context": hidden,
            "sum before the first norm, difference from its mean": 2 * hidden,
            "output of the first norm": hidden,
            "intermediate layer, its erf or tanh, its activation": 3 * inner,
            "sum before the second norm, difference from its mean": 2 * hidden,
        }
        if self.config.attention_probs_dropout_prob:
            tensors["random bits of the attention's dropout"] = RANDOM_BITS * self.scores
        if self.config.hidden_dropout_prob:
            tensors["random bits of two dropouts"] = 2 * RANDOM_BITS * self.hidden
        return {name + of: size for name, size in tensors.items()}

    def pooled_block(self):
        """What the last block keeps of all tokens when it computes only one position."""
        values = 3 * self.bytes * self.hidden
        return {"input, keys and values of the last block": values} if self.head == "classifier" else {}

    def in_flight(self):
        """The gradients that the backward pass of a block holds at once."""
        hidden = self.bytes * self.hidden
        return {
            "gradient of the intermediate layer, or of the scores": max(self.bytes * self.inner, FLOAT32 * self.scores),
            "gradients of keys and values, each in a buffer for both": 4 * hidden,
            "gradients of three hidden states": 3 * hidden,
        }

    def logits(self, copies):
        """Logits float32 [B, P, V], or [B, C] of a classifier; their gradient; at the loss, their exponentials.

        The first two are kept to the end of the step, where the gradient of the word embeddings is computed from them.
        """
        size = {
            "mlm": self.batch_size * self.predictions * self.config.vocab_size,
            "rtd": self.tokens,
            "classifier": self.batch_size * self.num_classes,
        }[self.head]
        return {f"logits and what has their shape, {copies} times": copies * FLOAT32 * size}


def compiled_memory(step, batch: dict) -> int:
    """Returns the bytes that XLA plans for a TrainStep: arguments and temporaries. Nothing is allocated or run.

    On a CPU, JAX needs XLA_FLAGS=--xla_cpu_scheduler_type=CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED for the smallest value.

    Args:
      step: a TrainStep on the JAX backend.
      batch: {name: (shape, dtype)}, as the step takes them.
    """
    import jax

    state = [[jax.ShapeDtypeStruct(v.shape, v.dtype) for v in group] for group in step.variables()]
    shapes = {name: jax.ShapeDtypeStruct(shape, np.dtype(dtype)) for name, (shape, dtype) in batch.items()}
    found = step.compiled.fn.lower(state, shapes).compile().memory_analysis()
    outputs = found.output_size_in_bytes - found.alias_size_in_bytes  # the state is updated in place
    return found.argument_size_in_bytes + outputs + found.temp_size_in_bytes
