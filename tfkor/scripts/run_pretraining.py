"""Pretrains BERT, ALBERT, RoBERTa or ELECTRA on the shards of create_pretraining_data.

  python -m tfkor.scripts.run_pretraining --shards=runs/shards --model=electra --size=small --steps=100000 \\
      --batch_size=128 --learning_rate=5e-4 --precision=mixed_bfloat16 --model_dir=runs/electra
  python -m tfkor.scripts.run_pretraining --recipe=bert_hour --shards=runs/shards --model_dir=runs/bert
  KERAS_BACKEND=jax python -m tfkor.scripts.run_pretraining ...     on the JAX backend

--strategy chooses the devices to train on. On several machines each runs the same command; the roles come from
TF_CONFIG, on JAX from KERAS_DISTRIBUTION_JOB_ADDRESSES (host:port,host:port), KERAS_DISTRIBUTION_NUM_PROCESSES and
KERAS_DISTRIBUTION_PROCESS_ID.

The same command resumes a run that was stopped or killed. In the end --model_dir holds encoder/ with its tokenizer, for
run_classifier --init_checkpoint, generator/ for ELECTRA, log.jsonl and checkpoints/. The last line printed is one JSON
object with the metrics.
"""

import dataclasses
import hashlib
import importlib
import json
from pathlib import Path

from absl import app, flags

import tfkor
from tfkor.models.registry import NAMES, get_architecture
from tfkor.pretraining.config import PretrainingConfig
from tfkor.scripts import run_program, say
from tfkor.scripts._flags import (
    config_of_flags,
    define_config_flags,
    define_old_names,
    messages_with_flags,
    note_old_names,
)

FLAGS = flags.FLAGS
RENAMED = {
    "accumulation": "gradient_accumulation_steps",
    "remat": "gradient_checkpointing",
    "evaluate_every": "eval_every",
}


def define_flags():
    flags.DEFINE_string("recipe", None, "Name of a module of tfkor.recipes, whose settings become the defaults.")
    define_config_flags(PretrainingConfig, choices={"model": NAMES})
    define_old_names(RENAMED)


def read_config():
    """The PretrainingConfig of --recipe and the flags; flags on the command line take precedence.

    Raises:
      UsageError: a flag has a wrong value; the message names it.
    """
    note_old_names(RENAMED)
    settings = recipe_settings()
    check_tfrecords()
    try:
        with messages_with_flags(PretrainingConfig):
            return config_of_flags(PretrainingConfig, settings)
    except ValueError as error:
        raise app.UsageError(str(error)) from error


def recipe_settings():
    """The settings of --recipe, without its steps and hours if the command line has one of them."""
    if not FLAGS.recipe:
        return {}
    try:
        recipe = importlib.import_module(f"tfkor.recipes.{FLAGS.recipe}")
    except ModuleNotFoundError as error:
        from tfkor import recipes

        raise app.UsageError(f"--recipe={FLAGS.recipe}; expected one of {', '.join(recipes.names())}") from error
    budgets = ("steps", "train_hours")
    own_budget = any(FLAGS[name].present for name in budgets)
    return {name: value for name, value in recipe.SETTINGS.items() if not (own_budget and name in budgets)}


def check_tfrecords():
    """Raises UsageError for flags that have no effect with --tfrecords."""
    names = [field.name for field in dataclasses.fields(PretrainingConfig) if field.metadata["of_rows"]]
    if FLAGS.tfrecords and (found := [f"--{name}" for name in names if FLAGS[name].present]):
        raise app.UsageError(
            f"found {', '.join(found)} with --tfrecords, whose rows are fixed; expected them only with --shards"
        )


def load_start(config, tokenizer):
    """{name: tfkor.interop.Pretrained} of init_checkpoint: the encoders of a run, or one alone."""
    if not config.init_checkpoint:
        return {}
    folder, names = Path(config.init_checkpoint), config.objective.encoder_names
    folders = {name: folder / name for name in names if (folder / name / "config.json").is_file()}
    options = dict(dtype=config.precision, **dropout(config), **tfkor.zoo.known_options(config.init_checkpoint))
    if not folders and not tfkor.zoo.is_own(folder):  # google-research's files don't have it, the shards do
        options["lowercase"] = tokenizer.normalizer.lowercase
    sources = folders or {"encoder": folder}
    start = {name: tfkor.zoo.load_with_heads(source, **options) for name, source in sources.items()}
    if "generator" in names and not folders and any(folder.glob("*.index")):  # google-research's hold both networks
        from tfkor.interop import load_pretrained

        start["generator"] = load_pretrained(folder, generator=True, **options)
    return start


def dropout(config):
    return dict(hidden_dropout_prob=config.hidden_dropout, attention_probs_dropout_prob=config.attention_dropout)


def make_model(config, tokenizer, start):
    """The objective with its encoders, with the weights of `start`, which is what `load_start` returns."""
    from tfkor.pretraining.starting import take_heads

    encoder = make_encoder(config, tokenizer, start.get("encoder"))
    encoder.gradient_checkpointing = config.gradient_checkpointing
    encoders = {name: found.encoder for name, found in start.items()}
    model = config.objective.of(encoder, config.pairs, config, encoders)
    if start:
        for line in take_heads(model, start):
            say(f"--init_checkpoint={config.init_checkpoint}: {line}")
    return model


def make_encoder(config, tokenizer, start):
    """A new encoder, or that of a checkpoint if its architecture and tokenizer fit."""
    from tfkor.pretraining.starting import check_tokenizer

    encoder_class, config_class = get_architecture(config.model)
    if start is None:
        positions = config.max_positions + config_class.position_offset
        sizes = dict(vocab_size=tokenizer.vocab_size, max_position_embeddings=positions)
        return encoder_class(config_class.of(config.size, **sizes, **dropout(config)), dtype=config.precision)
    encoder = start.encoder
    if type(encoder) is not encoder_class or encoder.config.vocab_size < tokenizer.vocab_size:
        raise ValueError(
            f"init_checkpoint: found {type(encoder).__name__} with {encoder.config.vocab_size} tokens; expected "
            f"{encoder_class.__name__} with at least the {tokenizer.vocab_size} of the shards"
        )
    ids = f"shards={config.shards}" if config.shards else f"tokenizer_dir={config.tokenizer_dir}"
    if line := check_tokenizer(config.init_checkpoint, start.tokenizer, ids, tokenizer):
        say(line)
    return encoder


def make_optimizer(config):
    from tfkor.training import AdamW, Lamb
    from tfkor.training.optimizers import NO_WEIGHT_DECAY

    make = {"adamw": AdamW, "lamb": Lamb}[config.optimizer]
    optimizer = make(config.learning_rate, weight_decay=config.weight_decay, epsilon=1e-6)
    optimizer.exclude_from_weight_decay(var_names=NO_WEIGHT_DECAY)
    return optimizer


def data_settings(config, tokenizer, shards):
    """{name: value} that identify the training data in plan.json by content, so that they may be moved."""
    values = {"tokenizer": tokenizer.fingerprint[:16]}
    if shards is None:
        return values | {"tfrecords": [Path(name).name for name in config.tfrecords]}
    sums = [entry["sha256"] for entry in shards.manifest["shards"]]
    return values | {"shards": "SHA-256 " + hashlib.sha256(json.dumps(sums).encode()).hexdigest()[:16]}


class Samples:
    """Callback that prints the metrics of an evaluation, and the predictions for a few rows."""

    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model, tokenizer

    def on_evaluation(self, step, metrics, batch):
        values = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        say(f"\nstep {step}  {values}")
        for line in self.model.samples(batch, self.tokenizer):
            say(f"  {line}")


def job():
    config = read_config()
    with messages_with_flags(PretrainingConfig):
        return train(config)


def train(config):
    """Trains or resumes; returns the metrics at the end."""
    import keras

    from tfkor.data import ShardFolder
    from tfkor.pretraining import Pretraining, make_phases
    from tfkor.text import Tokenizer
    from tfkor.training.devices import make_devices
    from tfkor.training.flops import matmul_rate

    devices = make_devices(config.strategy, config.model_axis)
    keras.utils.set_random_seed(config.seed)
    shards, folder = ShardFolder(config.shards) if config.shards else None, Path(config.model_dir)
    tokenizer = shards.tokenizer if shards else Tokenizer.load(config.tokenizer_dir)
    with devices.scope():
        model = make_model(config, tokenizer, load_start(config, tokenizer))
        optimizer = make_optimizer(config)
    phases = make_phases(config, shards, tokenizer)
    for name, encoder in model.encoders.items():
        say(f"{name}: {type(encoder).__name__}, {encoder.count_params():,} parameters")
    text = f"{shards.manifest['tokens']:,} tokens in {len(shards)} shards" if shards else "TFRecords"
    say(f"{text}, {devices.replicas} replicas, {keras.backend.backend()} backend")
    rate = matmul_rate("bfloat16" if config.precision == "mixed_bfloat16" else "float32") * max(1, devices.replicas)
    run = Pretraining(
        folder,
        model,
        optimizer,
        phases,
        config,
        devices=devices,
        peak_flops=rate,
        callbacks=[Samples(model, tokenizer)],
        settings=data_settings(config, tokenizer, shards),
    )
    metrics = run.train()
    if devices.chief:
        for name, encoder in model.encoders.items():
            tfkor.zoo.save(folder / name, encoder, tokenizer, overwrite=True, heads=model.heads[name])
    return {**metrics, "model_dir": str(folder), "encoder": str(folder / "encoder")}


if __name__ == "__main__":
    run_program(define_flags, job)
