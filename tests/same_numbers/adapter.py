"""Every call into tfkor, for old and new commits: where a name has changed, what is there decides.

A function for each operation; nothing else in this folder imports tfkor.
"""

import dataclasses
import importlib

import keras
import numpy as np
from keras import ops

INPUTS = ("input_word_ids", "input_mask", "segment_ids")
NO_DROPOUT = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def first_of(*places):
    """The first of "module:name" that can be imported."""
    for place in places:
        module, _, name = place.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            pass
    raise ImportError(f"none of {', '.join(places)} is in this commit; the adapter needs a further place")


def numpy_of(value):
    return np.asarray(ops.convert_to_numpy(value), np.float32)


# === Tokenizers ===


def new_tokenizer(vocab_or_model, **options):
    """A Tokenizer of a list of pieces, or of the bytes of a sentencepiece model."""
    kind = first_of("tfkor.text:Tokenizer")
    return kind.from_vocab(vocab_or_model, **options) if isinstance(vocab_or_model, list) else kind(vocab_or_model)


def load_tokenizer(folder):
    return first_of("tfkor.text:Tokenizer").load(folder)


# === Encoders ===


def new_encoder(family, **sizes):
    """An encoder of "Bert", "Albert", "Roberta", "Electra"."""
    config = first_of(f"tfkor.models:{family}Config")(**sizes)
    return first_of(f"tfkor.models:{family}")(config)


def save_encoder(folder, encoder, tokenizer=None, half=False, heads=()):
    first_of("tfkor.zoo:save")(folder, encoder, tokenizer, half=half, heads=heads)


def load_encoder(folder, **changes):
    """(encoder, tokenizer) of a folder."""
    return first_of("tfkor.zoo:load", "tfkor:load")(folder, **changes)


def front_door(folder):
    """What `tfkor.load` makes of a folder, a task or (encoder, tokenizer); None where there is no such function."""
    try:
        return first_of("tfkor:load")(folder)
    except ImportError:
        return None


def encoder_outputs(encoder, batch, training=False):
    """{name: tensor}: pooled_output, sequence_output; hidden_states and attentions, lists."""
    before = encoder.output_hidden_states, encoder.output_attentions
    encoder.output_hidden_states = encoder.output_attentions = True
    try:
        return encoder({name: batch[name] for name in INPUTS}, training=training)
    finally:
        encoder.output_hidden_states, encoder.output_attentions = before


def encoder_pair(encoder, batch):
    """pooled_output and sequence_output of a list of inputs."""
    return encoder([batch[name] for name in INPUTS], training=False)


def pooled_alone(encoder, batch):
    """The pooled output, computed without the other positions of the last block; None where there is no such way."""
    inputs = [batch[name] for name in INPUTS]
    if hasattr(encoder, "pooled"):
        return encoder.pooled(inputs, training=False)
    return None


def set_checkpointing(encoder):
    """Turns gradient checkpointing on."""
    name = "gradient_checkpointing" if hasattr(encoder, "gradient_checkpointing") else "remat"
    if not hasattr(encoder, name):
        raise AttributeError("the encoder has neither gradient_checkpointing nor remat")
    setattr(encoder, name, True)


# === Pretraining ===


def new_objective(kind, encoder, generator=None):
    """kind: mlm, nsp, sop (with MLM), rtd."""
    if kind == "rtd":
        return first_of("tfkor.pretraining:ReplacedTokenDetection")(generator, encoder)
    return first_of("tfkor.pretraining:MaskedLanguageModel")(encoder, None if kind == "mlm" else kind)


def new_generator(discriminator):
    """The generator of an Electra, with its embeddings."""
    return type(discriminator)(discriminator.config.generator(0.5), embeddings=discriminator.embeddings)


def save_objective(folder, model):
    """Writes encoder/, and generator/ of RTD, with their heads, as run_pretraining does."""
    for name, encoder in model.encoders.items():
        save_encoder(folder / name, encoder, heads=model.heads[name])


def load_objective(folder, kind, **changes):
    """The objective that `save_objective` wrote."""
    load = first_of("tfkor.zoo:load_with_heads", "tfkor.models.folder:load_with_heads", "tfkor.models.folder:load")
    start = {"encoder": load(folder / "encoder", **changes)}
    generator = None
    if kind == "rtd":
        start["generator"] = load(folder / "generator", **changes)
        encoder, found = start["encoder"].encoder, start["generator"].encoder
        generator = type(encoder)(found.config, embeddings=encoder.embeddings)
        shared = {id(v) for v in encoder.embeddings.variables}
        for ours, theirs in zip(generator.variables, found.variables, strict=True):
            if id(ours) not in shared:
                ours.assign(theirs)
    model = new_objective(kind, start["encoder"].encoder, generator)
    lines = first_of("tfkor.pretraining.starting:take_heads")(model, start)
    assert not lines, lines  # a head began anew
    return model


def objective_loss(model, batch, training=True):
    """(the loss, {name: part}) of a batch."""
    if hasattr(model, "objective"):
        return model.objective(batch, training=training)
    for name in ("compute_losses", "losses_of_batch", "loss_and_metrics"):
        if hasattr(model, name):
            return getattr(model, name)(batch, training=training)
    raise AttributeError(f"{type(model).__name__} has no `objective`; the adapter needs its new name")


def make_shards(text, tokenizer_folder, folder):
    make, recipe = first_of("tfkor.data.make_shards:make_shards"), first_of("tfkor.data:ShardRecipe")
    make([str(text)], tokenizer_folder, folder, recipe(), workers=1, say=lambda line: None)


def pretraining_batches(folder, kind="mlm", length=32, batch_size=8, packing=False, units="token"):
    """Batches without end, dicts of arrays."""
    shards = first_of("tfkor.data:ShardFolder")(folder)
    rates = dict(mask_share=0.85, random_share=0.0) if kind == "rtd" else {}
    masking = first_of("tfkor.pretraining:Masking")(units, **rates)
    pairs = kind if kind in ("nsp", "sop") else None
    recipe = first_of("tfkor.pretraining:Recipe")
    options = dict(length=length, pairs=pairs, packing=packing, masking=masking)
    if "objective" in {field.name for field in dataclasses.fields(recipe)}:
        options["objective"] = "rtd" if kind == "rtd" else "mlm"
    else:
        options["replaced_tokens"] = kind == "rtd"
    recipe = recipe(**options)
    return first_of("tfkor.pretraining:PretrainingBatches")(shards, recipe, batch_size, seed=3)


def run_pretraining(**values):
    """The program, in this process, with these flags; returns what its job returns."""
    from absl import flags
    from absl.testing import flagsaver

    program = importlib.import_module("tfkor.scripts.run_pretraining")
    if "model_dir" not in flags.FLAGS:
        program.define_flags()
    with flagsaver.flagsaver():
        flags.FLAGS(["run_pretraining", *(f"--{name}={value}" for name, value in values.items())])
        return program.job()


def idle_variables(model):
    return model.idle_variables() if hasattr(model, "idle_variables") else []


def training_step(model):
    """step(batch) -> the loss, on the device, after one update of an objective."""
    idle = {id(variable) for variable in idle_variables(model)}
    trained = [variable for variable in model.trainable_variables if id(variable) not in idle]
    optimizer = first_of("tfkor.training:AdamW")(1e-4)
    kind = first_of("tfkor.training:TrainStep", "tfkor.training.step_tensorflow:TrainStep")
    step = kind(model, optimizer, lambda batch: objective_loss(model, batch), variables=trained, clip_norm=1.0)
    return lambda batch: step(batch)["loss"]


# === Tasks ===


def task_class(name):
    return first_of(f"tfkor.tasks:{name}")


def load_task(name, folder):
    return task_class(name).load(folder)


def task_data(name, value):
    """Plain lists -> the data that the task `name` trains on."""
    if name == "TextClassifier":
        texts, labels, *pairs = value
        return first_of("tfkor.data:TextData")(texts, labels=labels, pairs=pairs[0] if pairs else None)
    if name == "TokenTagger":
        texts, tags = value
        return first_of("tfkor.tasks.tagger:tagged", "tfkor.data.tagging:tagged")(texts, tags)
    if name == "QuestionAnswerer":
        return first_of("tfkor.data.questions:QuestionData")(*value)
    if name == "DependencyParser":
        return first_of("tfkor.data.trees:TreeData")(*value)
    if name == "DialogueTracker":
        return first_of("tfkor.data:DialogueData")(*value)
    example = first_of("tfkor.data.relations:RelationExample")
    return first_of("tfkor.data.relations:RelationData")([example(*row) for row in value])


def task_batch(task, data, rows=8):
    """One batch of the task's training data."""
    if hasattr(task, "batches"):
        return next(iter(task.batches(data, rows, 1, 0).epoch(0)))
    batches = first_of("tfkor.tasks.batches:training_batches")
    return next(iter(batches(task, data, batch_size=rows, max_buckets=1, seed=0).epoch(0)))


def task_loss(task, batch):
    return task.loss(batch)[0]


def head_variables(task):
    """The trained variables that are not the encoder's."""
    inside = {id(variable) for variable in task.encoder.variables}
    return [variable for variable in task.model.trainable_variables if id(variable) not in inside]


def task_outputs(task, batch):
    """What the task's model gives for a batch, a list of arrays; scores of what may not be chosen are 0."""
    batch = {name: value for name, value in batch.items() if name not in ("labels", "sample_weight")}
    try:
        found = task.model(batch, training=False)
    except Exception:  # a model that takes three inputs
        found = task.model([batch[name] for name in INPUTS], training=False)
    arrays = [numpy_of(x) for x in keras.tree.flatten(found)]
    return [np.where(x < -1e8, 0.0, x) for x in arrays]


def predictions(name, task, value):
    """{what: scores as an array, or objects as lists}, from what a user of the task calls."""
    if name == "TextClassifier":
        texts, _, *pairs = value
        pairs = pairs[0] if pairs else None
        labels = task.predict(texts, pairs)
        labels = np.array(labels) if isinstance(labels[0], float) else plain(labels)
        return {"probabilities": task.predict_proba(texts, pairs), "labels": labels}
    if name == "TokenTagger":
        return {"tags": task.predict(value[0]), "entities": plain(task.entities(value[0]))}
    if name == "QuestionAnswerer":
        answer = getattr(task, "answer", None) or task.predict
        found = answer(value[1], value[2])
        return {
            "answers": [[each.text, each.begin, each.end] for each in found],
            "scores": np.array([each.score for each in found], np.float32),
        }
    if name == "DependencyParser":
        parse = getattr(task, "parse", None) or task.predict
        return {"trees": plain(parse(value[0]))}
    data = task_data(name, value)
    if name == "RelationExtractor":
        return {"probabilities": task.predict_proba(data), "labels": task.predict(data)}
    return {"states": task.predict(data.utterances)}


def plain(value):
    """Tuples and NumPy numbers -> lists and numbers, as JSON has them."""
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def evaluation(task, data):
    """{metric: number}."""
    return {name: float(value) for name, value in task.evaluate(data).items() if np.ndim(value) == 0}


def fit(task, data, **options):
    """The losses of the epochs of the task's own `fit`."""
    history = task.fit(data, **options)
    history = getattr(history, "history", history)
    return list(history["loss"]) if isinstance(history, dict) else [metrics["loss"] for metrics in history]


# === Exports ===


def export(kind, model, path):
    """kind: encoder, classifier, string_classifier, string_tagger, string_answerer."""
    return first_of(f"tfkor.export:export_{kind}")(model, path)


def export_tflite(classifier, path, length):
    """Writes the file; returns a function of a list of three inputs."""
    first_of("tfkor.export:export_tflite")(classifier, path, length)
    return first_of("tfkor.export:TFLiteClassifier")(path)
