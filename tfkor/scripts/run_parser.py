"""Trains, evaluates or applies a dependency parser: KLUE-DP, Universal Dependencies.

  python -m tfkor.scripts.run_parser --train_file=klue-dp-v1.1_train.tsv --dev_file=klue-dp-v1.1_dev.tsv \\
      --init_checkpoint=klue/bert-base --model_dir=runs/dp
  python -m tfkor.scripts.run_parser --format=conllu --train_file=ko_kaist-ud-train.conllu --model_dir=runs/ud
  python -m tfkor.scripts.run_parser --mode=predict --model_dir=runs/ud --input_file=in.txt --output_file=out.jsonl

With --use_tags the gold parts of speech are an input of the parser, as in KLUE-baseline, and --input_file is a file in
--format. Without, it has one sentence per line, its words separated by spaces. The last line printed is one JSON object
with the metrics.
"""

from absl import flags

from tfkor.data.trees import KLUE_DP_TAGS, read_conllu, read_klue_dp
from tfkor.scripts import _fine_tuning as fine_tuning
from tfkor.scripts import run_program

FLAGS = flags.FLAGS
READERS = {"klue_dp": read_klue_dp, "conllu": read_conllu}


def define_flags():
    fine_tuning.define_flags(max_length=256, epochs=10, dropout=0.33)
    fine_tuning.define_test_rows()
    flags.adopt_module_key_flags(fine_tuning)
    flags.DEFINE_enum("format", "klue_dp", list(READERS), "Format of the files.")
    flags.DEFINE_bool("use_tags", False, "Use the gold parts of speech as an input.")


def make(train):
    from tfkor.tasks import DependencyParser

    encoder, tokenizer = fine_tuning.encoder_and_tokenizer([" ".join(words) for words in train.words])
    seen = sorted({tag for tags in train.tags for tag in tags})
    tags = () if not FLAGS.use_tags else KLUE_DP_TAGS if FLAGS.format == "klue_dp" else seen
    length = min(FLAGS.max_length, encoder.max_length)
    return DependencyParser(encoder, None, tags, FLAGS.dropout, tokenizer=tokenizer, max_length=length)


def predictions(parser, path):
    if parser.tags:
        data = READERS[FLAGS.format](path)
        sentences, tags = data.words, data.tags
    else:
        sentences, tags = [line.split() for line in fine_tuning.lines_of(path)], None
    return [
        {"words": words, "heads": heads, "relations": relations}
        for words, heads, relations in zip(sentences, *parser.predict(sentences, tags))
    ]


def job():
    from tfkor.tasks import DependencyParser

    return fine_tuning.run_modes(DependencyParser, READERS[FLAGS.format], make, predictions)


if __name__ == "__main__":
    run_program(define_flags, job)
