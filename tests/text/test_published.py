"""Published models: a sentencepiece model with its own normalisation, ids of another table, XLNet's cleaning."""

import io
import pickle

import numpy as np
import pytest
import sentencepiece

from tfkor.text import Tokenizer

LINES = ["나는 학교에 간다. 1,204원 ㅋㅋ cafe", '너는 집에 간다 2,359원 "뭐" 그래', "한국어 모델을 공유합니다."] * 40
TEXTS = ["나는 학교에 간다. 1,204원 ㅋㅋ", "ＡＢ  café", "", "  한국어 ", "``뭐'' 1,204, 2,359,"]
TEXTS += ["cafe\u0301 é", "집\u3000에"]
XLMR = dict(pad="<pad>", unk="<unk>", cls="<s>", sep="</s>", mask="<mask>")


@pytest.fixture(scope="module")
def proto():
    model = io.BytesIO()
    options = dict(model_type="unigram", hard_vocab_limit=False, normalization_rule_name="nmt_nfkc", minloglevel=2)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=model, vocab_size=60, **options
    )
    return model.getvalue()


@pytest.fixture(scope="module")
def pieces(proto):
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
    return [processor.IdToPiece(i) for i in range(len(processor))]


@pytest.fixture(scope="module")
def like_xlmr(proto, pieces):
    vocab = ["<s>", "<pad>", "</s>", "<unk>", *pieces[3:], "<mask>"]
    return Tokenizer.from_published(proto, vocab, XLMR, pair_separators=2)


@pytest.fixture(scope="module")
def like_kobert(proto, pieces):
    vocab = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", *pieces[3:]]
    return Tokenizer.from_published(proto, vocab, cleaning="xlnet")


def test_ids_are_those_of_the_model_at_their_new_places(proto, pieces, like_xlmr):
    rows = sentencepiece.SentencePieceProcessor(model_proto=proto).Encode(TEXTS)
    unknown = like_xlmr.unk_id
    expected = [[like_xlmr.vocab.index(pieces[i]) if i else unknown for i in row] for row in rows]
    assert like_xlmr.ids(TEXTS).to_lists() == expected
    assert (like_xlmr.pad_id, like_xlmr.unk_id, like_xlmr.cls_id, like_xlmr.sep_id) == (1, 3, 0, 2)


def test_pairs_have_two_separators(like_xlmr):
    row = like_xlmr(["한국어"], ["학교에"], max_length=32)["input_word_ids"][0].tolist()
    first, second = (like_xlmr.ids([text]).to_lists()[0] for text in ("한국어", "학교에"))
    assert row == [0, *first, 2, 2, *second, 2]
    assert len(like_xlmr(["한국어 " * 9], ["학교에 " * 9], max_length=20)["input_word_ids"][0]) == 20


@pytest.mark.parametrize("name", ["like_xlmr", "like_kobert"])
def test_offsets_give_the_ids_and_the_characters(name, request):
    tokenizer = request.getfixturevalue(name)
    for text in TEXTS:
        ids, spans = tokenizer.offsets(text)
        assert ids == tokenizer.ids([text]).to_lists()[0]
        assert all(0 <= begin < end <= len(text) for begin, end in spans)
        assert [begin for begin, _ in spans] == sorted(begin for begin, _ in spans)
    ids, spans = tokenizer.offsets("한국어 학교에")
    found = {tokenizer.vocab[i]: "한국어 학교에"[slice(*span)] for i, span in zip(ids, spans)}
    assert all(piece.replace("▁", "") in ("", part) for piece, part in found.items())


def test_cleaning_is_that_of_xlnet(like_kobert):
    assert like_kobert.normalizer("  ``뭐''  cafe\u0301\t1 ") == '"뭐" cafe 1'.replace("뭐", "\u1106\u116f")
    assert like_kobert.tokenize("1,000,")[-1] == ","
    codes, _, spans = like_kobert.normalizer.characters_with_spans("  ``뭐''")
    assert spans.tolist() == [[2, 4], [4, 5], [4, 5], [5, 7], [7, 7]] and len(codes) == len(spans)


def test_it_is_saved_loaded_and_pickled(like_xlmr, like_kobert, tmp_path):
    for tokenizer in (like_xlmr, like_kobert):
        tokenizer.save(tmp_path)
        for again in (Tokenizer.load(tmp_path), pickle.loads(pickle.dumps(tokenizer))):
            assert again.type == "published" and again.fingerprint == tokenizer.fingerprint
            assert again.ids(TEXTS).to_lists() == tokenizer.ids(TEXTS).to_lists()
    assert like_xlmr.fingerprint != like_kobert.fingerprint
    (tmp_path / "tokenizer_config.json").write_text('{"type": "published", "colour": 1}')
    with pytest.raises(ValueError, match="unknown key colour"):
        Tokenizer.load(tmp_path)


def test_nfc_in_front_is_an_option(proto, like_xlmr):
    composed = Tokenizer.from_published(proto, like_xlmr.vocab, XLMR, nfc=True)
    decomposed = "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165"
    assert composed.tokenize(decomposed) == composed.tokenize("한국어")
    _, spans = composed.offsets(decomposed)
    assert spans[-1] == (6, 8)


def test_continuations_and_decoding(like_xlmr):
    for piece, goes_on in zip(like_xlmr.vocab, like_xlmr.continuations):
        assert goes_on == (not piece.startswith("▁") and piece not in XLMR.values())
    assert like_xlmr.decode(like_xlmr.ids(["나는 학교에 간다"]).values) == "나는 학교에 간다"
    rows = [tuple(like_xlmr.ids(["나는 학교에 간다"], dropout=0.9, seed=seed).values) for seed in range(20)]
    assert len(set(rows)) > 1


@pytest.mark.parametrize("pairs", [None, TEXTS[::-1]])
def test_the_twin_in_a_graph_has_equal_ids(like_xlmr, proto, pairs):
    tf = pytest.importorskip("tensorflow")
    from tfkor.text import GraphTokenizer

    for tokenizer in (like_xlmr, Tokenizer.from_published(proto, like_xlmr.vocab, XLMR, nfc=True)):
        found = GraphTokenizer(tokenizer, max_length=24)(
            tf.constant(TEXTS), None if pairs is None else tf.constant(pairs)
        )
        for name, value in tokenizer(TEXTS, pairs, max_length=24).items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_wrong_options_are_named(proto, like_kobert):
    from tfkor.text import GraphTokenizer

    for wrong, message in (
        (dict(cleaning="x"), "cleaning is 'x'"),
        (dict(pair_separators=3), "pair_separators is 3"),
        (dict(special_tokens={**XLMR, "pad": "<none>"}), "no <none> <unk> <s> </s> <mask> among its"),
    ):
        with pytest.raises(ValueError, match=message):
            Tokenizer.from_published(proto, like_kobert.vocab, **wrong)
    with pytest.raises(ValueError, match="not a sentencepiece model"):
        Tokenizer.from_published(b"\xff\xff\xff")
    with pytest.raises(ValueError, match="cleaning is 'xlnet'; expected None"):
        GraphTokenizer(like_kobert)
