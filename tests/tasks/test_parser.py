"""DependencyParser: words and their pieces, the biaffine form, training on a small grammar, saving."""

import keras
import numpy as np
import pytest

from tfkor import Bert, BertConfig, Tokenizer
from tfkor.data.trees import KLUE_DP_RELATIONS, TreeData
from tfkor.tasks import DependencyParser
from tfkor.tasks.parser import BiaffineModel, pieces_of_words

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCAB = [*SPECIAL, "나", "너", "##는", "학교", "집", "##에", "간다", "온다", ".", "큰", "작은"]


def make(relations=None, **options):
    keras.utils.set_random_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    encoder = Bert(BertConfig(len(VOCAB), max_position_embeddings=64, **sizes))
    return DependencyParser(encoder, relations, tokenizer=Tokenizer.from_vocab(VOCAB), max_length=24, **options)


def test_words_are_at_their_first_and_last_piece():
    tokenizer = Tokenizer.from_vocab(VOCAB)
    words = ["나는", "\u200b", "간다."]
    _, spans = tokenizer.offsets(" ".join(words))
    assert pieces_of_words(words, spans) == ([1, 0, 3], [2, 0, 4])


def test_training_rows_point_at_the_places_of_heads():
    parser = make(["subject", "root"])
    data = TreeData([["나는", "간다."]], [["JX", "SF"]], [[2, 0]], [["subject", "root"]])
    (batch,) = parser.batches(data, 1, 1, 0).epoch(0)
    assert [VOCAB[i] for i in batch["input_word_ids"][0]] == ["[CLS]", "나", "##는", "간다", ".", "[SEP]"]
    assert batch["is_word"][0].tolist() == [1, 1, 0, 1, 0, 0]
    assert batch["ends"][0].tolist() == [0, 2, 0, 4, 0, 0]
    assert batch["heads"][0].tolist() == [0, 4, 0, 1, 0, 0]  # the place + 1: 간다 is at 3, the root at 0
    assert batch["relations"][0].tolist() == [0, 1, 0, 2, 0, 0]


def test_scores_are_the_biaffine_form():
    parser = make(["a", "b", "c"])
    model, random = parser.model, np.random.default_rng(0)
    model.relation_form.assign(random.normal(size=model.relation_form.shape))
    words = random.normal(size=(2, 5, 64)).astype("float32")
    model.words = lambda batch, training: keras.ops.convert_to_tensor(words)
    scores, parts = model({"is_word": np.array([[1, 1, 0, 1, 1]] * 2, "int32")})
    elu = lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)  # noqa: E731
    to_numpy = keras.ops.convert_to_numpy

    def project(layer):
        return elu(words @ to_numpy(layer.kernel) + to_numpy(layer.bias))

    heads, dependents = project(model.arc_head), project(model.arc_word)
    expected = np.einsum("bid,de,bje->bij", dependents, to_numpy(model.arc_form), heads)
    expected += (heads @ to_numpy(model.arc_bias))[:, None]
    found = to_numpy(scores)
    np.testing.assert_allclose(found[:, :, [0, 1, 3, 4]], expected[:, :, [0, 1, 3, 4]], atol=1e-3)
    assert (found[:, :, 2] < -1e8).all()
    chosen = np.array([[1, 3, 0, 4, 1]] * 2, "int32")
    ones = np.ones((2, 5, 1), "float32")
    left = np.concatenate([project(model.relation_word), ones], -1)
    right = np.concatenate([project(model.relation_head), ones], -1)[np.arange(2)[:, None], chosen]
    expected = np.einsum("bsd,rde,bse->bsr", left, to_numpy(model.relation_form), right)
    np.testing.assert_allclose(to_numpy(model.relations(parts, chosen)), expected, atol=1e-3)


def sentences(count, seed):
    """Adjectives hang on the noun after them, nouns on the verb; the verb is the root."""
    random = np.random.default_rng(seed)
    data = TreeData([], [], [], [])
    for _ in range(count):
        words, heads, relations, tags = [], [], [], []
        for noun in random.choice(["나는", "너는", "학교에", "집에"], random.integers(1, 4)):
            if random.random() < 0.5:
                words.append(str(random.choice(["큰", "작은"])))
                heads.append(len(words) + 1)
                relations.append("VP_MOD")
                tags.append("ETM")
            words.append(str(noun))
            heads.append(None)
            relations.append("NP_SBJ" if noun.endswith("는") else "NP_AJT")
            tags.append("JX")
        words.append(str(random.choice(["간다.", "온다."])))
        heads = [len(words) if head is None else head for head in heads] + [0]
        data.words.append(words)
        data.heads.append(heads)
        data.relations.append([*relations, "VP"])
        data.tags.append([*tags, "SF"])
    return data


@pytest.mark.slow
@pytest.mark.parametrize("tags", [(), ("ETM", "JX", "SF")])
def test_it_learns_and_reports_and_is_saved(tmp_path, tags):
    parser = make(tags=tags)
    parser.fit(sentences(300, 0), sentences(50, 1), epochs=8, learning_rate=2e-3, batch_size=16)
    test = sentences(50, 2)
    report = parser.evaluate(test)
    assert report["uas"] > 0.95 and report["las"] > 0.95 and report["words"] == sum(map(len, test.words))
    assert tuple(parser.relations) == KLUE_DP_RELATIONS  # KLUE-DP's, since all are among them
    parser.save(tmp_path / "dp")
    again = DependencyParser.load(tmp_path / "dp")
    assert again.predict(test.words, test.tags) == parser.predict(test.words, test.tags)
    heads, relations = parser.predict([["작은", "학교에", "간다."]], [["ETM", "JX", "SF"]])
    assert heads == [[2, 3, 0]] and relations == [["VP_MOD", "NP_AJT", "VP"]]
    if tags:
        with pytest.raises(ValueError, match="takes tags of words"):
            parser.predict([["간다."]])


def test_words_beyond_the_row_have_no_head():
    parser = make(["a", "b"])
    heads, relations = parser.predict([["나는"] * 20])
    assert len(heads[0]) == len(relations[0]) == 20 and heads[0][11:] == [0] * 9
    assert parser.predict([]) == ([], []) and DependencyParser.parse is DependencyParser.predict


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="max_length is 24; the encoder's position table holds 16"):
        config = BertConfig(len(VOCAB), max_position_embeddings=16, hidden_size=8, num_attention_heads=1)
        DependencyParser(Bert(config), tokenizer=None, max_length=24)
    with pytest.raises(ValueError, match="the relation 'c'; expected one of"):
        make(["a"]).fit(TreeData([["나"]], [["x"]], [[0]], [["c"]]))
    with pytest.raises(ValueError, match="no head yet"):
        make().predict([["나"]])
    assert BiaffineModel(make(["a"]).encoder, 3).relation_form.shape == (3, 257, 257)
