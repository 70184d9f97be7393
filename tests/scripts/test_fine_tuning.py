"""run_tagger, run_qa, run_relations, run_parser: train, evaluate and predict on small files in the official formats."""

import json

import pytest
from absl import app, flags
from own_flags import run

from tfkor.data import DataError

SMALL = dict(size="tiny", max_length=48, epochs=2, learning_rate=1e-3, vocab_size=300, batch_size=8)
NER = "이\tB-PS\n순\tI-PS\n신\tI-PS\n은\tO\n \tO\n서\tB-LC\n울\tI-LC\n에\tO\n\n나\tO\n는\tO\n\n" * 12
DP = "## id\t나는 간다.\n1\t나는\t나 는\tNP+JX\t2\tNP_SBJ\n2\t간다.\t가 ㄴ다 .\tVV+EF+SF\t0\tVP\n\n" * 20
CONTEXT = "이순신은 서울에서 태어났다. 부산에 갔다."


def korquad(count):
    answers = [{"text": "서울", "answer_start": 5}]
    qas = [{"id": str(i), "question": "어디에서 태어났나?", "answers": answers} for i in range(count)]
    paragraphs = [{"context": f"{CONTEXT} {i}", "qas": [question]} for i, question in enumerate(qas)]
    return json.dumps({"data": [{"title": "이순신", "paragraphs": paragraphs}]})


def klue_mrc(count, unanswerable=(1,)):
    """Contexts of one question each; those in `unanswerable` do not answer it."""
    answers = [{"text": "서울", "answer_start": 5}]
    answered = {"question": "어디에서 태어났나?", "answers": answers, "is_impossible": False}
    open_ = {"question": "누가 죽었나?", "answers": [], "is_impossible": True, "plausible_answers": []}
    paragraphs = [
        {"context": f"{CONTEXT} {i}", "qas": [{**(open_ if i in unanswerable else answered), "guid": f"mrc-{i}"}]}
        for i in range(count)
    ]
    return json.dumps({"version": "v1.1", "data": [{"title": "이순신", "paragraphs": paragraphs, "source": "made up"}]})


def klue_re(count):
    subject = {"word": "이순신", "start_idx": 0, "end_idx": 2, "type": "PER"}
    city = {"word": "서울", "start_idx": 5, "end_idx": 6, "type": "LOC"}
    row = {"guid": "re", "sentence": CONTEXT, "subject_entity": subject, "object_entity": city}
    there, back = {"label": "per:place_of_birth"}, {"subject_entity": city, "object_entity": subject}
    return json.dumps([{**row, **there}, {**row, **back, "label": "no_relation"}] * count)


CASES = {
    "run_tagger": (NER, "이순신은 서울에\n", {"text", "entities"}, "entity_f1", dict(label_smoothing=0.1)),
    "run_qa": (korquad(20), f"어디?\t{CONTEXT}\n", {"question", "answer", "begin", "end", "score"}, "f1",
               dict(stride=8, max_question=8)),
    "run_qa, klue-mrc": (klue_mrc(20, range(0, 20, 2)), f"어디?\t{CONTEXT}\n",
                         {"question", "answer", "begin", "end", "score"}, "rouge_w", dict(stride=8, max_question=8)),
    "run_relations": (klue_re(10), klue_re(1).replace("per:", ""),
                      {"guid", "sentence", "subject", "object", "relations", "probabilities"}, "micro_f1",
                      dict(label_smoothing=0.1)),
    "run_parser": (DP, "나는 간다.\n", {"words", "heads", "relations"}, "las", {}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_it_trains_evaluates_and_predicts(name, tmp_path):
    text, given, keys, metric, extra = CASES[name]
    name = name.split(",")[0]
    (tmp_path / "train").write_text(text, "utf-8")
    (tmp_path / "in").write_text(given, "utf-8")
    files = dict(train_file=tmp_path / "train", dev_file=tmp_path / "train", model_dir=tmp_path / "model")
    trained = run(name, **files, test_rows=5, **SMALL, **extra)
    assert trained["train_examples"] == {"run_tagger": 24}.get(name, 20) - 5
    assert 0 <= trained["test"][metric] <= 1 and 0 <= trained["dev"][metric] <= 1
    assert json.loads((tmp_path / "model/results.json").read_text())["history"][0]["epoch"] == 1
    common = dict(model_dir=tmp_path / "model")
    assert run(name, mode="evaluate", test_file=tmp_path / "train", **common)[metric] == trained["dev"][metric]
    results = run(name, mode="predict", input_file=tmp_path / "in", output_file=tmp_path / "out", **common)
    lines = (tmp_path / "out").read_text("utf-8").splitlines()
    assert results["examples"] == len(lines) > 0 and set(json.loads(lines[0])) == keys
    with pytest.raises(app.UsageError, match="already exists; expected a new folder, or --overwrite"):
        run(name, **files, **SMALL, **extra)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The folder of an encoder with random weights, and its tokenizer."""
    import keras

    from tfkor import Bert, BertConfig, Tokenizer, zoo

    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys("이순신은서울에나는"), "##이", "##신은"]
    sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("checkpoint") / "encoder"
    zoo.save(folder, Bert(BertConfig(len(vocab), max_position_embeddings=32, **sizes)), Tokenizer.from_vocab(vocab))
    return folder


@pytest.mark.slow
def test_seeds_with_lora_leave_a_model_and_small_files(checkpoint, tmp_path):
    from tfkor import zoo
    from tfkor.models.lora import load_lora

    (tmp_path / "train").write_text(NER, "utf-8")
    values = dict(train_file=tmp_path / "train", dev_file=tmp_path / "train", model_dir=tmp_path / "model")
    values |= dict(init_checkpoint=checkpoint, lora_rank=2, lora_alpha=4, seeds="1,0", max_train_rows=16)
    results = run("run_tagger", **values, epochs=1, learning_rate=1e-2)
    assert list(results["runs"]) == ["seed-1", "seed-0"] and results["runs"]["seed-0"]["train_examples"] == 16
    scores = [each["dev"]["f1"] for each in results["runs"].values()]
    assert results["dev"]["f1"]["mean"] == pytest.approx(sum(scores) / 2)
    best = results["runs"][results["best"]]["dev"]
    assert run("run_tagger", mode="evaluate", test_file=tmp_path / "train", model_dir=tmp_path / "model") == best
    encoder, _ = zoo.load(checkpoint)
    load_lora(tmp_path / "model/lora.npz", encoder)
    assert (tmp_path / "model/lora.npz").stat().st_size < 5000
    with pytest.raises(app.UsageError, match="expected --init_checkpoint"):
        run("run_tagger", train_file=tmp_path / "train", model_dir=tmp_path / "new", lora_rank=2)


def test_a_published_checkpoint_that_says_nothing_of_case_gets_a_flag(checkpoint, tmp_path):
    from tfkor import Tokenizer, zoo
    from tfkor.interop import save_huggingface

    (tmp_path / "train").write_text(NER, "utf-8")
    encoder, tokenizer = zoo.load(checkpoint)
    save_huggingface(tmp_path / "published", encoder, Tokenizer.from_vocab(tokenizer.vocab, nfc=False))
    (tmp_path / "published/tokenizer_config.json").unlink()
    values = dict(train_file=tmp_path / "train", model_dir=tmp_path / "model", init_checkpoint=tmp_path / "published")
    with pytest.raises(ValueError, match="or there is none, set lowercase to True or False"):
        run("run_tagger", **values, epochs=1)
    assert run("run_tagger", **values, epochs=1, lowercase=False)["epochs"] == 1
    with pytest.raises(ValueError, match="lowercase is True; expected it with published checkpoints alone"):
        run("run_tagger", **{**values, "init_checkpoint": checkpoint, "model_dir": tmp_path / "b"}, lowercase=True)


def test_flags_that_do_not_fit_are_named(tmp_path):
    (tmp_path / "train").write_text(NER, "utf-8")
    for values, words in (
        (dict(), "--mode=train needs --train_file"),
        (dict(train_file=tmp_path / "train", test_rows=24), "--test_rows=24; expected less than the 24 training rows"),
        (dict(train_file=tmp_path / "train", test_rows=1, test_file=tmp_path / "train"), "expected one of the two"),
    ):
        with pytest.raises(app.UsageError, match=words):
            run("run_tagger", model_dir=tmp_path / "new", **values)
    with pytest.raises(FileNotFoundError, match=r"has no task\.json"):
        run("run_tagger", mode="evaluate", model_dir=tmp_path, test_file=tmp_path / "train")
    assert not (tmp_path / "new").exists()


def test_a_line_without_a_context_is_named(tmp_path):
    from tfkor.scripts import run_qa

    (tmp_path / "in").write_text("질문만\n", "utf-8")
    with pytest.raises(DataError, match="row 1: 1 columns; expected question, tab and context"):
        run_qa.predictions(None, tmp_path / "in")


@pytest.mark.slow
def test_folds_have_the_same_metrics_where_one_has_no_unanswerable_question(tmp_path):
    (tmp_path / "train").write_text(klue_mrc(6), "utf-8")
    options = {**SMALL, "epochs": 1, "stride": 8, "max_question": 8}
    results = run("run_qa", train_file=tmp_path / "train", model_dir=tmp_path / "model", folds=2, **options)
    assert set(results["held_out"]) == {"exact_match", "rouge_w"} and len(results["runs"]) == 2


PROGRAMS = ("run_classifier", "run_tagger", "run_qa", "run_relations", "run_parser", "run_tracker")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_flag_out_of_range_is_named(program, tmp_path):
    values = dict(batch_size=0, epochs=0, patience=0, max_length=2, vocab_size=3, max_train_rows=-5, test_rows=0)
    values |= dict(learning_rate=-1, weight_decay=-1, warmup=2, layer_decay=0, unfreeze_epochs=-1, ema=2, seed=-1)
    values |= dict(dropout=1.5, hidden_dropout=-0.1, lora_rank=-1, lora_alpha=3, folds=1)
    for name, value in [*values.items(), ("layer_decay", -1)]:
        with pytest.raises(flags.IllegalFlagValueError, match=rf"--{name}"):
            run(program, model_dir=tmp_path / "new", **{name: value})


@pytest.mark.parametrize(
    "program, values, words",
    [
        ("run_classifier", {"label_smoothing": 2}, "--label_smoothing=2"),
        ("run_tagger", {"label_smoothing": 2}, "--label_smoothing=2"),
        ("run_relations", {"label_smoothing": -1}, "--label_smoothing=-1"),
        ("run_classifier", {"temperature": 0}, "--temperature=0.*expected more than 0"),
        ("run_classifier", {"distillation": 1.5}, "--distillation=1.5"),
        ("run_classifier", {"top_k": 0}, "--top_k=0"),
        ("run_qa", {"max_answer": 0}, "--max_answer=0"),
        ("run_tracker", {"teacher_forcing": -1}, "--teacher_forcing=-1"),
        ("run_classifier", {"dataset": "nsmc", "train_file": "a.tsv"}, r"dataset=nsmc, train_file=a\.tsv: At most one"),
        ("run_classifier", {"dataset": "nsmc", "dev_file": "a.tsv"}, r"dataset=nsmc, dev_file=a\.tsv: At most one"),
        ("run_classifier", {"dataset": "nsmc", "test_file": "a.tsv"}, r"dataset=nsmc, test_file=a\.tsv: At most one"),
    ],
)
def test_a_flag_of_a_program_out_of_range_is_named(program, values, words, tmp_path):
    with pytest.raises(flags.IllegalFlagValueError, match=words):
        run(program, model_dir=tmp_path / "new", **values)


@pytest.mark.parametrize("name, value", [("temperature", 3.0), ("distillation", 0.3), ("unlabelled_file", "more.txt")])
def test_flags_of_a_teacher_need_one(name, value, tmp_path):
    with pytest.raises(app.UsageError, match=f"--{name}={value} has no effect without --teacher"):
        run("run_classifier", train_file=tmp_path / "train", model_dir=tmp_path / "new", **{name: value})
