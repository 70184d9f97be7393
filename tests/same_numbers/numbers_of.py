"""The numbers of a commit, group by group: {item: array, list of gradients, or what JSON can hold}."""

import functools
import json
import shutil
from pathlib import Path

import adapter
import compare
import keras
import numpy as np
import stored

STRANGE = [
    "", " ", "ㅋㅋㅋㅋㅋ 진짜?", "ＡＢＣ İstanbul café", "\u1112\u1161\u11ab글 NFD", "漢字🙂👨‍👩‍👧", "[MASK]는 [SEP]",
    "뷁" * 120, "한\u200b글\ufeff", "lower UPPER 3.14%",
]  # fmt: skip
DRAWS = 2048


def write(group, folder, out):
    keras.utils.set_random_seed(11)
    values = globals()[group](Path(folder), Path(out))
    compare.write(out, values)


def inputs_of(vocab_size, rows=4, length=24):
    """A batch of rows of 24, 19, 14, 9 tokens, the second half of each in segment 1."""
    lengths = np.arange(length, 0, -5)[:rows, None]
    mask = (np.arange(length) < lengths).astype("int32")
    word_ids = np.random.default_rng(0).integers(5, vocab_size, (rows, length)).astype("int32") * mask
    return {
        "input_word_ids": word_ids,
        "input_mask": mask,
        "segment_ids": (np.arange(length) > lengths // 2).astype("int32") * mask,
    }


def gradients(loss_of, variables):
    """The loss, and its gradient for each variable that it depends on."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = loss_of()
    found = tape.gradient(loss, [variable.value for variable in variables])
    dense = [np.asarray(tf.convert_to_tensor(each), np.float32) for each in found if each is not None]
    return np.asarray(loss, np.float32), dense


# === Tokenizers, batches ===


def tokenizers(folder, out):
    texts = stored.utterances()[::4] + STRANGE
    values = {}
    for path in sorted((folder / "tokenizers").iterdir()):
        tokenizer = adapter.load_tokenizer(path)
        values[f"{path.name}/ids"] = tokenizer.ids(texts).to_lists()
        values[f"{path.name}/offsets"] = adapter.plain([tokenizer.offsets(text) for text in texts[-100:]])
        values[f"{path.name}/decoded"] = [tokenizer.decode(row) for row in tokenizer.ids(texts[-100:]).to_lists()]
        for name, array in tokenizer(texts[-64:], texts[-128:-64], max_length=32).items():
            values[f"{path.name}/batch {name}"] = np.asarray(array)
        values[f"{path.name}/dropout"] = tokenizer.ids(texts[:100], 0.1, 3).to_lists() if path.name == "mini" else []
    return values


def batches(folder, out):
    values = {}
    kinds = [(kind, packing, "token") for kind in ("mlm", "rtd") for packing in (False, True)]
    kinds += [("nsp", False, "token"), ("sop", False, "token")]
    kinds += [("mlm", packing, units) for packing in (False, True) for units in ("whole_word", "eojeol", "span")]
    for kind, packing, units in kinds:
        drawn = adapter.pretraining_batches(folder / "shards", kind, packing=packing, units=units)
        for number, batch in zip(range(3), drawn):
            title = f"{kind}{' packed' if packing else ''} {units}"
            values |= {f"{title}/{number} {name}": np.asarray(array) for name, array in batch.items()}
    return values


# === Encoders, objectives ===


def encoders(folder, out):
    values = {}
    paths = [*sorted((folder / "encoders").iterdir()), folder / "runs/mlm", folder / "runs/rtd", stored.MINI]
    for path in paths:
        encoder, tokenizer = adapter.load_encoder(path)
        batch = inputs_of(encoder.config.vocab_size)
        found = adapter.encoder_outputs(encoder, batch)
        for name in ("pooled_output", "sequence_output"):
            values[f"{path.name}/{name}"] = adapter.numpy_of(found[name])
        for name in ("hidden_states", "attentions"):
            values |= {f"{path.name}/{name} {i}": adapter.numpy_of(x) for i, x in enumerate(found[name])}
        pair = adapter.encoder_pair(encoder, batch)
        values |= {f"{path.name}/output {i} of a list": adapter.numpy_of(x) for i, x in enumerate(pair)}
        alone = adapter.pooled_alone(encoder, batch)
        values[f"{path.name}/pooled alone"] = adapter.numpy_of(pair[0] if alone is None else alone)
        if tokenizer is not None:
            again = adapter.front_door(path)
            if again is not None:
                pair = adapter.encoder_pair(again[0], batch)
            values[f"{path.name}/by tfkor.load"] = adapter.numpy_of(pair[1])
    return values


def objectives(folder, out):
    values = {}
    for family in stored.FAMILIES:
        for kind in stored.OBJECTIVES[family]:
            model = adapter.load_objective(folder / "objectives" / f"{family}-{kind}", kind, **adapter.NO_DROPOUT)
            for packing in (False, True) if kind in ("mlm", "rtd") else (False,):
                title = f"{family}/{kind}{' packed' if packing else ''}"
                batch = next(adapter.pretraining_batches(folder / "shards", kind, packing=packing))
                values |= first_step(title, model, batch)
            if (family, kind) in (("Bert", "mlm"), ("Electra", "rtd")):
                for encoder in model.encoders.values():
                    adapter.set_checkpointing(encoder)
                values |= first_step(f"{family}/{kind} packed, gradient checkpointing", model, batch)
    return values


def first_step(title, model, batch):
    """Items of an objective: the loss, its parts, the gradients."""
    parts = {}

    def loss_of():
        loss, found = adapter.objective_loss(model, batch)
        parts.update(found)
        return loss

    loss, found = gradients(loss_of, model.trainable_variables)
    parts = {name: float(value) for name, value in parts.items()}
    return {f"{title}: loss": loss, f"{title}: parts": parts, f"{title}: gradients": found}


# === Tasks ===


def tasks(folder, out):
    values = {}
    for name, (kind, _, _, data) in stored.tasks().items():
        task = adapter.load_task(kind, folder / "tasks" / name)
        batch = adapter.task_batch(task, adapter.task_data(kind, data))
        loss_of = functools.partial(adapter.task_loss, task, batch)
        values[f"{name}/loss"], values[f"{name}/gradients"] = gradients(loss_of, task.model.trainable_variables)
    return values


def predictions(folder, out):
    values = {}
    for name, (kind, _, _, data) in stored.tasks().items():
        task = adapter.load_task(kind, folder / "tasks" / name)
        found = adapter.predictions(kind, task, data)
        values |= {f"{name}/{what}": each for what, each in found.items()}
        rows = adapter.task_data(kind, data)
        values[f"{name}/metrics"] = adapter.evaluation(task, rows)
        if kind not in ("TextClassifier", "RelationExtractor"):  # whose scores are above
            for i, array in enumerate(adapter.task_outputs(task, adapter.task_batch(task, rows))):
                values[f"{name}/output {i} of the model"] = array
        again = adapter.front_door(folder / "tasks" / name)
        found = found if again is None else adapter.predictions(kind, again, data)
        values |= {f"{name}/{what} by tfkor.load": each for what, each in found.items()}
    return values


# === Exports ===


def exports(folder, out):
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    values = {}

    def serve(title, kind, model, **inputs):
        path = adapter.export(kind, model, out / title.replace(" ", "-"))
        served = tf.saved_model.load(str(path))
        found = served.signatures["serving_default"](**{name: tf.constant(value) for name, value in inputs.items()})
        values.update({f"{title}/{name}": numbers_or_strings(value) for name, value in found.items()})
        return served

    texts = [*stored.utterances()[200:220], *STRANGE]
    for family in ("Bert", "Albert", "Electra"):
        encoder, _ = adapter.load_encoder(folder / "encoders" / family)
        batch = inputs_of(encoder.config.vocab_size)
        served = serve(f"encoder {family}", "encoder", encoder, **batch)
        found = served({name: tf.constant(value) for name, value in batch.items()})
        for i, array in enumerate(found["encoder_outputs"]):
            values[f"encoder {family}/encoder_outputs {i}"] = np.asarray(array)

    def load(name):
        return adapter.load_task(stored.tasks()[name][0], folder / "tasks" / name)

    batch = inputs_of(1000)
    serve("classifier of ids", "classifier", load("classifier-electra"), **batch)
    serve("string classifier", "string_classifier", load("classifier"), text=texts)
    serve("string classifier of pairs", "string_classifier", load("classifier-pairs"), text=texts, pair=texts[::-1])
    serve("string tagger", "string_tagger", load("tagger"), text=texts)
    contexts = [" ".join(texts)] * len(texts)
    serve("string answerer", "string_answerer", load("answerer"), question=texts, context=contexts)
    classifier = load("classifier-mean")
    run = adapter.export_tflite(classifier, out / "classifier.tflite", 24)
    values["tflite/probabilities"] = np.asarray(run([batch[name] for name in adapter.INPUTS]), np.float32)
    return values


def numbers_or_strings(tensor):
    array = tensor.numpy()
    return np.char.decode(array.astype(bytes), "utf-8").tolist() if array.dtype == object else array


# === Steps ===


def steps_float32(folder, out):
    return steps(folder, out, "float32") | resumed_steps(folder, out / "resumed")


def steps_bfloat16(folder, out):
    return steps(folder, out, "mixed_bfloat16")


def steps(folder, out, precision, count=50):
    """The losses of each step of pretrainings and of fine-tunings, by the programs and functions that users call."""
    values = {}
    for name, model, kinds in (("mlm", "bert", "mlm,nsp"), ("rtd", "electra", "rtd")):
        start = dict(init_checkpoint=folder / "runs" / name, shards=folder / "shards", model_dir=out / name)
        options = dict(model=model, objectives=kinds, size="tiny", steps=count, precision=precision, warmup=0.1)
        adapter.run_pretraining(**start, **options, **stored.SMALL_RUN)
        lines = read_log(out / name)
        for part in ("mlm_loss", "rtd_loss", "pair_loss"):
            losses = [line[part] for line in lines if part in line]
            if losses:
                assert len(losses) == count, f"{name}: {len(losses)} steps in the log; expected {count}"
                values[f"{name}/{part}"] = np.array(losses)
    for name in ("classifier", "classifier-electra", "tagger"):
        kind, family, options, data = stored.tasks()[name]
        encoder, tokenizer = adapter.load_encoder(folder / "encoders" / family, dtype=precision)
        task = adapter.task_class(kind)(encoder, tokenizer=tokenizer, **options)
        for variable in adapter.head_variables(task):  # by shape, as its name may be another
            variable.assign(np.random.default_rng(0).normal(scale=0.02, size=variable.shape))
        rows = adapter.task_data(kind, [[*column, *column] for column in data])
        # an epoch is one batch, so its loss is that of a step
        fitting = dict(epochs=count, batch_size=len(rows), max_buckets=1, learning_rate=1e-4)
        values[f"{name}/loss"] = np.array(adapter.fit(task, rows, **fitting))
    return values


def resumed_steps(folder, model_dir):
    """The losses of a run that the old commit began, and that goes on from its checkpoint after step 10."""
    shutil.copytree(folder / "killed", model_dir)
    adapter.run_pretraining(**stored.killed_run(folder, model_dir))
    lines = {line["step"]: line for line in read_log(model_dir) if "rtd_loss" in line}
    return {f"resumed/{part}": np.array([lines[i][part] for i in range(11, 21)]) for part in ("mlm_loss", "rtd_loss")}


def read_log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]


# === Dropout ===


def dropout(folder, out):
    """What a dropout of 0.1 leaves: the share of zeros behind the embeddings, and draws of the outputs."""
    values = {}
    for family in stored.FAMILIES:
        for title, hidden, attention in (("hidden", 0.1, 0.0), ("attention", 0.0, 0.1)):
            rates = dict(hidden_dropout_prob=hidden, attention_probs_dropout_prob=attention)
            encoder, _ = adapter.load_encoder(folder / "encoders" / family, **rates)
            row = {name: array[1:2, :12] for name, array in inputs_of(encoder.config.vocab_size).items()}
            draws, zeros = [], []
            for _ in range(4):  # several calls, which must not drop the same
                batch = {name: np.repeat(array, DRAWS // 4, axis=0) for name, array in row.items()}
                found = adapter.encoder_outputs(encoder, batch, training=True)
                draws.append(adapter.numpy_of(found["sequence_output"])[:, ::4])
                zeros.append(adapter.numpy_of(found["hidden_states"][0]) == 0)
            values[f"{family} {title}"] = np.concatenate(draws)
            if family not in stored.NARROW:  # behind the dropout they project the embeddings
                values[f"{family} {title} embeddings"] = {"zeros": float(np.mean(zeros))}
    return values
