"""Writes tests/golden/folders: tasks as tfkor saved them before weights were saved by name, and what they answer.

  git worktree add /tmp/before f0efc96
  PYTHONPATH=/tmp/before python tests/golden/make_folder_golden.py

It runs with the code of that commit alone: what is there now writes other folders. Each is packed as NAME.tar.gz,
since Keras' .h5 files are mostly zeros. `expected.json` in it holds the arguments of a method, what it gave, and what
the model computed for a batch.
"""

import json
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from tfkor import Bert, BertConfig, Electra, ElectraConfig, TextClassifier, Tokenizer
from tfkor.tasks import DependencyParser, DialogueTracker, QuestionAnswerer, RelationExtractor, TokenTagger

FOLDER = Path(__file__).parent / "folders"
NAMES = ("input_word_ids", "input_mask", "segment_ids")
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "이순신", "##은", "서울", "##에", "간다", "산다", ".", "?", "나"]
TEXTS = ["이순신은 서울에 간다.", "나 산다?"]
LENGTH = dict(max_length=12)


def encoder_of(kind=Bert):
    sizes = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    if kind is Electra:
        return Electra(ElectraConfig(len(VOCAB), embedding_size=4, max_position_embeddings=16, **sizes))
    return Bert(BertConfig(len(VOCAB), max_position_embeddings=16, **sizes))


def tasks():
    """(name of the folder, a new task)"""
    tokenizer = Tokenizer.from_vocab(VOCAB)
    labels = ["간다", "산다", "온다"]
    options = dict(tokenizer=tokenizer, **LENGTH)
    yield "classifier", TextClassifier(encoder_of(), labels=labels, **options)
    yield "classifier_of_pairs", TextClassifier(encoder_of(Electra), activation="linear", pair=True, **options)
    yield "classifier_of_several", TextClassifier(
        encoder_of(), labels=labels, activation="sigmoid", pooling="mean", **options
    )
    yield "tagger", TokenTagger(encoder_of(), ["O", "B-PS", "I-PS"], **options)
    yield "answerer", QuestionAnswerer(encoder_of(), stride=2, max_question=3, max_answer=4, **options)
    yield "parser", DependencyParser(encoder_of(), ["NP", "VP"], ["JX", "SF"], **options)
    yield "relations", RelationExtractor(encoder_of(Electra), ["no_relation", "가족", "친구"], typed=False, **options)
    yield "tracker", DialogueTracker(encoder_of(Electra), ["식당-지역", "식당-시간"], max_value=3, **options)


def answers(task):
    """(name of a method, its arguments, what it gives)"""
    if isinstance(task, TextClassifier):
        given = [TEXTS, TEXTS[::-1]] if task.is_pair else [TEXTS]
        return "predict_proba", given, task.predict_proba(*given).tolist()
    if isinstance(task, QuestionAnswerer):
        given = [["나?", "서울?"], TEXTS]
        return "answer", given, task.answer(*given)
    if isinstance(task, DependencyParser):
        given = [[["이순신은", "간다."]], [["JX", "SF"]]]
        return "parse", given, task.parse(*given)
    if isinstance(task, RelationExtractor):
        given = [["<subj>이순신</subj>은 <obj>나</obj>."]]
        return "predict_proba", given, task.classifier.predict_proba(*given).tolist()
    given = [[TEXTS]] if isinstance(task, DialogueTracker) else [TEXTS]
    return "predict", given, task.predict(*given)


def outputs(task):
    """What the model computes for the TEXTS, flat lists of numbers."""
    batch = task.tokenizer(TEXTS)
    if isinstance(task, DependencyParser):
        zeros = np.zeros_like(batch["input_mask"])
        batch |= {"is_word": batch["input_mask"], "ends": zeros + 1, "tags": zeros + 1}
        scores, parts = task.model(batch)
        found = [scores, task.model.relations(parts, zeros)]
    elif isinstance(task, DialogueTracker):
        found = task.model([batch[name] for name in NAMES], length=2)
    else:
        found = [task.model([batch[name] for name in NAMES])]
    return [np.asarray(each, "float64").round(6).ravel().tolist() for each in found]


def main():
    if any("named_weights" in path.read_text() for path in Path(sys.modules["tfkor"].__file__).parent.rglob("*.py")):
        raise SystemExit("expected the code of f0efc96, which saved weights by position: see the first lines")
    for name, task in tasks():
        random = np.random.default_rng(len(name))
        for variable in task.model.trainable_variables:  # larger than at initialisation, so that the answers differ
            values = random.normal(scale=0.5, size=97)  # again and again: such files are small when they are packed
            variable.assign(np.resize(values, variable.shape))
        if name == "classifier":
            task.calibrate(TEXTS, acceptance=0.9)
        method, given, found = answers(task)
        expected = {"method": method, "given": given, "expected": found, "outputs": outputs(task)}
        with tempfile.TemporaryDirectory() as folder:
            task.save(Path(folder) / name)
            path = Path(folder) / name / "expected.json"
            path.write_text(json.dumps(expected, ensure_ascii=False) + "\n", "utf-8")
            with tarfile.open(FOLDER / f"{name}.tar.gz", "w:gz") as archive:
                archive.add(Path(folder) / name, name)


if __name__ == "__main__":
    main()
