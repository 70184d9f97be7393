"""Tasks in folders: weights by name with their SHA-256, folders of the first releases, tfkor.load, the registry."""

import json
import tarfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

import tfkor
from tfkor import Bert, BertConfig, TextClassifier, Tokenizer, TokenTagger, zoo
from tfkor.interop import save_huggingface, save_task
from tfkor.tasks import DependencyParser, DialogueTracker, QuestionAnswerer, RelationExtractor, Task, get_task
from tfkor.tasks.registry import NAMES, name_of
from tfkor.tensor_files import read_safetensors, sha256, write_safetensors

GOLDEN = sorted((Path(__file__).parents[1] / "golden/folders").glob("*.tar.gz"))
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "나", "너", "##는", "간다", "온다", "."]
TEXTS = ["나는 간다.", "너는 온다"]
SIZES = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)


def encoder(**changes):
    keras.utils.set_random_seed(0)
    return Bert(BertConfig(len(VOCAB), max_position_embeddings=16, **SIZES | changes))


def make(kind, *given, **options):
    return kind(encoder(), *given, tokenizer=Tokenizer.from_vocab(VOCAB), max_length=12, **options)


def edit(path, change):
    values = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(change(values)), "utf-8")


# === Folders of the first releases ===


def flat(values):
    """What is in nested lists or in an array -> a list."""
    values = values.tolist() if isinstance(values, np.ndarray) else values
    return [x for value in values for x in flat(value)] if isinstance(values, (list, tuple)) else [values]


def same(found, expected):
    found, expected = flat(found), flat(expected)
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert a == (pytest.approx(b, abs=1e-5, rel=1e-5) if isinstance(b, float) else b)


def outputs(task):
    """What make_folder_golden.py had the model compute."""
    batch = task.tokenizer(["이순신은 서울에 간다.", "나 산다?"])
    if isinstance(task, DependencyParser):
        zeros = np.zeros_like(batch["input_mask"])
        batch |= {"is_word": batch["input_mask"], "ends": zeros + 1, "tags": zeros + 1}
        scores, parts = task.model(batch)
        found = [scores, task.model.relations(parts, zeros)]
    else:
        found = task.model(batch, length=2) if isinstance(task, DialogueTracker) else [task.model(batch)]
    return [ops.convert_to_numpy(each).ravel() for each in found]


@pytest.mark.parametrize("archive", GOLDEN, ids=lambda path: path.name.partition(".")[0])
def test_folders_of_the_first_releases_load(archive, tmp_path):
    """By position in head.npz and encoder.weights.h5, or in model.keras: tests/golden/make_folder_golden.py."""
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    task = tfkor.load(folder)
    assert type(task).load(folder).get_settings() == task.get_settings()
    for ours, theirs in zip(outputs(task), expected["outputs"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)
    predictor = task.classifier if isinstance(task, RelationExtractor) else task
    same(getattr(predictor, expected["method"])(*expected["given"]), expected["expected"])
    if folder.name == "classifier":
        assert task.none_threshold is not None and task.labels == ["간다", "산다", "온다"]
        assert TextClassifier.load(folder, dtype="mixed_bfloat16").encoder.compute_dtype == "bfloat16"
        (folder / "model.keras").unlink()
        with pytest.raises(FileNotFoundError, match=r"classifier has no model\.keras"):
            tfkor.load(folder)
        return
    task.save(tmp_path / "again")
    for ours, theirs in zip(outputs(Task.load(tmp_path / "again")), expected["outputs"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)


# === Weights by name ===


def test_names_do_not_depend_on_what_the_process_made_before():
    first = make(DependencyParser, ["a", "b"], ["x"])
    again = make(DependencyParser, ["a", "b"], ["x"])
    assert list(first.head_weights()) == list(again.head_weights())
    assert {"arc_form", "arc_head.kernel", "arc_word.kernel", "tags.embeddings"} <= set(first.head_weights())
    assert list(make(TokenTagger, ["a", "b"]).head_weights()) == ["logits.kernel", "logits.bias"]


def test_two_heads_of_the_same_shapes_are_not_taken_for_each_other(tmp_path):
    parser = make(DependencyParser, ["a", "b"])
    parser.save(tmp_path / "dp")
    path = tmp_path / "dp/head.safetensors"
    arrays = read_safetensors(path)
    swapped = {"arc_head.kernel": "arc_word.kernel", "arc_word.kernel": "arc_head.kernel"}
    write_safetensors(path, {name: arrays[swapped.get(name, name)] for name in arrays})
    with pytest.raises(ValueError, match=r"head\.safetensors: SHA-256 is \w+; expected \w+, the file is damaged"):
        Task.load(tmp_path / "dp")
    write_safetensors(path, {name.replace("arc_word", "arc_words"): value for name, value in arrays.items()})
    edit(tmp_path / "dp/task.json", lambda values: {**values, "sha256": {"head.safetensors": sha256(path)}})
    with pytest.raises(ValueError, match=r"not those of the head of the DependencyParser .*\n  missing: arc_word\."):
        Task.load(tmp_path / "dp")
    write_safetensors(path, dict(reversed(arrays.items())))  # the order says nothing
    edit(tmp_path / "dp/task.json", lambda values: {**values, "sha256": {}})
    for name, variable in Task.load(tmp_path / "dp").head_weights().items():
        np.testing.assert_array_equal(variable, parser.head_weights()[name])


def test_a_head_stays_with_its_encoder(tmp_path):
    make(TokenTagger, ["a", "b"]).save(tmp_path / "one")
    again = make(TokenTagger, ["a", "b"])
    again.encoder.word_embeddings.assign(again.encoder.word_embeddings + 1)
    again.save(tmp_path / "two")
    (tmp_path / "two/encoder").rename(tmp_path / "encoder")
    (tmp_path / "one/encoder").rename(tmp_path / "two/encoder")
    with pytest.raises(ValueError, match=r"encoder\.safetensors: SHA-256 is \w+; task\.json has \w+"):
        tfkor.load(tmp_path / "two")


def test_damaged_settings_are_named(tmp_path):
    make(TokenTagger, ["a", "b"]).save(tmp_path / "a")
    path = tmp_path / "a/task.json"
    settings = json.loads(path.read_text("utf-8"))
    for change, words in (
        ({"colour": 1}, r"task\.json: .*colour"),
        ({"unit": "line"}, r"task\.json: unit is 'line'"),
        ({"labels": None}, r"task\.json: the settings make no head"),
        ({"task": "os"}, r"task\.json: the task is 'os'; expected one of text_classifier, token_tagger"),
        ({"task": "text_classifier"}, r"a holds a TextClassifier; expected a TokenTagger"),
    ):
        path.write_text(json.dumps({**settings, **change}), "utf-8")
        with pytest.raises(ValueError, match=words):
            TokenTagger.load(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match=r"has no task\.json; expected a folder that the save of TokenTagger"):
        TokenTagger.load(tmp_path)
    with pytest.raises(ValueError, match="the TokenTagger has no head; expected to save it after fit"):
        make(TokenTagger).save(tmp_path / "b")
    with pytest.raises(ValueError, match="the TextClassifier has no tokenizer"):
        TextClassifier(encoder(), 2, max_length=12).save(tmp_path / "b")
    assert not (tmp_path / "b").exists()


# === The front door ===


def test_load_gives_a_task_where_there_is_one_else_the_pair(tmp_path):
    tagger = make(TokenTagger, ["O", "B-X"])
    tagger.save(tmp_path / "tagger")
    found = tfkor.load(tmp_path / "tagger", dtype="mixed_bfloat16")
    assert type(found) is TokenTagger and found.encoder.compute_dtype == "bfloat16"
    assert tfkor.load(tmp_path / "tagger").predict(TEXTS) == tagger.predict(TEXTS)
    assert type(zoo.load_with_heads(tmp_path / "tagger").encoder) is Bert
    with pytest.raises(ValueError, match="it holds a task, whose settings are fixed; found hidden_dropout_prob"):
        tfkor.load(tmp_path / "tagger", hidden_dropout_prob=0.3)
    save_task(tmp_path / "transformers", tagger)
    again = tfkor.load(tmp_path / "transformers", max_length=12)
    assert type(again) is TokenTagger and again.predict(TEXTS) == tagger.predict(TEXTS)
    zoo.save(tmp_path / "encoder", tagger.encoder, tagger.tokenizer)
    save_huggingface(tmp_path / "model", tagger.encoder, tagger.tokenizer)
    for folder in ("encoder", "model"):
        model, tokenizer = tfkor.load(tmp_path / folder)
        assert type(model) is Bert and tokenizer.vocab == VOCAB
    with pytest.raises(FileNotFoundError, match="no such folder; expected one, or a name as klue/bert-base"):
        tfkor.load(tmp_path / "nowhere")


def test_the_registry_knows_each_task_by_its_name_and_by_its_class():
    assert len(NAMES) == 6
    for name in NAMES:
        kind = get_task(name)
        assert issubclass(kind, Task) and get_task(kind.__name__) is kind is getattr(tfkor, kind.__name__)
    assert name_of(make(QuestionAnswerer, stride=2, max_question=3)) == "question_answerer"
    with pytest.raises(ValueError, match=r"task\.json: the task is None; expected one of"):
        get_task(None, "task.json")

    class Mine(TokenTagger):
        pass

    with pytest.raises(ValueError, match="Mine is not a task of tfkor"):
        name_of(make(Mine, ["a"]))
