"""Pretrains BERT, ALBERT, RoBERTa or ELECTRA on shards of create_pretraining_data.

  python -m tfkor.scripts.run_pretraining --shards=runs/shards --model=electra --size=small --steps=100000 \\
      --batch_size=128 --learning_rate=5e-4 --precision=mixed_bfloat16 --model_dir=runs/electra
  python -m tfkor.scripts.run_pretraining --recipe=bert_hour --shards=runs/shards --model_dir=runs/bert
  KERAS_BACKEND=jax python -m tfkor.scripts.run_pretraining ...     on the JAX backend

--strategy says which devices train. On several machines each runs the same command: TF_CONFIG says who is who, on JAX
KERAS_DISTRIBUTION_JOB_ADDRESSES (host:port,host:port), KERAS_DISTRIBUTION_NUM_PROCESSES and _PROCESS_ID.

The same command goes on with a run that ended, in whatever way. --model_dir then holds encoder/ with its tokenizer, for
run_classifier --init_checkpoint, generator/ for ELECTRA, log.jsonl and checkpoints/. The last line printed is one JSON
object with the figures.
"""

import hashlib
import importlib
import json
from pathlib import Path

from absl import app, flags

from tfkor import zoo
from tfkor.scripts import run_program, say

FLAGS = flags.FLAGS

OBJECTIVES = {"bert": "mlm,nsp", "albert": "mlm,sop", "electra": "rtd"}  # of others: mlm
SCHEDULES = ("linear", "triangular", "poly")
PRECISIONS = ("float32", "mixed_bfloat16")
# A run goes on with the same values of these. The others may change: how it logs, saves and uses its devices
DECISIVE = (
    "init_checkpoint", "model", "size", "generator_size", "max_positions", "hidden_dropout", "attention_dropout",
    "objectives", "masking", "mask_rate", "max_predictions", "static_masks", "packing", "length", "batch_size",
    "long_length", "long_batch_size", "long_share", "optimizer", "learning_rate", "schedule", "warmup", "power",
    "weight_decay", "clip_norm", "precision", "seed", "held_out",
)  # fmt: skip
# What TFRecords have in them, or can't have
NOT_OF_TFRECORDS = (
    "masking", "mask_rate", "max_predictions", "static_masks", "packing", "length", "long_length", "long_batch_size",
    "long_share", "held_out", "evaluate_every", "on_damaged_shard",
)  # fmt: skip


def define_flags():
    flags.DEFINE_string("recipe", None, "A recipe of tfkor.recipes, whose flags become the defaults.")
    flags.DEFINE_string("shards", None, "Folder that create_pretraining_data wrote.")
    flags.DEFINE_list("tfrecords", None, "In place of shards: files that google-research/bert or Model Garden wrote.")
    flags.DEFINE_string("tokenizer_dir", None, "For --tfrecords: the tokenizer whose vocabulary made them.")
    flags.DEFINE_string("model_dir", None, "Folder of the run; the same command goes on with what is in it.")
    flags.DEFINE_string("init_checkpoint", None, "Where to start: another run, a published checkpoint, or its name.")
    # Model
    flags.DEFINE_enum("model", "bert", zoo.NAMES, "Architecture.")
    flags.DEFINE_string("size", "small", "Size of the encoder: tiny, mini, small, base, large ...")
    flags.DEFINE_float(
        "generator_size", None, "ELECTRA: the generator's share of the width; by default the paper's.", 0.01, 1.0
    )
    flags.DEFINE_integer("max_positions", 512, "Ids that a row of the encoder may have.", lower_bound=3)
    flags.DEFINE_float("hidden_dropout", 0.1, "Dropout of embeddings and layers.", 0.0, 0.99)
    flags.DEFINE_float("attention_dropout", 0.1, "Dropout of attention.", 0.0, 0.99)
    # Objective
    flags.DEFINE_list("objectives", None, "mlm; mlm,nsp; mlm,sop; rtd. By default those of the model's paper.")
    flags.DEFINE_list(
        "masking", ["token"], "What is masked as a whole: token, whole_word, eojeol, span; or a mixture, span:1,token:1"
    )
    flags.DEFINE_float("mask_rate", 0.15, "Share of the tokens to predict.", 0.001, 0.999)
    flags.DEFINE_integer(
        "max_predictions", None, "Positions to predict in a row; by default mask_rate of its length.", lower_bound=1
    )
    flags.DEFINE_bool("static_masks", False, "The same masks in each epoch.")
    flags.DEFINE_bool("packing", False, "Put short documents together into a row, without attention across them.")
    # Rows
    flags.DEFINE_integer("length", 128, "Ids of a row.", lower_bound=3)
    flags.DEFINE_integer("batch_size", 64, "Rows of a step, on all devices together.", lower_bound=1)
    flags.DEFINE_integer("long_length", None, "Ids of a row in the last steps, 512 for example.", lower_bound=3)
    flags.DEFINE_integer(
        "long_batch_size", None, "Rows of these steps; by default the same number of ids.", lower_bound=1
    )
    flags.DEFINE_float("long_share", 0.1, "Share of these steps.", 0.001, 0.999)
    # Training
    flags.DEFINE_integer("steps", None, "Training steps.", lower_bound=1)
    flags.DEFINE_float(
        "train_hours", None, "Time to train instead: the number of steps is fitted to it, and kept.", lower_bound=0.001
    )
    flags.DEFINE_enum("optimizer", "adamw", ("adamw", "lamb"), "LAMB suits batches of thousands of rows.")
    flags.DEFINE_float("learning_rate", 5e-4, "Highest learning rate.", lower_bound=0.0)
    flags.DEFINE_enum("schedule", "linear", SCHEDULES, "Decay in a line, to a peak in the middle, or as a power.")
    flags.DEFINE_float(
        "warmup", 0.1, "Share of the steps in which the learning rate rises; triangular has 0.5.", 0.0, 1.0
    )
    flags.DEFINE_float("power", 2.0, "Of the schedule poly.", lower_bound=0.0)
    flags.DEFINE_float("weight_decay", 0.01, "Not of biases and norms.", lower_bound=0.0)
    flags.DEFINE_float("clip_norm", 1.0, "Largest norm of the gradient.", lower_bound=1e-6)
    flags.DEFINE_integer("accumulation", 1, "A batch is worked through in so many parts: less memory.", lower_bound=1)
    flags.DEFINE_enum("precision", "float32", PRECISIONS, "Arithmetic of the encoder; weights are float32.")
    flags.DEFINE_enum("jit_compile", "auto", ("auto", "true", "false"), "XLA on TensorFlow; auto: on GPU and TPU.")
    flags.DEFINE_bool("remat", False, "Recompute each layer in the backward pass: less memory, slower.")
    flags.DEFINE_string(
        "strategy", "one", "one, mirrored, multi_worker, parameter_server, tpu; on JAX data_parallel, model_parallel."
    )
    flags.DEFINE_integer("model_axis", 2, "For model_parallel: devices that a layer is cut over.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "The same seed gives the same run.", lower_bound=0)
    # Log, evaluation, checkpoints
    flags.DEFINE_float("held_out", 0.005, "Share of the documents to evaluate on.", 0.0, 0.999)
    flags.DEFINE_integer("evaluate_every", 1000, "Steps between evaluations; 0: at the end only.", lower_bound=0)
    flags.DEFINE_integer("log_every", 50, "Steps between lines of log.jsonl.", lower_bound=1)
    flags.DEFINE_integer("save_every", 500, "Steps between checkpoints; 0: at the end only.", lower_bound=0)
    flags.DEFINE_integer("keep", 3, "Checkpoints to keep.", lower_bound=1)
    flags.DEFINE_enum("on_damage", "skip", ("skip", "stop"), "What to do with a damaged checkpoint.")
    flags.DEFINE_enum("on_damaged_shard", "stop", ("skip", "stop"), "What to do with a damaged shard.")
    flags.DEFINE_string("tensorboard_dir", None, "Folder for TensorBoard.")


def apply_recipe():
    """Makes the flags of a recipe defaults; what the command line says wins."""
    if not FLAGS.recipe:
        return
    try:
        recipe = importlib.import_module(f"tfkor.recipes.{FLAGS.recipe}")
    except ModuleNotFoundError as error:
        from tfkor import recipes

        raise app.UsageError(f"--recipe={FLAGS.recipe}; expected one of {', '.join(recipes.names())}") from error
    budgets = ("steps", "train_hours")
    own_budget = any(FLAGS[name].present for name in budgets)
    for name, value in recipe.FLAGS.items():
        if not FLAGS[name].present and not (own_budget and name in budgets):
            FLAGS[name].value = value


def check_flags():
    apply_recipe()
    if not FLAGS.model_dir:
        raise app.UsageError("--model_dir is missing")
    if bool(FLAGS.shards) == bool(FLAGS.tfrecords):
        raise app.UsageError("expected one of --shards and --tfrecords")
    if FLAGS.tfrecords and not FLAGS.tokenizer_dir:
        raise app.UsageError("--tfrecords needs --tokenizer_dir, the tokenizer that made the ids")
    if FLAGS.tfrecords and (found := [f"--{name}" for name in NOT_OF_TFRECORDS if FLAGS[name].present]):
        raise app.UsageError(
            f"found {', '.join(found)} with --tfrecords, whose rows are made; expected them with --shards"
        )
    if FLAGS.tokenizer_dir and not FLAGS.tfrecords:
        raise app.UsageError("found --tokenizer_dir with --shards, which hold their tokenizer; expected one of both")
    if (FLAGS.steps is None) == (FLAGS.train_hours is None):
        raise app.UsageError("expected one of --steps and --train_hours")
    objectives = FLAGS.objectives or OBJECTIVES.get(FLAGS.model, "mlm").split(",")
    allowed = [["rtd"]] if FLAGS.model == "electra" else [["mlm"], ["mlm", "nsp"], ["mlm", "sop"]]
    if objectives not in allowed:
        told = " or ".join(",".join(each) for each in allowed)
        raise app.UsageError(f"--objectives={','.join(objectives)} with --model={FLAGS.model}; expected {told}")
    check_rows(objectives)
    return objectives


def check_rows(objectives):
    from tfkor.pretraining.rows import least_length

    pairs = objectives[1] if len(objectives) > 1 else None
    for name in ("length", "long_length"):
        if FLAGS[name].value is not None and FLAGS[name].value < least_length(pairs):
            told = ",".join(objectives)
            raise app.UsageError(
                f"--{name}={FLAGS[name].value} with --objectives={told}; expected {least_length(pairs)} at least"
            )


def masking_units():
    """--masking -> a unit, or a dict of units and shares."""
    parts = [part.partition(":") for part in FLAGS.masking]
    if len(parts) == 1 and not parts[0][1]:
        return parts[0][0]
    try:
        return {unit: float(share) for unit, _, share in parts}
    except ValueError as error:
        found = ",".join(FLAGS.masking)
        raise app.UsageError(f"--masking={found}; expected a unit, or unit:share,unit:share") from error


def load_start(tokenizer):
    """{name: tfkor.interop.Pretrained} of --init_checkpoint: the encoders of a run, or one alone."""
    if not FLAGS.init_checkpoint:
        return {}
    folder = Path(FLAGS.init_checkpoint)
    names = ("encoder", "generator") if FLAGS.model == "electra" else ("encoder",)
    folders = {name: folder / name for name in names if (folder / name / "config.json").is_file()}
    options = dict(dtype=FLAGS.precision, **dropout(), **zoo.known_options(FLAGS.init_checkpoint))
    if not folders and not zoo.is_own(folder):  # the shards say what google-research's files don't
        options["lowercase"] = tokenizer.normalizer.lowercase
    start = {name: zoo.load_with_heads(source, **options) for name, source in (folders or {"encoder": folder}).items()}
    if FLAGS.model == "electra" and not folders and any(folder.glob("*.index")):  # google-research's hold both networks
        from tfkor.interop import load_pretrained

        start["generator"] = load_pretrained(folder, generator=True, **options)
    return start


def dropout():
    return {"hidden_dropout_prob": FLAGS.hidden_dropout, "attention_probs_dropout_prob": FLAGS.attention_dropout}


def make_model(objectives, tokenizer, start):
    """The objective with its encoders; `start`: what `load_start` found to take weights from."""
    from tfkor.pretraining import MaskedLanguageModel, ReplacedTokenDetection
    from tfkor.pretraining.starting import check_tokenizer, take_heads

    encoder_class, config_class = zoo.get_architecture(FLAGS.model)
    if "encoder" in start:
        encoder = start["encoder"].encoder
        if type(encoder) is not encoder_class or encoder.config.vocab_size < tokenizer.vocab_size:
            raise ValueError(
                f"--init_checkpoint: found {type(encoder).__name__} with {encoder.config.vocab_size} tokens; expected "
                f"{encoder_class.__name__} with at least the {tokenizer.vocab_size} of the shards"
            )
        ids = f"--shards={FLAGS.shards}" if FLAGS.shards else f"--tokenizer_dir={FLAGS.tokenizer_dir}"
        if line := check_tokenizer(FLAGS.init_checkpoint, start["encoder"].tokenizer, ids, tokenizer):
            say(line)
    else:
        positions = FLAGS.max_positions + config_class.position_offset
        config = config_class.of(
            FLAGS.size, vocab_size=tokenizer.vocab_size, max_position_embeddings=positions, **dropout()
        )
        encoder = encoder_class(config, dtype=FLAGS.precision)
    encoder.gradient_checkpointing = FLAGS.remat
    if objectives == ["rtd"]:
        model = ReplacedTokenDetection(make_generator(encoder, start.get("generator")), encoder)
    else:
        model = MaskedLanguageModel(encoder, objectives[1] if len(objectives) > 1 else None)
    if start:
        for line in take_heads(model, start):
            say(f"--init_checkpoint={FLAGS.init_checkpoint}: {line}")
    return model


def make_generator(encoder, start):
    """ELECTRA's generator: of --generator_size, or the one of a checkpoint."""
    config = encoder.config.generator(FLAGS.generator_size)
    if start is not None:
        found = start.encoder.config
        if FLAGS.generator_size and found.hidden_size != config.hidden_size:
            raise ValueError(
                f"--generator_size={FLAGS.generator_size} is {config.hidden_size} wide, but the generator of "
                f"--init_checkpoint={FLAGS.init_checkpoint} {found.hidden_size}; leave --generator_size out"
            )
        config = found
    generator = type(encoder)(config, embeddings=encoder.embeddings, dtype=FLAGS.precision)
    generator.gradient_checkpointing = FLAGS.remat
    if start is not None:
        shared = {id(v) for v in encoder.embeddings.variables}
        for ours, theirs in zip(generator.variables, start.encoder.variables, strict=True):
            if id(ours) not in shared:
                ours.assign(theirs)
    return generator


def make_phases(shards, tokenizer, objectives):
    """The phases of the run; `shards` None for TFRecords, which have no held-out part."""
    from tfkor.pretraining import Masking, Phase, PretrainingBatches, Recipe

    if shards is None:
        from tfkor.pretraining.tfrecords import TFRecordBatches

        pairs = objectives[1] if len(objectives) > 1 else None
        options = dict(pairs=pairs, replaced_tokens=objectives == ["rtd"], seed=FLAGS.seed)
        return [Phase(TFRecordBatches(FLAGS.tfrecords, tokenizer, FLAGS.batch_size, **options))]
    shares = dict(mask_share=0.85, random_share=0.0) if objectives == ["rtd"] else {}
    masking = Masking(masking_units(), FLAGS.mask_rate, **shares)

    def phase(length, batch_size, share, seed):
        recipe = Recipe(
            length=length,
            max_predictions=FLAGS.max_predictions,
            pairs=objectives[1] if len(objectives) > 1 else None,
            packing=FLAGS.packing,
            masking=masking,
            static_masks=FLAGS.static_masks,
            replaced_tokens=objectives == ["rtd"],
        )
        common = dict(seed=seed, held_out=FLAGS.held_out, on_damage=FLAGS.on_damaged_shard)
        held_out = PretrainingBatches(shards, recipe, batch_size, part="held_out", **common) if FLAGS.held_out else None
        return Phase(PretrainingBatches(shards, recipe, batch_size, **common), share, held_out)

    if not FLAGS.long_length:
        return [phase(FLAGS.length, FLAGS.batch_size, 1.0, FLAGS.seed)]
    long_batch = FLAGS.long_batch_size or max(1, FLAGS.batch_size * FLAGS.length // FLAGS.long_length)
    return [
        phase(FLAGS.length, FLAGS.batch_size, 1 - FLAGS.long_share, FLAGS.seed),
        phase(FLAGS.long_length, long_batch, FLAGS.long_share, FLAGS.seed + 1),
    ]


def decisive_values(tokenizer, shards):
    """{name of a flag: value} of all that decides the run, as plan.json keeps them."""
    values = {name: FLAGS[name].value for name in DECISIVE}
    if shards:
        sums = [entry["sha256"] for entry in shards.manifest["shards"]]
        values["shards"] = "SHA-256 " + hashlib.sha256(json.dumps(sums).encode()).hexdigest()[:16]
    else:
        values["tfrecords"] = [Path(name).name for name in FLAGS.tfrecords]
    return values | {"tokenizer": tokenizer.fingerprint[:16]}


def devices_of_flags():
    from tfkor.training.strategies import make_devices

    try:
        return make_devices(FLAGS.strategy, FLAGS.model_axis)
    except Exception as error:
        if FLAGS.strategy != "tpu" or isinstance(error, ValueError):
            raise
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise ValueError(
            f"--strategy=tpu: no TPU answers ({reason}); expected a machine with one, or its name in TPU_NAME"
        ) from error


def job():
    objectives = check_flags()
    import keras

    from tfkor.data import ShardFolder
    from tfkor.pretraining import Pretraining, show_predictions
    from tfkor.text import Tokenizer
    from tfkor.training import AdamW, Lamb
    from tfkor.training.flops import matmul_rate
    from tfkor.training.optimizers import NO_WEIGHT_DECAY

    devices = devices_of_flags()
    keras.utils.set_random_seed(FLAGS.seed)
    shards, folder = ShardFolder(FLAGS.shards) if FLAGS.shards else None, Path(FLAGS.model_dir)
    tokenizer = shards.tokenizer if shards else Tokenizer.load(FLAGS.tokenizer_dir)
    with devices.scope():
        model = make_model(objectives, tokenizer, load_start(tokenizer))
        make = {"adamw": AdamW, "lamb": Lamb}[FLAGS.optimizer]
        optimizer = make(FLAGS.learning_rate, weight_decay=FLAGS.weight_decay, epsilon=1e-6)
        optimizer.exclude_from_weight_decay(var_names=NO_WEIGHT_DECAY)
    phases = make_phases(shards, tokenizer, objectives)
    for name, encoder in model.encoders.items():
        say(f"{name}: {type(encoder).__name__}, {encoder.count_params():,} parameters")
    text = f"{shards.manifest['tokens']:,} tokens in {len(shards)} shards" if shards else "TFRecords"
    say(f"{text}, {devices.replicas} replicas, {keras.backend.backend()} backend")

    def leave_encoders():
        for name, encoder in model.encoders.items():
            zoo.save(folder / name, encoder, tokenizer, overwrite=True, heads=model.heads[name])

    def samples(step, figures, batch):
        told = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        say(f"\nstep {step}  {told}")
        for line in show_predictions(model, batch, tokenizer):
            say(f"  {line}")

    rate = matmul_rate("bfloat16" if FLAGS.precision == "mixed_bfloat16" else "float32") * max(1, devices.replicas)
    run = Pretraining(
        folder,
        model,
        optimizer,
        phases,
        learning_rate=FLAGS.learning_rate,
        steps=FLAGS.steps,
        hours=FLAGS.train_hours,
        warmup=0.5 if FLAGS.schedule == "triangular" else FLAGS.warmup,
        power=FLAGS.power if FLAGS.schedule == "poly" else 1.0,
        clip_norm=FLAGS.clip_norm,
        accumulation=FLAGS.accumulation,
        jit_compile={"auto": None, "true": True, "false": False}[FLAGS.jit_compile],
        strategy=devices.strategy,
        log_every=FLAGS.log_every,
        evaluate_every=FLAGS.evaluate_every,
        save_every=FLAGS.save_every,
        on_evaluation=samples,
        keep=FLAGS.keep,
        on_damage=FLAGS.on_damage,
        tensorboard=FLAGS.tensorboard_dir,
        peak_flops=rate,
        chief=devices.chief,
        replicas=devices.replicas,
        settings=decisive_values(tokenizer, shards),
    )
    figures = run.train()
    if devices.chief:
        leave_encoders()
    return {**figures, "model_dir": str(folder), "encoder": str(folder / "encoder")}


if __name__ == "__main__":
    run_program(define_flags, job)
