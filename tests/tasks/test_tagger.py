"""TokenTagger: alignment of tags and pieces, windows, training on a small rule, saving."""

import keras
import numpy as np
import pytest

from tfkor import Bert, BertConfig, Tokenizer
from tfkor.data.tagging import TaggedData, characters_of, words_of
from tfkor.tasks import TokenTagger
from tfkor.tasks.losses import CrossEntropy
from tfkor.tasks.tagger import tagged
from tfkor.tasks.windows import best_windows, windows_of

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCAB = [*SPECIAL, "이순신", "##이", "##은", "서울", "##에", "간다", "장군", "나", ".", "한"]
SURE = 50.0


def make(labels=("O", "B-PS", "I-PS"), max_length=16, **options):
    keras.utils.set_random_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    encoder = Bert(BertConfig(len(VOCAB), max_position_embeddings=64, **sizes))
    return TokenTagger(encoder, labels, tokenizer=Tokenizer.from_vocab(VOCAB), max_length=max_length, **options)


def answers(tagger, label_of):
    """Makes the tagger say `label_of[piece]` for each piece, whatever its weights are."""
    table = np.zeros((len(VOCAB), len(tagger.labels)), "float32")
    for piece, label in label_of.items():
        table[VOCAB.index(piece), tagger.labels.index(label)] = SURE
    tagger.outputs = lambda batch: table[batch["input_word_ids"]]
    return tagger


def test_a_character_inside_a_piece_goes_on_its_entity():
    tagger = answers(make(), {"이순신": "B-PS", "##은": "O", "장군": "I-PS"})
    assert tagger.predict(["이순신은 장군"]) == [["B-PS", "I-PS", "I-PS", "O", "I-PS", "I-PS"]]
    assert tagger.entities(["이순신은 장군"]) == [[("PS", "이순신", 0, 3), ("PS", "장군", 5, 7)]]
    assert tagger.predict([""]) == [[]] and tagger.predict([]) == []


def test_a_word_has_the_tag_of_its_first_piece():
    tagger = answers(make(unit="word"), {"이순신": "B-PS", "##은": "O", "서울": "O", "##에": "B-PS"})
    assert tagger.predict(["이순신은 서울에"]) == [["B-PS", "O"]]


def test_tags_with_the_mark_behind():
    tagger = answers(make(("O", "PS-B", "PS-I"), suffix=True), {"이순신": "PS-B"})
    assert tagger.predict(["이순신은"]) == [["PS-B", "PS-I", "PS-I", "O"]]
    assert tagger.entities(["이순신은"]) == [[("PS", "이순신", 0, 3)]]


def test_characters_that_are_decomposed_have_their_tags():
    tagger = answers(make(), {"이순신": "B-PS"})
    text = "\u110b\u1175순신은"  # 이순신은, the first syllable in jamo
    assert tagger.predict([text]) == [["B-PS", "I-PS", "I-PS", "I-PS", "O"]]


def test_training_labels_are_those_of_the_characters_where_pieces_begin():
    tagger = make()
    data = TaggedData(["이순신은 간다"], [characters_of("이순신은 간다")], [["B-PS", "I-PS", "I-PS", "O", "O", "O"]])
    (batch,) = tagger.batches(data, 1, 1, 0).epoch(0)
    pieces = [VOCAB[i] for i in batch["input_word_ids"][0]]
    assert pieces == ["[CLS]", "이순신", "##은", "간다", "[SEP]"]
    assert batch["tags"][0].tolist() == [0, 2, 1, 1, 0]  # 0: not looked at, 1: O, 2: B-PS
    words = TaggedData(["이순신은 간다"], [words_of("이순신은 간다")], [["B-PS", "O"]])
    (batch,) = tagger.batches(words, 1, 1, 0).epoch(0)
    assert batch["tags"][0].tolist() == [0, 2, 0, 1, 0]


def test_the_loss_is_the_mean_over_pieces_with_a_tag():
    tagger = make()
    data = TaggedData(["이순신은 간다", "나"], [words_of("이순신은 간다"), words_of("나")], [["B-PS", "O"], ["I-PS"]])
    (batch,) = tagger.batches(data, 2, 1, 0).epoch(0)
    tagger.model.dropout.rate = 0.0
    for layer in tagger.encoder._flatten_layers():
        if hasattr(layer, "rate"):
            layer.rate = 0.0
    logits = np.asarray(tagger.outputs({k: v for k, v in batch.items() if k.startswith(("input", "segment"))}))
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    places = np.argwhere(batch["tags"] > 0)
    expected = -np.mean([log[i, j, batch["tags"][i, j] - 1] for i, j in places])
    assert len(places) == 3 and float(tagger.loss(batch)[0]) == pytest.approx(expected, abs=1e-5)
    spread = -np.mean([log[i, j] for i, j in places])
    smoothed = float(tagger.loss(batch, CrossEntropy(0.1))[0])
    assert smoothed == pytest.approx(0.9 * expected + 0.1 * spread, abs=1e-5)


def test_windows_cover_a_text_and_each_piece_is_seen_with_most_context():
    windows = windows_of([0, 3, 10], room=4, stride=2)
    assert [tuple(w) for w in windows] == [(0, 0, 0), (1, 0, 3), (2, 0, 4), (2, 2, 6), (2, 4, 8), (2, 6, 10)]
    best = best_windows(windows, [0, 3, 10])
    assert best[2].tolist() == [2, 2, 2, 3, 3, 4, 4, 5, 5, 5]
    assert best[1].tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="stride is 5; expected 1 to 4"):
        windows_of([3], room=4, stride=5)


def test_long_texts_are_tagged_to_their_end():
    tagger = answers(make(max_length=6), {"이순신": "B-PS"})
    text = "나 간다 " * 10 + "이순신은 ."
    found = tagger.predict([text])[0]
    assert len(found) == len(text.replace(" ", "")) and found[-5:] == ["B-PS", "I-PS", "I-PS", "O", "O"]
    assert set(found[:-5]) == {"O"}


def people(count, seed):
    """Sentences in which 이순신 and 서울 are names, of characters."""
    random = np.random.default_rng(seed)
    texts, tags = [], []
    for _ in range(count):
        words = random.choice(["이순신은", "서울에", "간다", "장군", "나", "한"], random.integers(2, 6)).tolist()
        texts.append(" ".join(words))
        tags.append([])
        for word in words:
            kind = {"이순신은": "PS", "서울에": "LC"}.get(word)
            length = len(word) - 1 if kind else 0
            tags[-1] += [f"B-{kind}", *[f"I-{kind}"] * (length - 1), "O"] if kind else ["O"] * len(word)
    return tagged(texts, tags)


@pytest.fixture(scope="module")
def trained():
    tagger = make(labels=None)
    history = tagger.fit(people(200, 0), people(50, 1), epochs=6, learning_rate=3e-3, batch_size=16)
    return tagger, history


def test_it_learns_and_reports(trained):
    tagger, history = trained
    assert history[-1]["loss"] < history[0]["loss"] / 3
    report = tagger.evaluate(people(50, 2))
    assert report["f1"] > 0.95 and report["entity_f1"] > 0.95 and report["accuracy"] > 0.95
    assert 0 < report["character_f1"] <= 1 and report["examples"] == 50
    assert tagger.labels[-1] == "O" and len(tagger.labels) == 13  # KLUE-NER's, since all tags are among them
    assert tagger.entities(["이순신은 서울에 간다"]) == [[("PS", "이순신", 0, 3), ("LC", "서울", 5, 7)]]


def test_it_is_saved_and_loaded(trained, tmp_path):
    tagger, _ = trained
    tagger.save(tmp_path / "ner")
    again = TokenTagger.load(tmp_path / "ner")
    texts = people(20, 3).texts
    assert again.predict(texts) == tagger.predict(texts) and again.unit == "character"
    (tmp_path / "ner/task.json").write_text('{"task": "QuestionAnswerer"}')
    with pytest.raises(ValueError, match="holds a QuestionAnswerer; expected a TokenTagger"):
        TokenTagger.load(tmp_path / "ner")
    with pytest.raises(FileNotFoundError, match=r"has no task\.json"):
        TokenTagger.load(tmp_path)


def test_parts_of_speech_have_an_accuracy_alone():
    tagger = make(labels=None)
    data = tagged(["이순신은 간다", "나 간다"], [["NOUN", "VERB"], ["PRON", "VERB"]], unit="word")
    tagger.fit(data, data, epochs=30, learning_rate=3e-3)
    assert tagger.labels == ["NOUN", "PRON", "VERB"] and tagger.unit == "word"
    assert set(tagger.evaluate(data)) == {"accuracy", "examples"} and tagger.evaluate(data)["accuracy"] == 1
    assert tagger.predict(["나 간다"]) == [["PRON", "VERB"]]


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="max_length is 65; the encoder's position table holds 64"):
        make(max_length=65)
    with pytest.raises(ValueError, match="unit is 'line'"):
        make(unit="line")
    with pytest.raises(ValueError, match="the tag 'B-LC'; expected one of"):
        make().fit(tagged(["나"], [["B-LC"]]))
    with pytest.raises(ValueError, match="no head yet"):
        make(labels=None).predict(["나"])
