"""The phases of a run: short rows for most steps, long rows at the end, as BERT was trained."""

from dataclasses import dataclass

from tfkor.pretraining.batches import PretrainingBatches
from tfkor.pretraining.tfrecords import TFRecordBatches


@dataclass(frozen=True)
class Phase:
    """A part of a run: `share` is the fraction of its steps on these batches; `held_out` is evaluated on."""

    batches: PretrainingBatches | TFRecordBatches
    share: float = 1.0
    held_out: PretrainingBatches | None = None


def make_phases(config, shards, tokenizer) -> list[Phase]:
    """Returns the phases of a run.

    Args:
      config: a PretrainingConfig.
      shards: a tfkor.data.ShardFolder, or None for TFRecords, which have one phase and no held-out set.
      tokenizer: the Tokenizer of TFRecords; shards have their own.
    """
    if shards is None:
        options = dict(pairs=config.pairs, objective=config.objective_names[0], seed=config.seed)
        return [Phase(TFRecordBatches(config.tfrecords, tokenizer, config.batch_size, **options))]

    def phase(length, batch_size, fraction, seed):
        recipe = config.recipe(length)
        common = dict(seed=seed, held_out=config.held_out, on_damage=config.on_damaged_shard)
        train = PretrainingBatches(shards, recipe, batch_size, **common)
        held_out = PretrainingBatches(shards, recipe, batch_size, part="held_out", **common)
        return Phase(train, fraction, held_out if config.held_out else None)

    if not config.long_length:
        return [phase(config.length, config.batch_size, 1.0, config.seed)]
    long_batch = config.long_batch_size or max(1, config.batch_size * config.length // config.long_length)
    return [
        phase(config.length, config.batch_size, 1 - config.long_share, config.seed),
        phase(config.long_length, long_batch, config.long_share, config.seed + 1),
    ]
