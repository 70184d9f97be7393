"""Special tokens of any name, in every engine: ids, rows, files, the twin in a graph; and roles that are absent."""

import json
import pickle

import numpy as np
import pytest
import tensorflow as tf
from sentencepiece import sentencepiece_model_pb2
from text_parity import SPECIAL, random_texts, without_surrogates

from tfkor.data import load_intents176
from tfkor.text import (
    GraphOffsets,
    GraphTokenizer,
    Tokenizer,
    tokenizer_report,
    train_sentencepiece,
    train_tokenizer,
    train_wordpiece,
)
from tfkor.text.training.corpus import ASCII

NAMES = dict(pad="<pad>", unk="<unk>", cls="<s>", sep="</s>", mask="<mask>")
OF_ROBERTA = {role: NAMES[role] for role in ("cls", "pad", "sep", "unk", "mask")}  # in the order of its ids
LITERAL = ["<s> 한국어 </s>", "<mask><pad><unk>", "[MASK] [PAD] [UNK]", "<s", "PAD 한PAD PADs ##PAD"]
KINDS = ("wordpiece", "bpe", "unigram", "published")


def lines():
    """Without literal special tokens: sentencepiece's trainer learns nothing from those."""
    return [*load_intents176("train").texts[::3], *["Hello, world! 서울 날씨"] * 9]


def model_of(pieces, unknown):
    """bytes: a Unigram model without normalisation, of (piece, score) pairs; the first five are no text."""
    model = sentencepiece_model_pb2.ModelProto()
    for i, (piece, score) in enumerate(pieces):
        entry = model.pieces.add(piece=piece, score=score)
        entry.type = entry.UNKNOWN if piece == unknown else entry.CONTROL if i < 5 else entry.NORMAL
    model.trainer_spec.model_type = model.trainer_spec.UNIGRAM
    model.trainer_spec.unk_piece = unknown
    model.normalizer_spec.name = "identity"
    return model.SerializeToString(deterministic=True)


def made(kind, special_tokens=None, **options):
    """A tokenizer of 900 entries, of which special tokens are the first."""
    if kind != "published":
        options["required_characters"] = ASCII + "서울날씨"
        return train_tokenizer(lines(), 900, kind, special_tokens=special_tokens, **options)
    plain = sentencepiece_model_pb2.ModelProto.FromString(made("unigram").vocab_file)
    tokens = list((special_tokens or dict(zip(NAMES, SPECIAL))).values())
    pieces = [(tokens[i] if i < 5 else piece.piece, piece.score) for i, piece in enumerate(plain.pieces)]
    model = model_of(pieces, (special_tokens or {"unk": "[UNK]"})["unk"])
    return Tokenizer.from_published(model, None, special_tokens, **options)


@pytest.fixture(scope="module", params=KINDS)
def both(request):
    """The same tokenizer twice: with BERT's special tokens, and with others at the same ids."""
    return made(request.param), made(request.param, NAMES)


def sample():
    texts = [*load_intents176("dev").texts[:150], *random_texts(150, seed=41), *LITERAL]
    return [without_surrogates(text) for text in texts if len(text) < 2_000]


def test_only_the_names_differ(both):
    """Ids, rows, offsets and texts are those of the tokenizer with BERT's names, which other tests compare."""
    plain, other = both
    assert other.vocab == [*NAMES.values(), *plain.vocab[5:]] and other.special_tokens == NAMES
    assert [other.pad_id, other.unk_id, other.cls_id, other.sep_id, other.mask_id] == [0, 1, 2, 3, 4]
    texts = sample()
    ids = plain.ids(texts)
    assert other.ids(texts).to_lists() == ids.to_lists()
    assert other.all_offsets(texts) == plain.all_offsets(texts)
    assert np.array_equal(other.continuations, plain.continuations)
    for name, array in plain(texts, texts[::-1], max_length=40).items():
        np.testing.assert_array_equal(other(texts, texts[::-1], max_length=40)[name], array)
    for row in ids.to_lists():
        if 1 not in row:
            assert other.decode([2, *row, 3, 0]) == plain.decode(row)
    assert other.decode([1, 4]) == plain.decode([1, 4]).replace("[UNK]", "<unk>").replace("[MASK]", "<mask>")
    drawn = [tokenizer.ids(texts[:99], dropout=0.4, seed=[1, 2]).to_lists() for tokenizer in both]
    assert drawn[0] == drawn[1] != ids.to_lists()[:99]


def test_a_literal_one_is_plain_text(both):
    for tokenizer in both:
        found = set(tokenizer.ids(LITERAL[:-1]).values.tolist())
        assert not found & {0, 2, 3, 4}
        assert tokenizer.unk_id not in tokenizer.ids(["<s> <mask> [MASK]"]).values


def test_the_twins_in_a_graph(both):
    texts, tokenizer = sample(), both[1]
    graph = GraphTokenizer(tokenizer, max_length=24)
    found = graph(tf.constant(texts), tf.constant(texts[::-1]))
    for name, array in tokenizer(texts, texts[::-1], max_length=24).items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    ids, begin, end = (x.to_list() for x in GraphOffsets(tokenizer)(tf.constant(texts[::5])))
    assert list(zip(ids, (list(zip(*pair)) for pair in zip(begin, end)))) == tokenizer.all_offsets(texts[::5])


@pytest.mark.parametrize("kind", KINDS)
def test_they_have_the_first_ids_in_their_order(kind, tmp_path):
    tokenizer = made(kind, OF_ROBERTA, pair_separators=2) if kind == "published" else made(kind, OF_ROBERTA)
    assert tokenizer.vocab[:5] == list(OF_ROBERTA.values())
    assert [getattr(tokenizer, f"{role}_id") for role in OF_ROBERTA] == [0, 1, 2, 3, 4]
    if kind != "published":
        options = {"special_tokens": OF_ROBERTA, "pair_separators": 2}
        tokenizer = Tokenizer(tokenizer.vocab if kind == "wordpiece" else tokenizer.vocab_file, **options)
    a, b = (tokenizer.ids([text]).to_lists()[0] for text in ("날씨", "서울 날씨"))
    out = tokenizer(["날씨", "날씨"], ["서울 날씨", ""], max_length=30)
    assert out["input_word_ids"].tolist() == [[0, *a, 2, 2, *b, 2], [0, *a, 2, 2, 2, *[1] * len(b)]]
    assert out["segment_ids"][0].tolist() == [0] * (len(a) + 3) + [1] * (len(b) + 1)
    found = GraphTokenizer(tokenizer, max_length=30)(tf.constant(["날씨", "날씨"]), tf.constant(["서울 날씨", ""]))
    assert {name: array.numpy().tolist() for name, array in found.items()} == {k: v.tolist() for k, v in out.items()}

    tokenizer.save(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text("utf-8"))
    assert config["special" if kind == "published" else "special_tokens"] == NAMES
    for again in (Tokenizer.load(tmp_path), pickle.loads(pickle.dumps(tokenizer))):
        assert again.fingerprint == tokenizer.fingerprint and again.special_tokens == NAMES
        assert again.pair_separators == 2 and again.config == tokenizer.config
        assert again.ids(LITERAL).to_lists() == tokenizer.ids(LITERAL).to_lists()
    other = Tokenizer(["<x>", *SPECIAL, *NAMES.values()])
    renamed = [Tokenizer(other.vocab, special_tokens=NAMES), Tokenizer(other.vocab, special_tokens={"unk": "<unk>"})]
    assert len({other.fingerprint, *(each.fingerprint for each in renamed)}) == 3


def test_a_word_as_a_special_token():
    """Text that has the same letters is cut into other pieces, in Python and in the graph."""
    vocab = ["PAD", "##PAD", "UNK", "END", "P", "A", "##A", "##D", "한", "##국", "##P"]
    special = {"pad": "PAD", "mask": "##PAD", "unk": "UNK", "cls": "END", "sep": "END"}
    tokenizer = Tokenizer(vocab, special_tokens=special, max_word_chars=4)
    texts = ["PAD 한PAD END UNK", "한국 한국국 한국국국국", "##PAD", ""]
    pieces = [["P", "##A", "##D", "한", "##P", "##A", "##D", "UNK", "UNK"], ["한", "##국", "한", "##국", "##국", "UNK"]]
    assert [[vocab[i] for i in row] for row in tokenizer.ids(texts).to_lists()[:2]] == pieces
    assert GraphTokenizer(tokenizer).ids(tf.constant(texts)).to_list() == tokenizer.ids(texts).to_lists()
    assert tokenizer(["한국"])["input_word_ids"].tolist() == [[3, 8, 9, 3]]


# === Roles that are absent ===


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_what_needs_an_absent_role_says_so(kind, tmp_path):
    tokenizer = made(kind, {"unk": "<|endoftext|>"})
    assert tokenizer.vocab.index("<|endoftext|>") == tokenizer.unk_id == 0
    assert [tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id] == [None] * 4
    ids = tokenizer.ids(["서울 날씨"])
    assert tokenizer.decode(ids.values) == "서울 날씨" and tokenizer_report(tokenizer, ["서울 날씨"])["eojeols"] == 2
    assert GraphTokenizer(tokenizer).ids(tf.constant(["서울 날씨"])).to_list() == ids.to_lists()
    message = 'pack needs a cls token, but special_tokens has unk; expected "cls" among'
    for needs in (tokenizer, lambda texts: tokenizer.pack(tokenizer.ids(texts)), GraphTokenizer(tokenizer)):
        with pytest.raises(ValueError, match=message):
            needs(["날씨"])
    tokenizer.save(tmp_path)
    assert Tokenizer.load(tmp_path).special_tokens == {"unk": "<|endoftext|>"}
    both = made(kind, {"unk": "<unk>", "cls": "<s>", "sep": "</s>"})
    assert both.pack(both.ids(["날씨"]))[0].to_lists() == [[1, *both.ids(["날씨"]).values, 2]]
    with pytest.raises(ValueError, match="padding needs a pad token, but special_tokens has unk, cls, sep"):
        both(["날씨"])


def test_wordpiece_without_unk():
    tokenizer = Tokenizer(["가", "##나", "<pad>"], special_tokens={"pad": "<pad>", "mask": None})
    assert tokenizer.ids(["가나 가", "가"]).to_lists() == [[0, 1, 0], [0]] and tokenizer.mask_id is None
    with pytest.raises(ValueError, match="can't spell '나가', and special_tokens has no unk"):
        tokenizer.ids(["가", "가나 나가"])
    with pytest.raises(ValueError, match="WordPiece in a graph needs a unk token"):
        GraphTokenizer(tokenizer)
    with pytest.raises(ValueError, match="the report needs a unk token"):
        tokenizer_report(tokenizer, ["가"])


@pytest.mark.parametrize(
    ("special", "error", "message"),
    [
        ({"bos": "<s>"}, ValueError, "special_tokens has the role 'bos'; expected some of pad, unk, cls, sep, mask"),
        (["<s>"], TypeError, "special_tokens is a list; expected a dict from roles"),
        ({"pad": 0}, ValueError, "special_tokens.'pad'. is 0; expected a str"),
        ({"pad": " a"}, ValueError, "special_tokens.'pad'. is ' a'; expected a str without blanks"),
        ({"pad": "<pad>", "unk": "<unk>"}, ValueError, "vocab: no <unk> among its 6 entries; expected <pad> <unk>$"),
        (None, ValueError, r"no \[PAD\] .* expected .*: name its own with special_tokens"),
    ],
)
def test_wrong_ones_are_named(special, error, message):
    with pytest.raises(error, match=message):
        Tokenizer(["<pad>", *"가나다라마"], special_tokens=special)


def test_wrong_ones_of_a_training_are_named():
    texts = ["가나 다라"] * 9
    for train in (train_wordpiece, train_sentencepiece):
        for token in ("SEP", "가", "<"):
            with pytest.raises(ValueError, match=f"special token '{token}' is a word that a text can have"):
                train(texts, 300, special_tokens={"unk": "<unk>", "sep": token})
    with pytest.raises(ValueError, match="special_tokens has no unk; expected one, since sentencepiece has no model"):
        train_sentencepiece(texts, 300, special_tokens={"pad": "<pad>"})
    model = train_sentencepiece(texts, 130, special_tokens=NAMES)
    with pytest.raises(ValueError, match="special_tokens does not name '<unk>' as unk; expected it, since the model"):
        Tokenizer(model, special_tokens={**NAMES, "unk": "<mask>"})
    with pytest.raises(ValueError, match="special_tokens has no unk; expected one, since any text may need it"):
        Tokenizer.from_published(model, None, {"pad": "<pad>"})


def test_two_roles_may_have_one_token():
    one = dict.fromkeys(("pad", "unk", "cls", "sep"), "<|endoftext|>")
    for kind in ("wordpiece", "bpe", "unigram"):
        tokenizer = made(kind, one, unused_slots=1, user_symbols=["<url>"])
        assert tokenizer.vocab[:3] == ["<|endoftext|>", "[unused0]", "<url>"]
        row = tokenizer.ids(["날씨"]).to_lists()[0]
        assert tokenizer(["날씨"], pad_to=9)["input_word_ids"][0].tolist() == [0, *row, *[0] * (8 - len(row))]


# === Fingerprints: checkpoints and shards hold them ===

ENTRIES = [*SPECIAL, "가", "##나", "<url>"]
PIECES = [*((piece, 0.0) for piece in SPECIAL), ("▁가", -1.0), ("나", -2.0), ("▁", -3.0)]


FINGERPRINTS = {  # of before tokenizers had other special tokens than BERT's
    "wordpiece": "4ff24fef94176f0e",
    "options": "a1e040968a7a9d65",
    "jamo": "3c07dea45141b413",
    "unigram": "d3f790176c521256",
    "published": "2605960ce930f054",
    "xlnet": "f272cd60ce9a9f9c",
}


def test_fingerprints_stay():
    """Another value would make the shards and checkpoints that hold it unusable."""
    model = model_of(PIECES, "[UNK]")
    found = {
        "wordpiece": Tokenizer(ENTRIES),
        "options": Tokenizer(ENTRIES, lowercase=True, max_jamo_repeats=2, max_word_chars=20, user_symbols=["<url>"]),
        "jamo": Tokenizer(ENTRIES, alphabet="jamo"),
        "unigram": Tokenizer(model, nfc=False),
        "published": Tokenizer.from_published(model, [*SPECIAL, "▁가", "나", "▁"], nfc=True, pair_separators=2),
        "xlnet": Tokenizer.from_published(model, cleaning="xlnet", lowercase=True),
    }
    assert {name: tokenizer.fingerprint[:16] for name, tokenizer in found.items()} == FINGERPRINTS

