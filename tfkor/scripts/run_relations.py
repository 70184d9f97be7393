"""Trains, evaluates or applies a relation extractor for two entities in a sentence: KLUE-RE.

  python -m tfkor.scripts.run_relations --train_file=klue-re-v1.1_train.json --dev_file=klue-re-v1.1_dev.json \\
      --init_checkpoint=klue/bert-base --model_dir=runs/re
  python -m tfkor.scripts.run_relations --mode=evaluate --model_dir=runs/re --test_file=klue-re-v1.1_dev.json
  python -m tfkor.scripts.run_relations --mode=predict --model_dir=runs/re --input_file=in.json --output_file=out.jsonl

Files are JSON in KLUE-RE's format; --input_file needs no labels. The last line printed is one JSON object with the
metrics.
"""

from absl import flags

from tfkor.data.relations import entity_markers, read_klue_re
from tfkor.scripts import _fine_tuning as fine_tuning
from tfkor.scripts import run_program

FLAGS = flags.FLAGS


def define_flags():
    fine_tuning.define_flags(max_length=256)
    fine_tuning.define_test_rows()
    fine_tuning.define_label_smoothing()
    flags.adopt_module_key_flags(fine_tuning)
    flags.DEFINE_bool("typed", True, "Mark entities with their types; KLUE-baseline's markers have none.")
    flags.DEFINE_integer("top_k", 3, "Number of relations to write for each sentence.", lower_bound=1)


def make(train):
    from tfkor.tasks import RelationExtractor

    encoder, tokenizer = fine_tuning.encoder_and_tokenizer(train.texts, symbols=entity_markers(FLAGS.typed))
    length = min(FLAGS.max_length, encoder.max_length)
    options = dict(tokenizer=tokenizer, max_length=length, typed=FLAGS.typed)
    return RelationExtractor(encoder, dropout=FLAGS.dropout, **options)


def predictions(extractor, path):
    data, rows = read_klue_re(path, labelled=False), []
    for example, scores in zip(data.examples, extractor.predict_proba(data)):
        best = (-scores).argsort(kind="stable")[: FLAGS.top_k]
        row = {"guid": example.name, "sentence": example.sentence}
        row |= {"subject": example.sentence[slice(*example.subject)]}
        row |= {"object": example.sentence[slice(*example.object_)]}
        row |= {"relations": [extractor.relations[i] for i in best]}
        rows.append({**row, "probabilities": [round(float(scores[i]), 6) for i in best]})
    return rows


def job():
    from tfkor.tasks import RelationExtractor

    return fine_tuning.run_modes(RelationExtractor, read_klue_re, make, predictions, fine_tuning.label_smoothing)


if __name__ == "__main__":
    run_program(define_flags, job)
