"""The contenders of tasks.py, each of which runs in a process of its own: tasks_peers.py CONTENDER JOB.json

A contender is a generator that stops three times: when its libraries are imported, when its model is trained (the time
between the two counts), and with {way of predicting: function without arguments}. All start from the same weights and
have the same tokenizer, texts, epochs, batch size, learning rate, warm-up, weight decay, clipping and dropout.
"""

import json
import os
import statistics
import sys
import time
from types import SimpleNamespace

import numpy as np
from trainer import train
from worker import peak_memory_mb

THREADS = len(os.sched_getaffinity(0))
IGNORED = -100  # the label of tokens that transformers' loss ignores
MAX_ANSWER = 30  # tokens

# === tfkor ===


def tfkor(job, precision="float32"):
    import tensorflow  # noqa: F401  so that its import is not in the time

    from tfkor import zoo
    from tfkor.data import TextData
    from tfkor.data.questions import QuestionData
    from tfkor.data.tagging import TaggedData
    from tfkor.tasks import QuestionAnswerer, TextClassifier, TokenTagger

    yield

    encoder, tokenizer = zoo.load(job.start, dtype=precision, hidden_dropout_prob=job.dropout)
    options = dict(tokenizer=tokenizer, max_length=job.max_length)
    if job.kind == "answers":
        task = QuestionAnswerer(encoder, stride=job.max_length - job.max_question - 3 - job.overlap, **options)
        train, test = (QuestionData(*(columns[name] for name in job.columns)) for columns in (job.train, job.test))
        ways = {"answer": lambda: [found.text for found in task.answer(test.questions, test.contexts)]}
    elif job.kind == "tags":
        task = TokenTagger(encoder, job.labels, job.dropout, **options)
        train, test = (TaggedData(*(columns[name] for name in job.columns)) for columns in (job.train, job.test))
        ways = {"predict": lambda: task.predict(test.texts, test.units)}
    else:
        kind = {"classes": "softmax", "numbers": "linear"}[job.kind]
        task = TextClassifier(encoder, dropout=job.dropout, labels=job.labels, activation=kind, **options)
        train, test = (TextData(*(columns[name] for name in job.columns)) for columns in (job.train, job.test))
        ways = {"predict": lambda: task.predict(test.texts, test.pairs)}
    names = ("epochs", "batch_size", "learning_rate", "warmup", "weight_decay", "clip_norm", "seed")
    task.fit(train, **{name: getattr(job, name) for name in names})
    yield

    yield ways


# === transformers ===


def hugging_face(job, padded, **arguments):
    """Trainer; each row padded to max_length, or batches of similar lengths padded to their longest row."""
    import torch
    import transformers

    torch.set_num_threads(THREADS)
    task_class = KINDS[job.kind]
    model_class = getattr(transformers, f"AutoModelFor{task_class.head}")
    tools = transformers.AutoTokenizer, transformers.Trainer, transformers.pipeline
    assert all(tools)  # they are imported when they are named
    yield

    transformers.set_seed(job.seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(job.start)
    task = task_class(job, tokenizer, padded)
    sizes = {"num_labels": len(job.labels or [0])} if job.kind != "answers" else {}
    model = model_class.from_pretrained(job.start, hidden_dropout_prob=job.dropout, **sizes)
    collator = transformers.default_data_collator if padded else getattr(transformers, task.collator)(tokenizer)
    train(job, model, task.rows(job.train), tokenizer, collator, grouped=not padded, **arguments)
    yield

    model.eval()
    ways = {"padded" if padded else "sorted": lambda: task.predict(model, by_length=not padded)}
    if not padded and task.pipeline:
        pipe = transformers.pipeline(task.pipeline, model, tokenizer=tokenizer, batch_size=job.batch_size)
        ways["pipeline"] = lambda: task.by_pipeline(pipe)
    yield ways


class Kind:
    """A kind of task: training rows and predictions of the test rows; `encoded(columns)` makes the model's inputs."""

    collator, pipeline = "DataCollatorWithPadding", None

    def __init__(self, job, tokenizer, padded):
        self.job, self.tokenizer, self.padding = job, tokenizer, "max_length" if padded else False


class Sentences(Kind):
    """Classes, or numbers, of one text or two."""

    head, pipeline = "SequenceClassification", "text-classification"

    def encoded(self, columns):
        given = [columns["texts"], columns.get("pairs")]
        return self.tokenizer(*given, truncation=True, max_length=self.job.max_length, padding=self.padding)

    def rows(self, columns):
        labels = self.job.labels
        targets = [labels.index(label) if labels else float(label) for label in columns["labels"]]
        found = {**self.encoded(columns), "labels": targets}
        return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]

    def predict(self, model, by_length):
        logits = forward(self, model, self.encoded(self.job.test), by_length)
        if self.job.labels is None:
            return [float(row[0]) for row in logits]
        return [self.job.labels[row.argmax()] for row in logits]

    def by_pipeline(self, pipe):
        columns, job = self.job.test, self.job
        texts = columns["texts"]
        if columns.get("pairs"):
            texts = [{"text": a, "text_pair": b} for a, b in zip(texts, columns["pairs"])]
        options = {} if job.labels else {"function_to_apply": "none"}
        found = pipe(texts, truncation=True, max_length=job.max_length, **options)
        return [job.labels[int(row["label"].split("_")[1])] if job.labels else row["score"] for row in found]


class Tags(Kind):
    """Tags of characters; of each token, the tag of its first character is learned and predicted."""

    head, pipeline, collator = "TokenClassification", "token-classification", "DataCollatorForTokenClassification"

    def encoded(self, columns):
        options = dict(truncation=True, max_length=self.job.max_length, return_offsets_mapping=True)
        found = self.tokenizer(columns["texts"], padding=self.padding, **options)
        return found, found.pop("offset_mapping")

    def rows(self, columns):
        found, offsets = self.encoded(columns)
        number = {label: i for i, label in enumerate(self.job.labels)}
        targets = []
        for spans, units, tags in zip(offsets, columns["units"], columns["tags"], strict=True):
            at = {begin: number[tag] for (begin, _), tag in zip(units, tags)}
            targets.append([at.get(begin, IGNORED) if end > begin else IGNORED for begin, end in spans])
        found = {**found, "labels": targets}
        return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]

    def predict(self, model, by_length):
        found, offsets = self.encoded(self.job.test)
        logits = forward(self, model, found, by_length)
        predicted = [[(*span, row[i].argmax()) for i, span in enumerate(spans)] for spans, row in zip(offsets, logits)]
        return self.of_characters(predicted)

    def by_pipeline(self, pipe):
        found = pipe(self.job.test["texts"], ignore_labels=[])
        names = [[(row["start"], row["end"], int(row["entity"].split("_")[1])) for row in rows] for rows in found]
        return self.of_characters(names)

    def of_characters(self, predicted):
        out = []
        for tokens, units in zip(predicted, self.job.test["units"], strict=True):
            at = {offset: (i, offset == begin) for begin, end, i in tokens for offset in range(begin, end)}
            labels = [(self.job.labels[i], first) for i, first in (at.get(b, (-1, True)) for b, _ in units)]  # O
            out.append([label if first else label.replace("B-", "I-") for label, first in labels])
        return out


class Answers(Kind):
    """Spans of a context, whose windows overlap, as the example run_qa.py cuts them."""

    head = "QuestionAnswering"

    def encoded(self, columns):
        return self.tokenizer(
            columns["questions"],
            columns["contexts"],
            truncation="only_second",
            max_length=self.job.max_length,
            stride=self.job.overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding=self.padding,
        )

    def rows(self, columns):
        found = self.encoded(columns)
        rows = []
        for i, (spans, number) in enumerate(zip(found["offset_mapping"], found["overflow_to_sample_mapping"])):
            text, start = columns["answers"][number][0]
            context = [token for token, part in enumerate(found.sequence_ids(i)) if part == 1]
            inside = [token for token in context if spans[token][0] < start + len(text) and spans[token][1] > start]
            whole = inside and spans[context[0]][0] <= start and spans[context[-1]][1] >= start + len(text)
            first, last = (inside[0], inside[-1]) if whole else (0, 0)
            row = {name: found[name][i] for name in ("input_ids", "token_type_ids", "attention_mask")}
            rows.append({**row, "start_positions": first, "end_positions": last})
        return rows

    def predict(self, model, by_length):
        found = self.encoded(self.job.test)
        rows = {name: found[name] for name in ("input_ids", "token_type_ids", "attention_mask")}
        best = [(-np.inf, "")] * len(self.job.test["ids"])
        size = self.job.max_length
        short = np.triu(np.tri(size, k=MAX_ANSWER - 1, dtype=bool))  # [first, last] of spans that may be answers
        for i, logits in enumerate(forward(self, model, rows, by_length)):
            number, spans = found["overflow_to_sample_mapping"][i], found["offset_mapping"][i]
            context = np.flatnonzero([part == 1 for part in found.sequence_ids(i)])
            starts, ends = logits[context].T
            scores = np.where(short[: len(context), : len(context)], starts[:, None] + ends, -np.inf)
            first, last = np.unravel_index(scores.argmax(), scores.shape)
            text = self.job.test["contexts"][number][spans[context[first]][0] : spans[context[last]][1]]
            best[number] = max(best[number], (float(scores[first, last]), text))
        return [text for _, text in best]


KINDS = {"classes": Sentences, "numbers": Sentences, "tags": Tags, "answers": Answers}


def forward(task, model, encoded, by_length):
    """Logits of all rows, batch by batch: sorted by length and padded to the longest of a batch, or in their order."""
    import torch

    rows = [dict(zip(encoded, row, strict=True)) for row in zip(*encoded.values(), strict=True)]
    order = np.arange(len(rows))
    if by_length:
        order = np.argsort([len(row["input_ids"]) for row in rows], kind="stable")
    out = [None] * len(rows)
    with torch.inference_mode():
        for first in range(0, len(order), task.job.batch_size):
            picked = order[first : first + task.job.batch_size]
            batch = task.tokenizer.pad([rows[i] for i in picked], return_tensors="pt")
            found = model(**batch)
            logits = found.logits if "logits" in found else torch.stack([found.start_logits, found.end_logits], -1)
            for i, row in zip(picked, logits.numpy()):
                out[i] = row
    return out


CONTENDERS = {
    "tfkor": tfkor,
    "tfkor_bf16": lambda job: tfkor(job, "mixed_bfloat16"),
    "hf_dynamic": lambda job: hugging_face(job, padded=False),
    "hf_padded": lambda job: hugging_face(job, padded=True),
    "hf_compiled": lambda job: hugging_face(job, padded=False, torch_compile=True),
    "hf_dynamic_bf16": lambda job: hugging_face(job, padded=False, bf16=True),
}


def timed(function, calls):
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        found = function()
        seconds.append(time.perf_counter() - start)
    return seconds, found


def run(name, job):
    """Runs a contender; returns its measurements and predictions."""
    steps = CONTENDERS[name](job)
    next(steps)
    start, cpu = time.perf_counter(), time.process_time()
    next(steps)
    training = {"train_seconds": time.perf_counter() - start, "train_cpu_seconds": time.process_time() - cpu}
    out = {"predict": {}, "predicted": {}}
    for way, function in next(steps).items():
        (first, *later), out["predicted"][way] = timed(function, 1 + job.calls)
        out["predict"][way] = {"first_seconds": first, "seconds": statistics.median(later)}
    return training | out | {"memory_mb": peak_memory_mb()}


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the output of libraries must not mix with the answers
    with open(sys.argv[2], encoding="utf-8") as file:
        job = SimpleNamespace(**json.load(file))
    print(json.dumps(run(sys.argv[1], job), ensure_ascii=False), file=answers)
