"""A model that answers questions as a SavedModel from raw text to answers, with their offsets in the text."""

import os
from pathlib import Path

import tensorflow as tf

from tfkor.export.common import float32_compute, new_saved_model
from tfkor.export.saved_model import call_of_strings, save
from tfkor.export.windows import Windows, run
from tfkor.tasks.answerer import QuestionAnswerer

CANDIDATES = 20  # begins and ends of a window that are considered, as in tfkor.tasks.answerer.best_spans


def export_string_answerer(answerer: QuestionAnswerer, path: str | os.PathLike, overwrite: bool = False) -> Path:
    """Writes a QuestionAnswerer with its tokenizer as a SavedModel from raw questions and contexts to answers.

    To load it you need tensorflow and `import tensorflow_text`, not tfkor:

        model = tf.saved_model.load(path)
        serve = model.signatures["serving_default"]
        answer = serve(question=tf.constant(["임종석의 출생지는?"]), context=tf.constant([context]))

    question and context, string [B] each, give a dict of what `QuestionAnswerer.predict` gives: answer string [B], the
    characters of the context from begin to end, int32 [B] each, score float32 [B], and no_answer bool [B], whether the
    context holds none. Contexts of any length are split into windows that overlap. The object itself is called with
    [question, context], or a dict of them. It computes in float32, and no variable is trainable.

    Arguments, result and errors are those of `export_string_tagger`.
    """
    from tfkor.text import GraphOffsets

    answerer = answerer.merged()
    offsets = GraphOffsets(answerer.tokenizer)
    with new_saved_model(path, overwrite) as folder, float32_compute(answerer.model):
        strings = [tf.TensorSpec((None,), tf.string, name=name) for name in ("question", "context")]

        @tf.function(input_signature=strings, autograph=False)
        def serve(question, context):
            message = "question and context have different lengths; expected one context for each question"
            with tf.control_dependencies([tf.debugging.assert_equal(tf.shape(question), tf.shape(context), message)]):
                context = tf.strings.unicode_transcode(context, "UTF-8", "UTF-8", errors="replace")
            questions = offsets.twin.ids(question)[:, : answerer.max_question]
            return answers(answerer, questions, context, *offsets(context))

        serve = serve.get_concrete_function()  # traced once for all callers
        call = call_of_strings(serve, ["question", "context"])
        save(folder, call, answerer.model, {"serving_default": serve}, trainable=False, tokenizer=offsets)
    return Path(path)


def answers(
    answerer: QuestionAnswerer,
    questions: tf.RaggedTensor,
    context: tf.Tensor,
    ids: tf.RaggedTensor,
    begin: tf.RaggedTensor,
    end: tf.RaggedTensor,
) -> dict[str, tf.Tensor]:
    """Ids of questions; contexts [B], their ids, and the offsets of these: ragged [B, None] -> the model's dict."""
    tok, before = answerer.tokenizer, questions.row_lengths() + 2
    capacity = answerer.max_length - 1 - before
    windows = Windows.of(ids.row_lengths(), capacity, tf.minimum(tf.constant(answerer.stride, tf.int64), capacity))
    pieces = windows.pieces(ids.row_starts())
    before = tf.gather(before, windows.row)  # [W], the ids of a row before its context
    asked = tf.gather(questions, windows.row)
    cls, sep = (tf.fill([pieces.nrows(), 1], tf.constant(i, tf.int32)) for i in (tok.cls_id, tok.sep_id))
    rows = tf.concat([cls, asked, sep, pieces.with_values(tf.gather(ids.values, pieces.values)), sep], axis=1)
    positions = rows.with_values(tf.ragged.range(rows.row_lengths()).values)
    segments = positions.with_values(tf.cast(positions.values >= tf.gather(before, positions.value_rowids()), tf.int32))
    logits = run(answerer, rows, segments)  # [W, S, 2]
    score, first, last = best_spans(answerer, windows, pieces, before, logits)
    # The best of the windows of each context, the first if equal
    count = ids.nrows()
    highest = tf.math.unsorted_segment_max(score, windows.row, count)
    number = tf.range(pieces.nrows())
    number = tf.where(score == tf.gather(highest, windows.row), number, tf.int64.max)
    best = tf.math.unsorted_segment_min(number, windows.row, count)
    null = tf.math.unsorted_segment_min(logits[:, 0, 0] + logits[:, 0, 1], windows.row, count)
    no_answer = highest == score.dtype.min
    if answerer.unanswerable:
        gap = tf.cast(null, tf.float64) - tf.cast(highest, tf.float64)
        no_answer |= gap > answerer.null_threshold
    where = tf.gather(ids.row_starts() + tf.gather(windows.begin, best), tf.range(count))
    begin, end = (tf.concat([x.values, [0]], 0) for x in (begin, end))  # a context may have no piece at all
    limit = tf.size(begin, tf.int64) - 1
    begin = tf.gather(begin, tf.minimum(where + tf.gather(first, best), limit))
    end = tf.gather(end, tf.minimum(where + tf.gather(last, best), limit))
    begin, end = (tf.where(no_answer, 0, x) for x in (begin, end))
    return {
        "answer": tf.strings.substr(context, begin, end - begin, "UTF8_CHAR"),
        "begin": begin,
        "end": end,
        "score": tf.where(no_answer, null, highest),
        "no_answer": no_answer,
    }


def best_spans(
    answerer: QuestionAnswerer, windows: Windows, pieces: tf.RaggedTensor, before: tf.Tensor, logits: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The score float32 [W] of each window's best span, and its first and last piece, int64 [W], as `best_spans`."""
    inside = pieces.with_values(tf.ragged.range(windows.lengths).values).to_tensor(-1)  # [W, P]
    real = inside >= 0
    lowest = logits.dtype.min
    positions = tf.minimum(tf.maximum(inside, 0) + before[:, None], tf.shape(logits, tf.int64)[1] - 1)
    of_pieces = tf.gather(logits, positions, axis=1, batch_dims=1)
    of_pieces = tf.where(real[..., None], of_pieces, lowest)  # [W, P, 2]
    of_pieces = tf.pad(of_pieces, [[0, 0], [0, CANDIDATES], [0, 0]], constant_values=lowest)
    (begins, firsts), (ends, lasts) = (tf.math.top_k(of_pieces[..., i], CANDIDATES) for i in range(2))
    seen_best = pieces.with_values(windows.best(pieces)).to_tensor(False)
    seen_best = tf.pad(seen_best, [[0, 0], [0, CANDIDATES]])
    allowed = tf.gather(seen_best, firsts, batch_dims=1)  # [W, F]
    length = lasts[:, None, :] - firsts[:, :, None] + 1  # [W, F, L]
    fits = (length > 0) & (length <= answerer.max_answer) & allowed[..., None] & (ends > lowest)[:, None, :]
    scores = tf.where(fits, begins[..., None] + ends[:, None, :], lowest)
    scores = tf.reshape(scores, [-1, CANDIDATES * CANDIDATES])
    best = tf.argmax(scores, axis=1)
    first = tf.gather(firsts, best // CANDIDATES, batch_dims=1)
    last = tf.gather(lasts, best % CANDIDATES, batch_dims=1)
    return tf.reduce_max(scores, axis=1), tf.cast(first, tf.int64), tf.cast(last, tf.int64)
