"""The contenders of pretraining_step.py, each in its own process that keeps its model: CONTENDER JOB.json

A contender builds a BERT with its MLM head and AdamW with clipping, and returns `train(number)`, which trains on that
many batches of the job's file and returns their mean loss. Requests and answers are lines of JSON: {"steps": n} or
{"shapes": shapes, "seconds": s}. Libraries are imported where they are used: each has its own environment.
"""

import importlib.metadata
import json
import os
import sys
import time
from types import SimpleNamespace

import numpy as np
from worker import peak_memory_mb

EPSILON, CLIP_NORM, WEIGHT_DECAY, DROPOUT = 1e-6, 1.0, 0.01, 0.1


class Batches:
    """The batches of a file, over and over again, each as `prepare` makes it from a dict of arrays."""

    def __init__(self, job, prepare=dict):
        arrays = dict(np.load(job.batches))
        number = len(arrays["input_word_ids"])
        self.all = [prepare({name: array[i] for name, array in arrays.items()}) for i in range(number)]
        self.next = 0

    def take(self, number):
        first, self.next = self.next, self.next + number
        return [self.all[i % len(self.all)] for i in range(first, first + number)]


def stepwise(step, batches):
    """train(number) for a library whose step gives a loss that may not be computed yet."""
    return lambda number: float(np.mean([float(loss) for loss in [step(batch) for batch in batches.take(number)]]))


def weights(batch):
    """float32 [B, P]: 1 where there is a token to predict."""
    return (batch["masked_lm_weights"] > 0).astype("float32")


# === Contenders ===


def tfkor(job, jit_compile=None):
    import keras

    from tfkor.models import Bert, BertConfig
    from tfkor.pretraining import MaskedLanguageModel
    from tfkor.training import TrainStep
    from tfkor.training.optimizers import NO_WEIGHT_DECAY, AdamW

    keras.utils.set_random_seed(job.seed)
    config = BertConfig(
        vocab_size=job.vocab_size,
        max_position_embeddings=job.length,
        hidden_dropout_prob=DROPOUT,
        attention_probs_dropout_prob=DROPOUT,
        **job.sizes,
    )
    policy = "mixed_bfloat16" if job.dtype == "bfloat16" else "float32"
    model = MaskedLanguageModel(Bert(config, dtype=policy))
    optimizer = AdamW(job.learning_rate, weight_decay=WEIGHT_DECAY, epsilon=EPSILON)
    optimizer.exclude_from_weight_decay(var_names=NO_WEIGHT_DECAY)
    idle = {id(variable) for variable in model.idle_variables()}
    trained = [v for v in model.trainable_variables if id(v) not in idle]
    step = TrainStep(
        model, optimizer, model.objective, jit_compile, trained, clip_norm=CLIP_NORM, static_shapes=True
    )  # fmt: skip
    return stepwise(lambda batch: step(batch)["loss"], Batches(job))


def kerashub(job, jit_compile="auto"):
    """BertMaskedLM.fit; its head takes the vectors at the masked positions."""
    import keras
    import keras_hub

    keras.utils.set_random_seed(job.seed)
    if job.dtype == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=job.vocab_size,
        num_layers=job.sizes["num_hidden_layers"],
        num_heads=job.sizes["num_attention_heads"],
        hidden_dim=job.sizes["hidden_size"],
        intermediate_dim=job.sizes["intermediate_size"],
        dropout=DROPOUT,
        max_sequence_length=job.length,
    )
    model = keras_hub.models.BertMaskedLM(backbone)
    optimizer = keras.optimizers.AdamW(
        job.learning_rate, weight_decay=WEIGHT_DECAY, epsilon=EPSILON, global_clipnorm=CLIP_NORM
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    model.compile(optimizer, loss, weighted_metrics=[], jit_compile=jit_compile)
    names = dict(
        token_ids="input_word_ids",
        padding_mask="input_mask",
        segment_ids="segment_ids",
        mask_positions="masked_lm_positions",
    )
    batches = Batches(job)

    def train(number):
        taken = batches.take(number)
        x = {name: np.concatenate([batch[ours] for batch in taken]) for name, ours in names.items()}
        y = np.concatenate([batch["masked_lm_ids"] for batch in taken])
        weight = np.concatenate([weights(batch) for batch in taken])
        options = dict(batch_size=len(y) // number, shuffle=False, verbose=0)
        return model.fit(x, y, sample_weight=weight, **options).history["loss"][0]

    return train


def model_garden(job, jit_compile=False):
    """The train_step of MaskedLMTask, with the AdamW of its optimizer factory, which clips."""
    import tensorflow as tf
    import tf_keras
    from official.modeling import optimization
    from official.nlp.configs import bert, encoders
    from official.nlp.data.pretrain_dataloader import BertPretrainDataConfig
    from official.nlp.tasks.masked_lm import MaskedLMConfig, MaskedLMTask

    tf_keras.utils.set_random_seed(job.seed)
    if job.dtype == "bfloat16":
        tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    names = {"num_hidden_layers": "num_layers"}
    config = encoders.BertEncoderConfig(
        vocab_size=job.vocab_size,
        max_position_embeddings=job.length,
        dropout_rate=DROPOUT,
        attention_dropout_rate=DROPOUT,
        **{names.get(name, name): value for name, value in job.sizes.items()},
    )
    encoder = encoders.EncoderConfig(type="bert", bert=config)
    data = BertPretrainDataConfig(use_next_sentence_label=False)
    task = MaskedLMTask(MaskedLMConfig(model=bert.PretrainerConfig(encoder=encoder, cls_heads=[]), train_data=data))
    model = task.build_model()
    adamw = dict(
        weight_decay_rate=WEIGHT_DECAY,
        exclude_from_weight_decay=["LayerNorm", "layer_norm", "bias"],
        epsilon=EPSILON,
        gradient_clip_norm=CLIP_NORM,
    )
    schedule = {"type": "constant", "constant": {"learning_rate": job.learning_rate}}
    options = {"optimizer": {"type": "adamw", "adamw": adamw}, "learning_rate": schedule}
    factory = optimization.OptimizerFactory(optimization.OptimizationConfig(options))
    optimizer = factory.build_optimizer(factory.build_learning_rate())
    metrics = task.build_metrics()

    @tf.function(jit_compile=jit_compile)
    def step(batch):
        return task.train_step(batch, model, optimizer, metrics)["loss"]

    def prepare(batch):
        batch = {**batch, "input_type_ids": batch["segment_ids"], "masked_lm_weights": weights(batch)}
        return {name: tf.constant(array) for name, array in batch.items() if name != "segment_ids"}

    return stepwise(step, Batches(job, prepare))


def hugging_face(job, gathered=False, compiled=False):
    """BertForMaskedLM, which has logits for all positions; `gathered`: the head runs on masked positions only."""
    import torch
    from transformers import BertConfig, BertForMaskedLM, set_seed

    set_seed(job.seed)
    device = torch.device("cuda" if job.device == "gpu" else "cpu")
    if job.device == "gpu":
        torch.set_float32_matmul_precision("high")  # as JAX has it by default
    config = BertConfig(
        vocab_size=job.vocab_size,
        max_position_embeddings=job.length,
        hidden_dropout_prob=DROPOUT,
        attention_probs_dropout_prob=DROPOUT,
        **job.sizes,
    )
    model = BertForMaskedLM(config).to(device).train()
    decayed = [p for name, p in model.named_parameters() if "bias" not in name and "LayerNorm" not in name]
    kept = {id(p) for p in decayed}
    groups = [
        {"params": decayed, "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in model.parameters() if id(p) not in kept], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, job.learning_rate, eps=EPSILON, fused=True)

    def loss_of(word_ids, mask, segment_ids, labels, positions):
        if not gathered:
            return model(word_ids, mask, segment_ids, labels=labels).loss
        x = model.bert(word_ids, mask, segment_ids).last_hidden_state
        logits = model.cls(x.gather(1, positions[..., None].expand(-1, -1, x.shape[-1])))
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels.gather(1, positions).flatten())

    forward = torch.compile(loss_of) if compiled else loss_of

    def step(batch):
        with torch.autocast(device.type, torch.bfloat16, enabled=job.dtype == "bfloat16"):
            loss = forward(*batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    def prepare(batch):
        labels = np.full(batch["input_word_ids"].shape, -100)
        row, column = np.nonzero(weights(batch))
        labels[row, batch["masked_lm_positions"][row, column]] = batch["masked_lm_ids"][row, column]
        inputs = (batch[name] for name in ("input_word_ids", "input_mask", "segment_ids"))
        return [torch.tensor(x, device=device).long() for x in (*inputs, labels, batch["masked_lm_positions"])]

    return stepwise(step, Batches(job, prepare))


# name: (function, its options, Keras backend, packages whose versions matter); each also as NAME_bf16
KINDS = {
    "tfkor_tf": (tfkor, {}, "tensorflow", ("tensorflow", "keras")),
    "tfkor_tf_xla": (tfkor, {"jit_compile": True}, "tensorflow", ("tensorflow", "keras")),
    "tfkor_jax": (tfkor, {}, "jax", ("jax", "keras")),
    "kerashub_tf": (kerashub, {}, "tensorflow", ("tensorflow", "keras", "keras-hub")),
    "kerashub_tf_graph": (kerashub, {"jit_compile": False}, "tensorflow", ("tensorflow", "keras", "keras-hub")),
    "kerashub_jax": (kerashub, {}, "jax", ("jax", "keras", "keras-hub")),
    "garden": (model_garden, {}, "tensorflow", ("tensorflow", "tf-models-official")),
    "garden_xla": (model_garden, {"jit_compile": True}, "tensorflow", ("tensorflow", "tf-models-official")),
    "hf": (hugging_face, {}, None, ("torch", "transformers")),
    "hf_gathered": (hugging_face, {"gathered": True}, None, ("torch", "transformers")),
    "hf_compiled": (hugging_face, {"compiled": True}, None, ("torch", "transformers")),
}


def kind_of(contender):
    """Returns (kind, dtype)."""
    kind = contender.removesuffix("_bf16")
    return kind, "float32" if kind == contender else "bfloat16"


# === The speed of the device ===


def matrix_rates(backend, dtype, device, request):
    """Operations per second of products [m, k] x [k, n], each the best of several, all of them together by count."""
    multiply = {"tensorflow": tensorflow_product, "jax": jax_product, None: torch_product}[backend](dtype, device)
    operations = seconds = 0
    for count, (m, k, n) in request["shapes"]:
        run = multiply(*(np.random.default_rng(0).normal(size=shape).astype("float32") for shape in ((m, k), (k, n))))
        run(1)
        times = min(100, 1 + int(4e9 / (2 * m * k * n)))  # in a row, so that waiting for the result costs little
        best, end = float("inf"), time.monotonic() + request["seconds"] / len(request["shapes"])
        while best == float("inf") or time.monotonic() < end:
            start = time.perf_counter()
            run(times)
            best = min(best, (time.perf_counter() - start) / times)
        operations, seconds = operations + count * 2 * m * k * n, seconds + count * best
    return operations / seconds


def tensorflow_product(dtype, device):
    import tensorflow as tf

    multiply = tf.function(tf.matmul)

    def product(a, b):
        a, b = tf.cast(a, dtype), tf.cast(b, dtype)
        return lambda times: [multiply(a, b) for _ in range(times)][-1][0, 0].numpy()

    return product


def jax_product(dtype, device):
    import jax

    multiply = jax.jit(jax.numpy.matmul)

    def product(a, b):
        a, b = jax.numpy.asarray(a, dtype), jax.numpy.asarray(b, dtype)
        return lambda times: [multiply(a, b) for _ in range(times)][-1].block_until_ready()

    return product


def torch_product(dtype, device):
    import torch

    options = {"dtype": getattr(torch, dtype), "device": "cuda" if device == "gpu" else "cpu"}

    def product(a, b):
        a, b = torch.tensor(a, **options), torch.tensor(b, **options)
        return lambda times: [a @ b for _ in range(times)][-1][0, 0].item()

    return product


def memory_mb(backend, device):
    """The peak memory of this process: of the machine's memory, or of the GPU's."""
    if device == "cpu":
        return peak_memory_mb()
    if backend is None:
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    if backend == "jax":
        import jax

        return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 2**20
    import tensorflow as tf

    return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20


# === The process ===


def serve(contender, job, requests, answer):
    kind, job.dtype = kind_of(contender)
    make, options, backend, packages = KINDS[kind]
    try:
        train = make(job, **options)
    except ImportError as error:
        return answer({"missing": str(error)})
    answer({"versions": {package: importlib.metadata.version(package) for package in packages}})
    for line in requests:
        request, start, cpu = json.loads(line), time.perf_counter(), time.process_time()
        if "shapes" in request:
            answer({"rate": matrix_rates(backend, job.dtype, job.device, request)})
            continue
        loss = train(request["steps"])
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        number = request["steps"]
        found = {"loss": loss, "seconds": seconds / number, "cpu_seconds": cpu / number}
        answer({**found, "memory_mb": memory_mb(backend, job.device)})


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # the output of libraries must not mix with the answers
    with open(sys.argv[2], encoding="utf-8") as file:
        job = SimpleNamespace(**json.load(file))
    serve(sys.argv[1], job, sys.stdin, lambda answer: print(json.dumps(answer), file=answers, flush=True))
