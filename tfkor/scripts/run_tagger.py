"""Trains, evaluates or applies a tagger of characters or words: named-entity recognition, parts of speech.

  python -m tfkor.scripts.run_tagger --format=klue_ner --train_file=klue-ner-v1.1_train.tsv \\
      --dev_file=klue-ner-v1.1_dev.tsv --init_checkpoint=klue/bert-base --model_dir=runs/ner
  python -m tfkor.scripts.run_tagger --mode=evaluate --model_dir=runs/ner --test_file=klue-ner-v1.1_dev.tsv
  python -m tfkor.scripts.run_tagger --mode=predict --model_dir=runs/ner --input_file=in.txt --output_file=out.jsonl

Formats: klue_ner, naver_ner, and columns, which has lines of a word or character, a tab and its tag. --input_file has
one text per line. The last line printed is one JSON object with the metrics.
"""

from absl import flags

from tfkor.data.tagging import KLUE_NER_LABELS, NAVER_NER_LABELS, read_klue_ner, read_naver_ner, read_tagged
from tfkor.scripts import _fine_tuning as fine_tuning
from tfkor.scripts import run_program

FLAGS = flags.FLAGS
READERS = {"klue_ner": read_klue_ner, "naver_ner": read_naver_ner, "columns": read_tagged}
LABELS = {"klue_ner": KLUE_NER_LABELS, "naver_ner": NAVER_NER_LABELS, "columns": None}


def define_flags():
    fine_tuning.define_flags(max_length=128)
    fine_tuning.define_test_rows()
    fine_tuning.define_label_smoothing()
    flags.adopt_module_key_flags(fine_tuning)
    flags.DEFINE_enum("format", "klue_ner", list(READERS), "Format of the files.")


def make(train):
    from tfkor.tasks import TokenTagger

    encoder, tokenizer = fine_tuning.encoder_and_tokenizer(train.texts)
    length = min(FLAGS.max_length, encoder.max_length)
    return TokenTagger(encoder, LABELS[FLAGS.format], FLAGS.dropout, tokenizer=tokenizer, max_length=length)


def predictions(tagger, path):
    texts = fine_tuning.lines_of(path)
    if not tagger.are_entities():
        return [{"text": text, "tags": tags} for text, tags in zip(texts, tagger.predict(texts))]
    keys = ("type", "text", "begin", "end")
    return [
        {"text": text, "entities": [dict(zip(keys, entity)) for entity in found]}
        for text, found in zip(texts, tagger.entities(texts))
    ]


def job():
    from tfkor.tasks import TokenTagger

    return fine_tuning.run_modes(TokenTagger, READERS[FLAGS.format], make, predictions, fine_tuning.label_smoothing)


if __name__ == "__main__":
    run_program(define_flags, job)
