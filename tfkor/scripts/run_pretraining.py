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

import importlib
from pathlib import Path

from absl import app, flags

from tfkor import zoo
from tfkor.scripts import run_program, say

FLAGS = flags.FLAGS

OBJECTIVES = {"bert": "mlm,nsp", "albert": "mlm,sop", "roberta": "mlm", "electra": "rtd"}
SCHEDULES = ("linear", "triangular", "poly")
PRECISIONS = ("float32", "mixed_bfloat16")


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
    flags.DEFINE_float("generator_size", None, "ELECTRA: the generator's share of the width; by default the paper's.")
    flags.DEFINE_integer("max_positions", 512, "Ids that a row of the encoder may have.")
    flags.DEFINE_float("hidden_dropout", 0.1, "Dropout of embeddings and layers.")
    flags.DEFINE_float("attention_dropout", 0.1, "Dropout of attention.")
    # Objective
    flags.DEFINE_list("objectives", None, "mlm; mlm,nsp; mlm,sop; rtd. By default those of the model's paper.")
    flags.DEFINE_list(
        "masking", ["token"], "What is masked as a whole: token, whole_word, eojeol, span; or a mixture, span:1,token:1"
    )
    flags.DEFINE_float("mask_rate", 0.15, "Share of the tokens to predict.")
    flags.DEFINE_integer("max_predictions", None, "Positions to predict in a row; by default mask_rate of its length.")
    flags.DEFINE_bool("static_masks", False, "The same masks in each epoch.")
    flags.DEFINE_bool("packing", False, "Put short documents together into a row, without attention across them.")
    # Rows
    flags.DEFINE_integer("length", 128, "Ids of a row.")
    flags.DEFINE_integer("batch_size", 64, "Rows of a step, on all devices together.")
    flags.DEFINE_integer("long_length", None, "Ids of a row in the last steps, 512 for example.")
    flags.DEFINE_integer("long_batch_size", None, "Rows of these steps; by default the same number of ids.")
    flags.DEFINE_float("long_share", 0.1, "Share of these steps.")
    # Training
    flags.DEFINE_integer("steps", None, "Training steps.")
    flags.DEFINE_float("train_hours", None, "Time to train instead: the number of steps is fitted to it, and kept.")
    flags.DEFINE_enum("optimizer", "adamw", ("adamw", "lamb"), "LAMB suits batches of thousands of rows.")
    flags.DEFINE_float("learning_rate", 5e-4, "Highest learning rate.")
    flags.DEFINE_enum("schedule", "linear", SCHEDULES, "Decay in a line, to a peak in the middle, or as a power.")
    flags.DEFINE_float("warmup", 0.1, "Share of the steps in which the learning rate rises; triangular has 0.5.")
    flags.DEFINE_float("power", 2.0, "Of the schedule poly.")
    flags.DEFINE_float("weight_decay", 0.01, "Not of biases and norms.")
    flags.DEFINE_float("clip_norm", 1.0, "Largest norm of the gradient.")
    flags.DEFINE_integer("accumulation", 1, "A batch is worked through in so many parts: less memory.")
    flags.DEFINE_enum("precision", "float32", PRECISIONS, "Arithmetic of the encoder; weights are float32.")
    flags.DEFINE_enum("jit_compile", "auto", ("auto", "true", "false"), "XLA on TensorFlow; auto: on GPU and TPU.")
    flags.DEFINE_bool("remat", False, "Recompute each layer in the backward pass: less memory, slower.")
    flags.DEFINE_string(
        "strategy", "one", "one, mirrored, multi_worker, parameter_server, tpu; on JAX data_parallel, model_parallel."
    )
    flags.DEFINE_integer("model_axis", 2, "For model_parallel: devices that a layer is cut over.")
    flags.DEFINE_integer("seed", 0, "The same seed gives the same run.")
    # Log, evaluation, checkpoints
    flags.DEFINE_float("held_out", 0.005, "Share of the documents to evaluate on.")
    flags.DEFINE_integer("evaluate_every", 1000, "Steps between evaluations.")
    flags.DEFINE_integer("log_every", 50, "Steps between lines of log.jsonl.")
    flags.DEFINE_integer("save_every", 500, "Steps between checkpoints.")
    flags.DEFINE_integer("keep", 3, "Checkpoints to keep.")
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
    if (FLAGS.steps is None) == (FLAGS.train_hours is None):
        raise app.UsageError("expected one of --steps and --train_hours")
    objectives = FLAGS.objectives or OBJECTIVES[FLAGS.model].split(",")
    allowed = [["rtd"]] if FLAGS.model == "electra" else [["mlm"], ["mlm", "nsp"], ["mlm", "sop"]]
    if objectives not in allowed:
        told = " or ".join(",".join(each) for each in allowed)
        raise app.UsageError(f"--objectives={','.join(objectives)} with --model={FLAGS.model}; expected {told}")
    return objectives


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


def make_model(objectives, tokenizer, start):
    """The objective with its encoders; `start`: {name: folder} of encoders to take weights from."""
    from tfkor.pretraining import MaskedLanguageModel, ReplacedTokenDetection

    encoder_class, config_class = zoo.architecture(FLAGS.model)
    positions = {"max_position_embeddings": FLAGS.max_positions + config_class.position_offset}
    dropout = {"hidden_dropout_prob": FLAGS.hidden_dropout, "attention_probs_dropout_prob": FLAGS.attention_dropout}
    if "encoder" in start:
        encoder, _ = zoo.load(start["encoder"], dtype=FLAGS.precision, **dropout)
        if type(encoder) is not encoder_class or encoder.config.vocab_size < tokenizer.vocab_size:
            raise ValueError(
                f"--init_checkpoint: found {type(encoder).__name__} with {encoder.config.vocab_size} tokens; expected "
                f"{encoder_class.__name__} with at least the {tokenizer.vocab_size} of the shards"
            )
    else:
        config = config_class.of(FLAGS.size, vocab_size=tokenizer.vocab_size, **positions, **dropout)
        encoder = encoder_class(config, dtype=FLAGS.precision)
    encoder.remat = FLAGS.remat
    if objectives != ["rtd"]:
        return MaskedLanguageModel(encoder, objectives[1] if len(objectives) > 1 else None)
    generator_config = encoder.config.generator(FLAGS.generator_size)
    generator = encoder_class(generator_config, embeddings=encoder.embeddings, dtype=FLAGS.precision)
    if "generator" in start:
        shared = {id(v) for v in encoder.embeddings.variables}
        loaded, _ = zoo.load(start["generator"], dtype=FLAGS.precision, **dropout)
        for ours, theirs in zip(generator.variables, loaded.variables, strict=True):
            if id(ours) not in shared:
                ours.assign(theirs)
    generator.remat = FLAGS.remat
    return ReplacedTokenDetection(generator, encoder)


def start_folders():
    """{name: what zoo.load takes} of --init_checkpoint: the encoders of a run, or one alone."""
    if not FLAGS.init_checkpoint:
        return {}
    folder = Path(FLAGS.init_checkpoint)
    found = {name: folder / name for name in ("encoder", "generator") if (folder / name / "config.json").is_file()}
    return found or {"encoder": folder}


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


def job():
    objectives = check_flags()
    import keras

    from tfkor.data import ShardFolder
    from tfkor.pretraining import Pretraining, show_predictions
    from tfkor.text import Tokenizer
    from tfkor.training import AdamW, Lamb
    from tfkor.training.flops import matmul_rate
    from tfkor.training.optimizers import NO_WEIGHT_DECAY
    from tfkor.training.strategies import make_devices

    devices = make_devices(FLAGS.strategy, FLAGS.model_axis)
    keras.utils.set_random_seed(FLAGS.seed)
    shards, folder = ShardFolder(FLAGS.shards) if FLAGS.shards else None, Path(FLAGS.model_dir)
    tokenizer = shards.tokenizer if shards else Tokenizer.load(FLAGS.tokenizer_dir)
    with devices.scope():
        model = make_model(objectives, tokenizer, start_folders())
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
            zoo.save(folder / name, encoder, tokenizer, overwrite=True)

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
    )
    figures = run.train()
    if devices.chief:
        leave_encoders()
    return {**figures, "model_dir": str(folder), "encoder": str(folder / "encoder")}


if __name__ == "__main__":
    run_program(define_flags, job)
