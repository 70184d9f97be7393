"""The notebooks of colab/ run from their first cell to the last, with small settings, and are tidy."""

import json
import os
from pathlib import Path

import pytest

nbclient, nbformat, _ = (
    pytest.importorskip(name, reason=f"{name} is not installed: pip install '.[test]'")
    for name in ("nbclient", "nbformat", "ipykernel")
)

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "colab").glob("*.ipynb"))

# notebook -> the parameters it is run with
SMALL = {
    "01_intent_176": dict(
        EPOCHS=12,
        COURSE_EPOCHS=1,
        MAX_TRAIN_ROWS=1408,
        VOCAB_SIZE=2000,
        SIZE="tiny",
        NUM_HIDDEN_LAYERS=1,
    ),
    "02_pretrain": dict(VOCAB_SIZE=2500, STEPS=1000, ELECTRA_STEPS=60, EPOCHS=2),
    "03_korean_checkpoints": dict(MAX_TRAIN_ROWS=704, EPOCHS=1, LEARNING_RATE=1e-3),
    "04_korquad_ner": dict(EPOCHS=4, LEARNING_RATE=1e-3),
}

pytestmark = pytest.mark.skipif(not NOTEBOOKS, reason="runs in a checkout: a source distribution has no colab/")


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """`execute(notebook, parameters, then)` runs a notebook in an empty folder and gives what the code `then` prints.

    The parameters are set in a new cell after the one tagged `parameters`. A cell that fails raises CellExecutionError.
    """
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    # tfkor is the checkout; a notebook that would install something fails
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    for name, value in dict(PYTHONPATH=os.pathsep.join(path), PIP_NO_INDEX="1", KERAS_BACKEND="tensorflow").items():
        monkeypatch.setenv(name, value)

    def run(notebook, parameters, then):
        new_code = nbformat.v4.new_code_cell
        cells = [*notebook.cells, new_code(then)]
        (place,) = [i for i, cell in enumerate(cells) if "parameters" in tags(cell)]
        cells.insert(place + 1, new_code("\n".join(f"{name} = {value!r}" for name, value in parameters.items())))
        copy = nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        nbclient.NotebookClient(copy, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
        return "".join(output.text for output in cells[-1].outputs if output.get("name") == "stdout")

    return run


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_tidy(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.metadata.kernelspec.name) == (4, "python3")
    assert sorted(notebook.metadata) == ["kernelspec", "language_info"]
    for cell in code_cells(notebook):
        assert not cell.outputs and cell.execution_count is None, f"clear the outputs: {cell.source[:60]}"
        assert set(tags(cell)) <= {"parameters"}, f"a cell that may fail hides failures: {tags(cell)}"
    assert "TFKOR = " in code_cells(notebook)[0].source
    (cell,) = [cell for cell in code_cells(notebook) if "parameters" in tags(cell)]
    assert set(SMALL[path.stem]) <= {line.split(" = ")[0] for line in cell.source.splitlines()}


def test_parameters_are_taken_and_a_cell_that_fails_is_an_error(execute):
    code = nbformat.v4.new_code_cell
    parameters = code("ROWS = 1000", metadata={"tags": ["parameters"]})
    good = nbformat.v4.new_notebook(cells=[parameters, code("rows = ROWS + 1")])
    assert execute(good, {"ROWS": 2}, "print(rows)") == "3\n"
    bad = nbformat.v4.new_notebook(cells=[parameters, code("rows = 1 // (ROWS - 2)"), code("rows = 0")])
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="ZeroDivisionError"):
        execute(bad, {"ROWS": 2}, "print(rows)")


@pytest.mark.slow
def test_the_notebook_of_176_intents(execute):
    notebook = nbformat.read(ROOT / "colab/01_intent_176.ipynb", as_version=nbformat.NO_CONVERT)
    then = """
import json
files = sorted(path.relative_to(output).as_posix() for path in output.rglob("*"))
shapes = [list(tmp_pooled_output.shape), list(tmp_sequence_output.shape)]
likeliest = [[label for label, _ in answers] for answers in classifier.top(utterances, k=3)]
names = "accuracy course_accuracy hub_accuracy threshold served files shapes utterances likeliest".split()
print(json.dumps({name: globals()[name] for name in names}))
"""
    found = json.loads(execute(notebook, SMALL["01_intent_176"], then))
    assert found["shapes"] == [[None, 128], [None, 10, 128]]
    for name in ("course_accuracy", "accuracy", "hub_accuracy", "threshold"):
        assert isinstance(found[name], float) and 0 <= found[name] <= 1
    assert found["accuracy"] > 0.05  # chance is 0.006
    written = {"model/head.safetensors", "confusion.png", "encoder/saved_model.pb", "strings/saved_model.pb"}
    assert written <= set(found["files"])
    served = [line.split("  ->  ") for line in found["served"].splitlines()]
    assert [text for text, _ in served] == found["utterances"]
    assert [[word for word in answer.split() if "." in word] for _, answer in served] == found["likeliest"]


@pytest.mark.slow
def test_the_notebook_of_pretraining(execute):
    notebook = nbformat.read(ROOT / "colab/02_pretrain.ipynb", as_version=nbformat.NO_CONVERT)
    then = """
import json
files = sorted(path.relative_to(output).as_posix() for path in output.rglob("*"))
pieces = [[piece for piece, _ in answers] for answers in filled]
names = "unknown_rate result unigram_entropy same pieces electra_result accuracy files"
print(json.dumps({name: globals()[name] for name in names.split()}))
"""
    found = json.loads(execute(notebook, SMALL["02_pretrain"], then))
    assert found["unknown_rate"] < 0.06
    assert found["result"]["held_out_mlm_loss"] < found["unigram_entropy"]  # more than word frequencies
    assert found["same"] is True
    assert [len(answers) for answers in found["pieces"]] == [5, 5, 5]
    assert 0.5 < found["electra_result"]["held_out_rtd_accuracy"] < 1
    assert 0 < found["accuracy"] < 1
    assert {"curves.png", "encoder/config.json", "shards/manifest.json", "bert/log.jsonl"} <= set(found["files"])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder as those of the hub: a small BERT with random weights, and a tokenizer of the texts of intents176."""
    import keras

    from tfkor import Bert, BertConfig, Tokenizer
    from tfkor.data import load_intents176
    from tfkor.interop import save_huggingface
    from tfkor.layers import MaskedLmHead
    from tfkor.text import train_wordpiece

    keras.utils.set_random_seed(0)
    tokenizer = Tokenizer.from_vocab(train_wordpiece(load_intents176("train").texts, vocab_size=1500), nfc=False)
    encoder = Bert(BertConfig.of("tiny", vocab_size=tokenizer.vocab_size, max_position_embeddings=128))
    folder = tmp_path_factory.mktemp("checkpoint") / "random-bert"
    save_huggingface(folder, encoder, tokenizer, [MaskedLmHead.of(encoder)])
    return str(folder)


@pytest.mark.slow
def test_the_notebook_of_checkpoints(execute, checkpoint):
    notebook = nbformat.read(ROOT / "colab/03_korean_checkpoints.ipynb", as_version=nbformat.NO_CONVERT)
    then = """
files = sorted(path.relative_to(output).as_posix() for path in output.rglob("*"))
pieces = [tokenizer.tokenize(each) for each in (sentence, decomposed)]
likeliest = [answers[0][0] for answers in classifier.top(utterances, k=1)]
names = "message refused pieces accuracy served_labels likeliest gap files"
print(json.dumps({name: globals()[name] for name in names.split()}))
"""
    found = json.loads(execute(notebook, {**SMALL["03_korean_checkpoints"], "CHECKPOINT": checkpoint}, then))
    assert "did you mean klue/bert-base?" in found["message"] and "strips accents" in found["refused"]
    assert found["pieces"][0] == found["pieces"][1] and "[UNK]" not in found["pieces"][0]
    assert 0 <= found["accuracy"] <= 1
    assert found["served_labels"] == found["likeliest"]
    assert found["gap"] < 1e-6
    written = {"huggingface/model.safetensors", "huggingface/tokenizer.json", "encoder/config.json"}
    assert {*written, "strings/saved_model.pb"} <= set(found["files"])


@pytest.mark.slow
def test_the_notebook_of_question_answering_and_entities(execute, checkpoint):
    notebook = nbformat.read(ROOT / "colab/04_korquad_ner.ipynb", as_version=nbformat.NO_CONVERT)
    then = """
files = sorted(path.relative_to(output).as_posix() for path in output.rglob("*"))
entities = [[sentence[begin:end] == word for _, word, begin, end in row] for sentence, row in zip(sentences, found)]
count = len(windows)
names = "ner_report qa_report same entities count files"
print(json.dumps({name: globals()[name] for name in names.split()}))
"""
    found = json.loads(execute(notebook, {**SMALL["04_korquad_ner"], "CHECKPOINT": checkpoint}, then))
    assert found["ner_report"]["entity_f1"] > 0.1 and 0 < found["ner_report"]["character_f1"] <= 1
    assert 0 <= found["qa_report"]["exact_match"] <= found["qa_report"]["f1"] <= 1
    assert found["same"] == [True] * 3 and found["count"] > 1
    assert len(found["entities"]) == 3 and all(map(all, found["entities"]))
    written = {"tagger/task.json", "answerer/task.json", "answerer_huggingface/model.safetensors"}
    assert written <= set(found["files"])
