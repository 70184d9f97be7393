"""The contenders of fine_tuning.py, each of which runs in its own process: fine_tuning_peers.py CONTENDER JOB.json

A contender is a generator that yields three times: when its libraries are imported, when its model is trained (the time
between the two is measured), and the predicted labels of the test texts. Each turns texts into ids in the usual way of
its library, from the same vocabulary, and trains a model of the same sizes from random weights.
"""

import json
import os
import sys
import time
from importlib.metadata import version
from types import SimpleNamespace

from trainer import train
from worker import peak_memory_mb


def tfkor(job, precision="float32"):
    """TextClassifier.fit: bucketed batches, each padded to its bucket."""
    import tensorflow as tf

    from tfkor.models import Bert, BertConfig
    from tfkor.tasks import TextClassifier
    from tfkor.text import Tokenizer

    yield {"threads": tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count()}

    tokenizer = Tokenizer.from_vocab(job.vocab_file)
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        max_position_embeddings=job.max_length,
        hidden_dropout_prob=job.dropout,
        attention_probs_dropout_prob=job.dropout,
        **job.sizes,
    )
    classifier = TextClassifier(
        Bert(config, dtype=precision),
        dropout=job.dropout,
        tokenizer=tokenizer,
        labels=job.label_names,
        max_length=job.max_length,
    )
    classifier.fit(
        job.train_texts,
        job.train_labels,
        epochs=job.epochs,
        batch_size=job.batch_size,
        learning_rate=job.learning_rate,
        warmup=job.warmup,
        weight_decay=job.weight_decay,
        clip_norm=job.clip_norm,
        seed=job.seed,
    )
    yield

    yield classifier.predict(job.test_texts)


def hugging_face(job, padded, bf16=False):
    """transformers.Trainer: rows padded to max_length, or batches of similar lengths padded to their longest row."""
    import torch
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        BertTokenizerFast,
        DataCollatorWithPadding,
        Trainer,  # noqa: F401  imported here so that it is not timed
        default_data_collator,
        set_seed,
    )

    yield {"threads": torch.get_num_threads(), "mkldnn": torch.backends.mkldnn.is_available()}

    set_seed(job.seed)
    tokenizer = BertTokenizerFast(
        job.vocab_file, do_lower_case=False, strip_accents=False, model_max_length=job.max_length
    )
    encoded = tokenizer(job.train_texts, truncation=True, padding="max_length" if padded else False)
    targets = [job.label_names.index(label) for label in job.train_labels]
    columns = (encoded["input_ids"], encoded["token_type_ids"], encoded["attention_mask"], targets)
    names = ("input_ids", "token_type_ids", "attention_mask", "labels")
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    config = BertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=job.max_length,
        hidden_dropout_prob=job.dropout,
        attention_probs_dropout_prob=job.dropout,
        num_labels=len(job.label_names),
        **job.sizes,
    )
    model = BertForSequenceClassification(config)
    # with its own initialisation, deviation 0.02, an encoder without pretraining learns nothing for hundreds of steps
    torch.nn.init.xavier_uniform_(model.classifier.weight)
    collator = default_data_collator if padded else DataCollatorWithPadding(tokenizer)
    train(job, model, rows, tokenizer, collator, grouped=not padded, bf16=bf16)
    yield

    model.eval()
    predicted = []
    with torch.no_grad():
        for start in range(0, len(job.test_texts), 64):
            texts = job.test_texts[start : start + 64]
            logits = model(**tokenizer(texts, truncation=True, padding=True, return_tensors="pt")).logits
            predicted += [job.label_names[i] for i in logits.argmax(-1).tolist()]
    yield predicted


def kerashub(job, jit_compile="auto"):
    """keras_hub.models.BertTextClassifier with its preprocessor, which pads each row to max_length."""
    import keras
    import keras_hub
    import tensorflow as tf

    from tfkor.training import WarmupDecay

    yield {"threads": tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count()}

    keras.utils.set_random_seed(job.seed)
    tokenizer = keras_hub.models.BertTokenizer(job.vocab_file, lowercase=False)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        num_layers=job.sizes["num_hidden_layers"],
        num_heads=job.sizes["num_attention_heads"],
        hidden_dim=job.sizes["hidden_size"],
        intermediate_dim=job.sizes["intermediate_size"],
        dropout=job.dropout,
        max_sequence_length=job.max_length,
    )
    classifier = keras_hub.models.BertTextClassifier(
        backbone,
        num_classes=len(job.label_names),
        preprocessor=keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=job.max_length),
        dropout=job.dropout,
    )
    kernel = classifier.get_layer("logits").kernel  # the same start as the others': see hugging_face
    kernel.assign(keras.initializers.GlorotUniform(job.seed)(kernel.shape))
    targets = [job.label_names.index(label) for label in job.train_labels]
    dataset = tf.data.Dataset.from_tensor_slices((job.train_texts, targets))
    dataset = dataset.shuffle(len(targets), seed=job.seed).batch(job.batch_size)
    total_steps = len(dataset) * job.epochs
    optimizer = keras.optimizers.AdamW(
        WarmupDecay(job.learning_rate, int(job.warmup * total_steps), total_steps),
        weight_decay=job.weight_decay,
        epsilon=1e-6,
        global_clipnorm=job.clip_norm,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    classifier.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[],
        jit_compile=jit_compile,
    )
    classifier.fit(dataset, epochs=job.epochs, verbose=0)
    yield

    texts = tf.data.Dataset.from_tensor_slices(job.test_texts).batch(64)
    yield [job.label_names[i] for i in classifier.predict(texts, verbose=0).argmax(-1)]


CONTENDERS = {
    "tfkor": tfkor,
    "hf_padded": lambda job: hugging_face(job, padded=True),
    "hf_dynamic": lambda job: hugging_face(job, padded=False),
    "kerashub": kerashub,
    "kerashub_graph": lambda job: kerashub(job, jit_compile=False),
    "tfkor_bf16": lambda job: tfkor(job, precision="mixed_bfloat16"),
    "hf_dynamic_bf16": lambda job: hugging_face(job, padded=False, bf16=True),
}
LIBRARIES = {
    "tfkor": ("tensorflow", "keras"),
    "hf": ("torch", "transformers", "tokenizers", "accelerate"),
    "kerashub": ("tensorflow", "keras", "keras-hub"),
}


def run(name, job):
    """Runs a contender; returns its measurements and predictions."""
    steps = CONTENDERS[name](job)
    start = time.perf_counter()
    settings = next(steps)
    imported, cpu = time.perf_counter(), time.process_time()
    next(steps)
    return {
        "import_seconds": imported - start,
        "seconds": time.perf_counter() - imported,
        "cpu_seconds": time.process_time() - cpu,
        "memory_mb": peak_memory_mb(),
        **settings,
        "versions": {library: version(library) for library in LIBRARIES[name.split("_")[0]]},
        "predicted": next(steps),
    }


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as file:
        job = SimpleNamespace(**json.load(file))
    print(json.dumps(run(sys.argv[1], job), ensure_ascii=False))
