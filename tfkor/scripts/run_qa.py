"""Trains, evaluates or applies a model for extractive question answering: KorQuAD 1.0, KLUE-MRC.

  python -m tfkor.scripts.run_qa --train_file=KorQuAD_v1.0_train.json --dev_file=KorQuAD_v1.0_dev.json \\
      --init_checkpoint=klue/bert-base --max_length=384 --model_dir=runs/korquad
  python -m tfkor.scripts.run_qa --mode=evaluate --model_dir=runs/korquad --test_file=KorQuAD_v1.0_dev.json
  python -m tfkor.scripts.run_qa --mode=predict --model_dir=runs/korquad --input_file=in.tsv --output_file=out.jsonl

Files are JSON in SQuAD's format; --input_file has lines of question, tab and context. If the training or dev data have
unanswerable questions, the model may also predict that there is no answer. The last line printed is one JSON object
with the metrics.
"""

import functools

from absl import flags

from tfkor.data.questions import read_questions
from tfkor.data.text_data import DataError
from tfkor.scripts import _fine_tuning as fine_tuning
from tfkor.scripts import run_program

FLAGS = flags.FLAGS


def define_flags():
    fine_tuning.define_flags(max_length=384, batch_size=16, learning_rate=3e-5)
    fine_tuning.define_test_rows()
    flags.adopt_module_key_flags(fine_tuning)
    about = "Tokens from the start of one window of a context to that of the next; by default 128, or less if it must."
    flags.DEFINE_integer("stride", None, about, lower_bound=1)
    flags.DEFINE_integer("max_question", 64, "Longest question in tokens; longer ones are truncated.", lower_bound=1)
    flags.DEFINE_integer("max_answer", 30, "Longest answer in tokens.", lower_bound=1)
    about = "\"No answer\" is predicted where its score exceeds that of the best answer by more than this."
    flags.DEFINE_float("null_threshold", 0.0, about)


def make(train, read):
    """A new task; `unanswerable` is decided from the whole files, so that all folds have the same metrics."""
    from tfkor.tasks import QuestionAnswerer

    texts = list(dict.fromkeys(train.contexts)) + train.questions
    encoder, tokenizer = fine_tuning.encoder_and_tokenizer(texts)
    names = ("stride", "max_question", "max_answer", "null_threshold")
    options = {name: FLAGS[name].value for name in names}
    files = [path for path in (FLAGS.train_file, FLAGS.dev_file) if path]
    options["unanswerable"] = any(read(path).has_unanswerable for path in files)
    length = min(FLAGS.max_length, encoder.max_length)
    return QuestionAnswerer(encoder, tokenizer=tokenizer, max_length=length, **options)


def predictions(answerer, path):
    rows = [line.split("\t") for line in fine_tuning.lines_of(path)]
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            raise DataError(f"{path}, row {number}: {len(row)} columns; expected question, tab and context")
    questions, contexts = map(list, zip(*rows))
    return [
        {"question": question, "answer": answer.text, "begin": answer.begin, "end": answer.end, "score": answer.score}
        for question, answer in zip(questions, answerer.predict(questions, contexts))
    ]


def job():
    from tfkor.tasks import QuestionAnswerer

    read = functools.cache(read_questions)
    return fine_tuning.run_modes(QuestionAnswerer, read, functools.partial(make, read=read), predictions)


if __name__ == "__main__":
    run_program(define_flags, job)
