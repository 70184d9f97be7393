"""Trains, evaluates or applies a dialogue state tracker: KLUE-DST, the Wizard of Seoul.

  python -m tfkor.scripts.run_tracker --train_file=wos-v1.1_train.json --dev_file=wos-v1.1_dev.json \\
      --init_checkpoint=klue/bert-base --model_dir=runs/dst
  python -m tfkor.scripts.run_tracker --mode=evaluate --model_dir=runs/dst --test_file=wos-v1.1_dev.json
  python -m tfkor.scripts.run_tracker --mode=predict --model_dir=runs/dst --input_file=in.tsv --output_file=out.jsonl

--input_file has one dialogue per line, its utterances separated by tabs, the first one the user's.
--ontology_file=ontology.json gives the slots and the spelling of their values. The last line printed is one JSON object
with the metrics.
"""

import functools

from absl import flags

from tfkor.data.dialogues import read_klue_wos, read_ontology, split_state
from tfkor.scripts import _fine_tuning as fine_tuning
from tfkor.scripts import run_program

FLAGS = flags.FLAGS


def define_flags():
    fine_tuning.define_flags(max_length=510, epochs=5, batch_size=16, learning_rate=3e-5)
    fine_tuning.define_test_rows()
    flags.adopt_module_key_flags(fine_tuning)
    about = "JSON file of slots and their values; by default those of the training data."
    flags.DEFINE_string("ontology_file", None, about)
    about = "Teacher forcing: fraction of the steps in which the decoder gets the gold tokens."
    flags.DEFINE_float("teacher_forcing", 0.5, about, **fine_tuning.FRACTION)
    flags.DEFINE_integer("max_value", 10, "Longest value in tokens; KLUE-baseline generates 10.", lower_bound=1)


def make(train, ontology):
    from tfkor.tasks import DialogueTracker

    slots = sorted(ontology or train.slots)
    values = {split_state(value)[1] for state in train.truth() for value in state}
    texts = [text for utterances in train.utterances for text in utterances]
    encoder, tokenizer = fine_tuning.encoder_and_tokenizer([*texts, *sorted(values), *slots])
    return DialogueTracker(
        encoder,
        slots,
        ontology,
        FLAGS.dropout,
        FLAGS.teacher_forcing,
        tokenizer=tokenizer,
        max_length=min(FLAGS.max_length, encoder.max_length),
        max_value=FLAGS.max_value,
    )


def predictions(tracker, path):
    dialogues = [line.split("\t") for line in fine_tuning.lines_of(path)]
    return [
        {"utterances": utterances, "states": states}
        for utterances, states in zip(dialogues, tracker.predict(dialogues))
    ]


def job():
    from tfkor.tasks import DialogueTracker

    ontology = read_ontology(FLAGS.ontology_file) if FLAGS.ontology_file else None
    read = functools.partial(read_klue_wos, ontology=ontology)
    return fine_tuning.run_modes(DialogueTracker, read, functools.partial(make, ontology=ontology), predictions)


if __name__ == "__main__":
    run_program(define_flags, job)
