"""What the old commit writes for both: texts, tokenizers, shards, encoders, objectives, runs, tasks."""

import io
import shutil
from pathlib import Path

import adapter
import keras
import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
MINI = REPOSITORY / "saved_models/bert-mini-hour"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIZES = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, type_vocab_size=2)
FAMILIES = ("Bert", "Albert", "Roberta", "Electra")
NARROW = ("Albert", "Electra")  # their embeddings are narrower than the layers
OBJECTIVES = {  # kinds, and those with packed rows too
    "Bert": ("mlm", "nsp", "sop"),
    "Albert": ("mlm", "nsp", "sop"),
    "Roberta": ("mlm", "nsp", "sop"),
    "Electra": ("mlm", "rtd"),
}
SMALL_RUN = dict(
    length=32, batch_size=8, hidden_dropout=0, attention_dropout=0, held_out=0, evaluate_every=0, save_every=0,
    log_every=1, learning_rate=1e-3, max_positions=64, seed=1,
)  # fmt: skip
LABELS = ["날씨", "송금", "조명"]
TAGS = ["O", "B-PS", "I-PS", "B-LC", "I-LC"]


def utterances():
    """The 7,040 texts of intents176, the same ones for both commits."""
    folder = REPOSITORY / "tfkor/datasets/intents176"
    lines = [
        line for name in ("train", "dev", "test")
        for line in (folder / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]
    ]  # fmt: skip
    return [line.split("\t")[1] for line in lines]


def tasks():
    """{folder: (class, encoder's family, options, plain data of 8 rows)} of the tasks."""
    texts = utterances()
    texts = texts[100:108]
    labels = [LABELS[i % 3] for i in range(8)]
    several = [(LABELS[i % 3], LABELS[(i + 1) % 3]) if i % 2 else (LABELS[i % 3],) for i in range(8)]
    rows = (texts, labels)

    def classifier(family="Bert", data=rows, **options):
        return "TextClassifier", family, dict(dropout=0.0, max_length=24, labels=LABELS) | options, data

    words = [text.split() for text in texts]
    heads = [[*range(2, len(row) + 1), 0] for row in words]
    relations = [["NP"] * (len(row) - 1) + ["VP"] for row in words]
    tags = [[TAGS[(i + j) % 5] for j, _ in enumerate("".join(text.split()))] for i, text in enumerate(texts)]
    contexts = [" ".join(texts[i:] + texts[:i]) for i in range(8)]
    begins = [context.index(text.split()[0]) for context, text in zip(contexts, texts)]
    answers = [[(text.split()[0], begin)] for begin, text in zip(begins, texts)]
    questions = ([str(i) for i in range(8)], [f"{text.split()[-1]}?" for text in texts], contexts, answers)
    ends = [len(text.rstrip()) for text in texts]
    related = [
        ("", text, (0, len(row[0])), (end - len(row[-1]), end), ("PER", "LOC"), relation)
        for text, row, end, relation in zip(texts, words, ends, ["no_relation", "per:title"] * 4)
    ]
    relation_options = dict(relations=["no_relation", "per:title"], dropout=0.0, max_length=48)
    states = [[["숙소-지역-서울"], ["숙소-지역-서울", "숙소-가격대-dontcare"]] for _ in texts]
    turns = [[a, b, a] for a, b in zip(texts, texts[1:] + texts[:1])]
    dialogues = ([str(i) for i in range(8)], turns, states, [[]] * 8)
    slots = dict(slots=["숙소-지역", "숙소-가격대"], dropout=0.0, teacher_forcing=1.0, max_length=48, max_value=4)
    lengths = dict(max_length=32, stride=8, max_question=8)
    return {
        "classifier": classifier(),
        "classifier-mean": classifier(pooling="mean"),
        "classifier-max": classifier(pooling="max"),
        "classifier-sigmoid": classifier(activation="sigmoid", data=(texts, several)),
        "classifier-linear": classifier(activation="linear", labels=None, data=(texts, [i / 2 for i in range(8)])),
        "classifier-pairs": classifier(pair=True, data=(texts, labels, texts[::-1])),
        "classifier-albert": classifier("Albert", pooling="mean"),
        "classifier-roberta": classifier("Roberta"),
        "classifier-electra": classifier("Electra"),
        "tagger": ("TokenTagger", "Bert", dict(labels=TAGS, dropout=0.0, max_length=16), (texts, tags)),
        "tagger-electra": ("TokenTagger", "Electra", dict(labels=TAGS, dropout=0.0, max_length=32), (texts, tags)),
        "answerer": ("QuestionAnswerer", "Bert", lengths, questions),
        "answerer-unanswerable": ("QuestionAnswerer", "Roberta", lengths | dict(unanswerable=True), questions),
        "parser": (
            "DependencyParser", "Bert", dict(relations=["NP", "VP"], dropout=0.0, max_length=48),
            (words, [["NNG"] * len(row) for row in words], heads, relations),
        ),
        "extractor": ("RelationExtractor", "Bert", relation_options, related),
        "tracker": ("DialogueTracker", "Bert", slots, dialogues),
    }  # fmt: skip


def write(folder, groups):
    """Writes into `folder` what the groups of numbers, "speed" among them, need."""
    folder, texts = Path(folder), utterances()
    folder.mkdir(parents=True)
    documents = ("\n".join(texts[i : i + 8]) for i in range(0, 4000, 8))
    (folder / "corpus.txt").write_text("\n\n".join(documents), encoding="utf-8")
    write_tokenizers(folder / "tokenizers", texts)
    tokenizer = adapter.load_tokenizer(folder / "tokenizers/wordpiece")
    adapter.make_shards(folder / "corpus.txt", folder / "tokenizers/wordpiece", folder / "shards")
    if "speed" in groups:
        adapter.make_shards(folder / "corpus.txt", MINI / "tokenizer", folder / "mini-shards")
    if set(groups) <= {"tokenizers", "batches", "speed"}:
        return
    for family in FAMILIES:
        write_encoders(folder, family, tokenizer, "objectives" in groups)
    if {"encoders", "steps_float32", "steps_bfloat16"} & set(groups):
        for name, model, objectives in (("mlm", "bert", "mlm,nsp"), ("rtd", "electra", "rtd")):
            options = dict(model=model, objectives=objectives, size="tiny", steps=3, **SMALL_RUN)
            adapter.run_pretraining(shards=folder / "shards", model_dir=folder / "runs" / name, **options)
    if "steps_float32" in groups:
        write_killed_run(folder)
    if {"tasks", "predictions", "exports"} & set(groups):
        for name, (kind, family, options, _) in tasks().items():
            encoder, _ = adapter.load_encoder(folder / "encoders" / family)
            task = adapter.task_class(kind)(encoder, tokenizer=tokenizer, **options)
            shaken(task.model, seed=5)
            task.save(folder / "tasks" / name)


def write_encoders(folder, family, tokenizer, with_objectives):
    """The encoder of a family in both formats, and the objectives that it is trained with."""
    encoder = shaken(new_encoder(family, tokenizer.vocab_size))
    adapter.save_encoder(folder / "encoders" / family, encoder, tokenizer)
    adapter.save_encoder(folder / "encoders" / f"{family}-half", encoder, tokenizer, half=True)
    for kind in OBJECTIVES[family] if with_objectives else ():
        write_objective(folder / "objectives" / f"{family}-{kind}", encoder, kind)


def killed_run(folder, model_dir):
    """The flags of a run of 20 steps; `write_killed_run` leaves it as if it had been killed after step 10."""
    options = dict(model="electra", size="tiny", steps=20, precision="float32", keep=9, **SMALL_RUN)
    return options | dict(shards=folder / "shards", model_dir=model_dir, save_every=5)


def write_killed_run(folder):
    killed = folder / "killed"
    adapter.run_pretraining(**killed_run(folder, killed))
    checkpoints = {int(path.name.split("-")[1]): path for path in (killed / "checkpoints").glob("step-*")}
    assert 10 in checkpoints, sorted(checkpoints)
    for step, path in checkpoints.items():
        if step > 10:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ("encoder", "generator"):
        shutil.rmtree(killed / name)


def write_tokenizers(folder, texts):
    import sentencepiece

    letters = sorted({letter for text in texts for letter in text if not letter.isspace()})
    pieces = [*letters, *(f"##{letter}" for letter in letters)]
    adapter.new_tokenizer([*SPECIAL, *pieces]).save(folder / "wordpiece")
    options = dict(lowercase=True, full_width=True, max_jamo_repeats=2)
    adapter.new_tokenizer([*SPECIAL, *pieces], **options).save(folder / "short")
    for kind in ("unigram", "bpe"):
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=model, model_type=kind, vocab_size=2500, minloglevel=2,
            normalization_rule_name="identity", unk_piece="[UNK]", bos_id=-1, eos_id=-1, num_threads=1,
            control_symbols=["[PAD]", "[CLS]", "[SEP]", "[MASK]"], character_coverage=0.999,
        )  # fmt: skip
        adapter.new_tokenizer(model.getvalue()).save(folder / kind)
    shutil.copytree(MINI / "tokenizer", folder / "mini")


def new_encoder(family, vocab_size):
    keras.utils.set_random_seed(0)
    narrow = dict(embedding_size=16) if family in NARROW else {}
    sizes = SIZES | narrow | adapter.NO_DROPOUT
    return adapter.new_encoder(family, vocab_size=vocab_size, max_position_embeddings=66, **sizes)


def write_objective(folder, encoder, kind):
    keras.utils.set_random_seed(4)
    generator = shaken(adapter.new_generator(encoder), seed=2) if kind == "rtd" else None
    model = adapter.new_objective(kind, encoder, generator)
    inside = {id(v) for each in model.encoders.values() for v in each.variables}
    shake([v for v in model.trainable_variables if id(v) not in inside], seed=3)
    adapter.save_objective(folder, model)


def shaken(model, seed=1):
    """The model, with numbers added to its weights: at initialisation biases are 0, and attention is even."""
    shake(model.trainable_variables, seed)
    return model


def shake(variables, seed):
    random = np.random.default_rng(seed)
    for variable in variables:
        variable.assign_add(random.normal(scale=0.1, size=variable.shape).astype("float32"))
