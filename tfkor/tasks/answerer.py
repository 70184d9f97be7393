"""Reading comprehension: the answer to a question as a part of a text (Devlin et al. 2019, sections 4.2 and 4.3)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from tfkor.data import Batches
from tfkor.data.questions import QuestionData
from tfkor.layers.inputs import Batch, Tensor
from tfkor.metrics import klue_mrc_report, korquad_report
from tfkor.models.backbone import Backbone
from tfkor.tasks.batches import bucketed, prediction_batches
from tfkor.tasks.heads import TaskModel
from tfkor.tasks.losses import Loss, weighted_mean
from tfkor.tasks.task import Metrics, Task
from tfkor.tasks.windows import best_windows, windows_of
from tfkor.text import Tokenizer
from tfkor.text.ragged import ragged

HIDDEN = -1e9  # a logit where no answer may begin or end


@keras.saving.register_keras_serializable("tfkor")
class SpanModel(TaskModel):
    """A batch of the three inputs, int [B, S] -> logits float32 [B, S, 2] of where an answer begins and ends."""

    def __init__(self, encoder: Backbone, **kwargs):
        super().__init__(encoder, **kwargs)
        self.dense = keras.layers.Dense(2, dtype="float32", name="logits")
        self.dense.build((None, None, encoder.config.hidden_size))
        self.built = True

    def call(self, inputs: Batch | list[Tensor], training: bool = False) -> Tensor:
        return self.dense(self.sequence_output(inputs, training))


class Answer(NamedTuple):
    """A part of a context; `text` is empty where it holds none. `score` is the sum of two logits."""

    text: str
    begin: int
    end: int
    score: float


class QuestionAnswerer(Task):
    """The answer to a question, in a context.

        answerer = QuestionAnswerer(encoder, tokenizer=tokenizer)
        answerer.fit(read_questions("KorQuAD_v1.0_train.json"), validation=read_questions("KorQuAD_v1.0_dev.json"))
        answerer.predict(["임종석의 출생지는?"], [context])       # [Answer("장흥", 14, 16, 11.2)]

    A context is split into windows that overlap. An answer is returned as the characters of the context that its pieces
    come from, whatever normalisation does to them.

    Args:
      encoder: a model of tfkor.
      tokenizer: a tfkor.text.Tokenizer.
      max_length: tokens of a row: [CLS] question [SEP] context [SEP].
      stride: pieces from the start of one window to that of the next; None takes 128, or less where rows are short.
      max_question: pieces of a question; longer ones are truncated.
      max_answer: pieces of an answer.
      unanswerable: whether a context may hold no answer; `fit` sets it where one of its data does.
      null_threshold: by how much the score of no answer must exceed that of the best answer.
    """

    settings = ("max_length", "stride", "max_question", "max_answer", "unanswerable", "null_threshold")

    def __init__(
        self,
        encoder: Backbone,
        *,
        tokenizer: Tokenizer,
        max_length: int = 384,
        stride: int | None = None,
        max_question: int = 64,
        max_answer: int = 30,
        unanswerable: bool = False,
        null_threshold: float = 0.0,
    ):
        super().__init__(encoder, tokenizer, max_length)
        capacity = max_length - max_question - 3  # pieces of a context that fit into a row
        stride = min(128, capacity) if stride is None else stride
        if not 0 < stride <= capacity:
            raise ValueError(
                f"max_length is {max_length}; expected at least {max_question + 3 + max(1, stride)}, for a question of "
                f"{max_question} pieces, three special tokens and a stride of {max(1, stride)}"
            )
        self.stride, self.max_question, self.max_answer = stride, max_question, max_answer
        self.unanswerable, self.null_threshold = unanswerable, null_threshold
        self.set_model(SpanModel(encoder))

    @property
    def monitor(self) -> str:
        """The metric that chooses the best epoch."""
        return "rouge_w" if self.unanswerable else "f1"

    def fit(
        self,
        train: QuestionData,
        validation: QuestionData | None = None,
        callbacks: Sequence[Any] = (),
        **options: Any,
    ) -> list[Metrics]:
        """As `Task.fit`."""
        parts = [data for data in (train, validation) if data is not None]
        self.unanswerable = self.unanswerable or any(data.has_unanswerable for data in parts)
        return super().fit(train, validation, callbacks, **options)

    def rows(self, data: QuestionData) -> tuple:
        """The pieces of each context; the ids of a row before its context; windows; Ragged ids and segments."""
        different = list(dict.fromkeys(data.contexts))
        contexts = dict(zip(different, self.tokenizer.all_offsets(different), strict=True))
        pieces = [contexts[context] for context in data.contexts]
        questions = [row[: self.max_question] for row in self.tokenizer.ids(data.questions).to_lists()]
        tok, windows, ids, segments = self.tokenizer, [], [], []
        for number, (question, (context, _)) in enumerate(zip(questions, pieces)):
            capacity = self.max_length - len(question) - 3
            for window in windows_of([len(context)], capacity, min(self.stride, capacity)):
                windows.append(window._replace(row=number))
                ids.append([tok.cls_id, *question, tok.sep_id, *context[window.begin : window.end], tok.sep_id])
                segments.append([0] * (len(question) + 2) + [1] * (window.end - window.begin + 1))
        before = [len(question) + 2 for question in questions]  # the ids of a row before its context
        return pieces, before, windows, ragged(ids), ragged(segments)

    def batches(self, data: QuestionData, batch_size: int, max_buckets: int, seed: int) -> Batches:
        pieces, before, windows, ids, segments = self.rows(data)
        labels = np.zeros((len(windows), 2), np.int32)  # [CLS] where the answer is not in the window
        for i, window in enumerate(windows):
            for text, start in data.answers[window.row][:1]:
                first, last = covering(pieces[window.row][1], start, start + len(text))
                if first is not None and window.begin <= first and last < window.end:
                    labels[i] = before[window.row] - window.begin + np.array([first, last])
        options = dict(batch_size=batch_size, max_buckets=max_buckets, seed=seed, labels=labels)
        return bucketed(ids, segments, {}, **options)

    def loss(self, batch: Batch, loss_function: Loss | None = None) -> tuple[Tensor, Metrics]:
        """The mean of the cross entropies of begin and end; neither may be padding."""
        logits = self.model(batch, training=True)  # [B, S, 2]
        hidden = HIDDEN * (1.0 - ops.cast(batch["input_mask"], "float32"))
        logits = ops.transpose(logits + hidden[..., None], (0, 2, 1))  # [B, 2, S]
        losses = ops.mean((loss_function or self.loss_function)(batch["labels"], logits), axis=-1)
        return weighted_mean(losses, batch["sample_weight"]), {}

    def predict(self, questions: Sequence[str], contexts: Sequence[str], batch_size: int = 32) -> list[Answer]:
        """Questions and contexts, lists of str -> a list of Answers."""
        ids = [str(i) for i in range(len(questions))]
        data = QuestionData(ids, list(questions), list(contexts), [[]] * len(ids))
        if not len(data):
            return []
        pieces, before, windows, ids, segments = self.rows(data)
        best = best_windows(windows, [len(row) for row, _ in pieces])
        found = [[] for _ in questions]  # (score, first piece, last piece); None for no answer
        null = np.full(len(questions), np.inf)
        options = dict(batch_size=batch_size, max_length=self.max_length)
        for rows, batch in prediction_batches(ids, segments, **options):
            for number, logits in zip(rows, np.asarray(self.outputs(batch))):
                window = windows[number]
                null[window.row] = min(null[window.row], float(logits[0].sum()))
                inside = logits[before[window.row] :][: window.end - window.begin]
                seen_best = best[window.row][window.begin : window.end] == number
                for score, first, last in best_spans(inside, seen_best, self.max_answer):
                    found[window.row].append((score, window.begin + first, window.begin + last))
        return [self.choose(*each) for each in zip(found, null, pieces, contexts)]

    answer = predict  # an alias

    def choose(self, found: list, null: float, pieces: tuple, context: str) -> Answer:
        """The best of the spans found in a context, or no answer."""
        score, first, last = max(found, key=lambda span: span[0], default=(-np.inf, 0, 0))
        if not found or (self.unanswerable and null - score > self.null_threshold):
            return Answer("", 0, 0, float(null))
        begin, end = pieces[1][first][0], pieces[1][last][1]
        return Answer(context[begin:end], begin, end, float(score))

    def evaluate(self, data: QuestionData) -> Metrics:
        """QuestionData -> KorQuAD's exact_match and f1; where contexts may hold no answer KLUE's, and rouge_w."""
        predicted = {i: answer.text for i, answer in zip(data.ids, self.predict(data.questions, data.contexts))}
        report = klue_mrc_report if self.unanswerable or data.has_unanswerable else korquad_report
        return {**report(data.truth(), predicted), "examples": len(data)}


def covering(spans: Sequence[tuple[int, int]], begin: int, end: int) -> tuple[int | None, int | None]:
    """The first and last piece that hold a character from `begin` to `end` of a text; None, None if none does."""
    inside = [i for i, (start, stop) in enumerate(spans) if start < end and stop > begin]
    return (inside[0], inside[-1]) if inside else (None, None)


def best_spans(
    logits: np.ndarray, allowed: np.ndarray, max_answer: int, count: int = 20
) -> list[tuple[float, int, int]]:
    """Logits [S, 2] -> up to `count` (score, first, last) of spans of at most `max_answer` pieces, best first.

    `allowed` bool [S]: where a span may begin. Begins and ends are the `count` likeliest each (run_squad.py).
    """
    if not len(logits):
        return []
    firsts, lasts = (np.argsort(-logits[:, i], kind="stable")[:count] for i in range(2))
    length = lasts - firsts[:, None] + 1  # [F, L]
    fits = (length > 0) & (length <= max_answer) & allowed[firsts][:, None]
    scores = np.where(fits, logits[firsts, 0][:, None] + logits[lasts, 1], -np.inf)
    order = np.argsort(-scores, axis=None, kind="stable")[:count]
    found = zip(*np.unravel_index(order, scores.shape))
    return [(scores[i, j], int(firsts[i]), int(lasts[j])) for i, j in found if np.isfinite(scores[i, j])]
