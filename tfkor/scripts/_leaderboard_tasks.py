"""The tasks of `leaderboard`: for each its program, hyperparameters, data sources and the metrics that the table shows.

Hyperparameters are close to those of KoELECTRA's and KLUE-baseline's configurations; they aren't tuned for any encoder.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


class Source(NamedTuple):
    """Data of a task: files in the data folder, or parts of a data set that `load_dataset` knows.

    train, test: what is trained on, and what is evaluated on.
    test_rows: where `test` is None, the number of rows of `train` that are evaluated on, the same ones each time; the
      others are trained on.
    note: why the metrics can't be compared with the published ones; "" if they can.
    """

    train: str
    test: str | None = None
    test_rows: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """A task.

    Attributes:
      program: a module of tfkor.scripts.
      metrics: those of its results that the table shows.
      sources: in order of preference; the first one whose data are found is used.
      settings: {flag of the program: value}.
      dataset: its name for `load_dataset`, or None where sources are files.
    """

    program: str
    metrics: tuple
    sources: tuple
    settings: dict = field(default_factory=dict)
    dataset: str | None = None


def cut(part, rows):
    """The source of a task that has only one part, of which `rows` are held out for evaluation."""
    return Source(part, None, rows, f"{rows:,} rows of {part.split('/')[-1]} scored, the others trained on")


def sentences(dataset, metrics, *sources, **settings):
    common = dict(epochs=5, learning_rate=5e-5, batch_size=32, max_length=128, dropout=0.1)
    return Entry("run_classifier", metrics, sources, common | settings, dataset)


WHOLE = Source("train", "test")
DEV_SCORED = Source("train", "dev", note="dev scored")
TINY_TRAIN = "trained on dev, not on the training data"
NER = dict(epochs=10, learning_rate=5e-5, batch_size=32, max_length=128)
READING = dict(epochs=4, learning_rate=5e-5, batch_size=16, max_length=384)
TREES = dict(epochs=10, learning_rate=5e-5, batch_size=32, max_length=256)

TASKS = {
    # of one sentence or two
    "nsmc": sentences("nsmc", ("accuracy",), WHOLE, epochs=3),
    "paws": sentences("paws", ("accuracy",), WHOLE, Source("dev", "test", note=TINY_TRAIN)),
    "kornli": sentences("kornli", ("accuracy",), WHOLE, Source("dev", "test", note=TINY_TRAIN), epochs=3),
    "korsts": sentences("korsts", ("spearman",), WHOLE),
    "question-pair": sentences("question-pair", ("accuracy",), WHOLE),
    "hate-speech": sentences("hate-speech", ("macro_f1",), Source("train", "dev")),
    "ynat": sentences("ynat", ("macro_f1",), DEV_SCORED),
    "klue-sts": sentences("klue-sts", ("pearson", "f1_at_3"), DEV_SCORED, cut("dev", 170)),
    "klue-nli": sentences("klue-nli", ("accuracy",), DEV_SCORED, cut("dev", 1000)),
    "3i4k": sentences("3i4k", ("accuracy", "macro_f1"), WHOLE, epochs=3),
    "intents176": sentences("intents176", ("accuracy",), WHOLE, epochs=15),
    # of words and characters
    "naver-ner": Entry(
        "run_tagger",
        ("f1",),
        (Source("naver-ner/train.tsv", "naver-ner/test.tsv"), cut("naver-ner/test.tsv", 2000)),
        NER | {"format": "naver_ner"},
    ),
    "klue-ner": Entry(
        "run_tagger",
        ("entity_f1", "character_f1"),
        (
            Source("klue-ner/klue-ner-v1.1_train.tsv", "klue-ner/klue-ner-v1.1_dev.tsv", note="dev scored"),
            cut("klue-ner/klue-ner-v1.1_dev.tsv", 1000),
        ),
        NER | {"format": "klue_ner"},
    ),
    # questions
    "korquad": Entry(
        "run_qa",
        ("exact_match", "f1"),
        (
            Source("korquad1/KorQuAD_v1.0_train.json", "korquad1/KorQuAD_v1.0_dev.json"),
            cut("korquad1/KorQuAD_v1.0_dev.json", 1200),
        ),
        READING,
    ),
    "klue-mrc": Entry(
        "run_qa",
        ("exact_match", "rouge_w"),
        (
            Source("klue-mrc/klue-mrc-v1.1_train.json", "klue-mrc/klue-mrc-v1.1_dev.json", note="dev scored"),
            cut("klue-mrc/klue-mrc-v1.1_dev.json", 1200),
        ),
        READING,
    ),
    # relations and dialogues
    "klue-re": Entry(
        "run_relations",
        ("micro_f1", "auprc"),
        (Source("klue-re/klue-re-v1.1_train.json", "klue-re/klue-re-v1.1_dev.json", note="dev scored"),),
        dict(epochs=3, learning_rate=5e-5, batch_size=32, max_length=256),
    ),
    "klue-dst": Entry(
        "run_tracker",
        ("joint_goal_accuracy", "slot_f1"),
        (Source("klue-dst/wos-v1.1_train.json", "klue-dst/wos-v1.1_dev.json", note="dev scored"),),
        dict(epochs=5, learning_rate=3e-5, batch_size=16, max_length=510),
    ),
    # trees
    "klue-dp": Entry(
        "run_parser",
        ("uas_macro_f1", "las_macro_f1"),
        (
            Source("klue-dp/klue-dp-v1.1_train.tsv", "klue-dp/klue-dp-v1.1_dev.tsv", note="dev scored"),
            cut("klue-dp/klue-dp-v1.1_dev.tsv", 500),
        ),
        TREES | {"format": "klue_dp", "use_tags": True},
    ),
    **{
        f"ud-{name}": Entry(
            "run_parser",
            ("uas", "las"),
            (
                Source(f"{folder}/{file}-train.conllu", f"{folder}/{file}-test.conllu"),
                Source(f"{folder}/{file}-dev.conllu", f"{folder}/{file}-test.conllu", note=TINY_TRAIN),
            ),
            TREES | {"format": "conllu"},
        )
        for name, folder, file in (
            ("kaist", "ud-korean-kaist", "ko_kaist-ud"),
            ("gsd", "ud-korean-gsd", "ko_gsd-ud"),
        )
    },
}
