"""Tokenizers that tfkor writes for transformers: the ids of tokenizer.json are its own, and it reads itself back."""

import functools
import io
import json
import random
import shutil
import unicodedata

import pytest
import sentencepiece
from tokenizers import Tokenizer as Fast

from tfkor.data import load_intents176
from tfkor.interop.tokenizers import read_tokenizer, write_tokenizer
from tfkor.text import Tokenizer, train_sentencepiece, train_tokenizer
from tfkor.text.engines.sentencepiece import SentencePieceModel

TEXTS = [
    "",
    " ",
    "한국어 모델을\t공유합니다. ㅋㅋㅋㅋㅋ",
    "a▁b  ▁ café ＡＢ1,204원\n",
    "👍🏽 좋아요",
    "<e1>학교</e1>에 나는<e1",
    "``뭐'' 1,204, '그래'",
]
DECOMPOSED = "\u1112\u1161\u11ab\u1100\u116e\u11a8"
XLMR = dict(pad="<pad>", unk="<unk>", cls="<s>", sep="</s>", mask="<mask>")
OF_ROBERTA = {role: XLMR[role] for role in ("cls", "pad", "sep", "unk", "mask")}  # in the order of its ids


@functools.cache
def texts():
    return load_intents176("train").texts


def drawn(count):
    """Random mixtures of the texts' eojeols, characters and blanks."""
    random_ = random.Random(0)
    words = [word for text in texts()[:2000] for word in text.split()]
    alphabet = sorted({*"".join(words), *" 　\t!?A𠮷😀ㅋ"})
    for _ in range(count):
        parts = [
            random_.choice(words) if random_.random() < 0.6 else random_.choice(alphabet) * random_.randint(1, 5)
            for _ in range(12)
        ]
        yield random_.choice(("", " ")).join(parts)


def own(kind, **options):
    return Tokenizer(train_sentencepiece(texts()[:2000], 900, kind, **options), **options)


def model_of(lines):
    model = io.BytesIO()
    options = dict(model_type="unigram", normalization_rule_name="nmt_nfkc", minloglevel=2, vocab_size=900)
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, **options)
    return model.getvalue()


def like_xlmr():
    model = model_of(texts()[:2000])
    pieces = SentencePieceModel(model).pieces
    vocab = ["<s>", "<pad>", "</s>", "<unk>", *pieces[3:], "<mask>"]
    return Tokenizer.from_published(model, vocab, XLMR, pair_separators=2)


def like_kobert():
    model = model_of(texts()[:2000])
    pieces = SentencePieceModel(model).pieces
    vocab = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", *pieces[3:]]
    return Tokenizer.from_published(model, vocab, cleaning="xlnet")


def wordpiece(**options):
    return train_tokenizer(texts()[:2000], 900, **options)


MAKERS = {
    "wordpiece": wordpiece,
    "wordpiece_symbols": lambda: wordpiece(user_symbols=["<e1>", "</e1>", "ㅋㅋ"], max_word_chars=20),
    "unigram": lambda: own("unigram"),
    "bpe": lambda: own("bpe"),
    "bpe_lowercase": lambda: own("bpe", lowercase=True),
    "unigram_as_it_is": lambda: own("unigram", nfc=False, clean_text=False),
    "wordpiece_of_roberta": lambda: wordpiece(special_tokens=OF_ROBERTA),
    "bpe_of_roberta": lambda: train_tokenizer(texts()[:2000], 900, "bpe", special_tokens=OF_ROBERTA),
    "unigram_of_roberta": lambda: train_tokenizer(texts()[:2000], 900, "unigram", special_tokens=OF_ROBERTA),
    "like_xlmr": like_xlmr,
    "like_kobert": like_kobert,
}


@pytest.mark.parametrize("name", MAKERS)
def test_ids_are_equal_and_it_comes_back(name, tmp_path):
    tokenizer = MAKERS[name]()
    write_tokenizer(tmp_path, tokenizer)
    fast = Fast.from_file(str(tmp_path / "tokenizer.json"))
    lines = [*TEXTS, *[DECOMPOSED] * (name != "like_xlmr"), *texts()[2000:3000], *drawn(3000)]
    found = [each.ids for each in fast.encode_batch(lines, add_special_tokens=False)]
    wrong = [line for line, a, b in zip(lines, found, tokenizer.ids(lines).to_lists()) if a != b]
    assert not wrong, (len(wrong), wrong[:3])
    assert len({i for row in found for i in row}) > 600
    pair = fast.encode("한국어", "모델")
    packed = tokenizer(["한국어"], ["모델"], max_length=16)
    size = int(packed["input_mask"].sum())
    assert pair.ids == packed["input_word_ids"][0, :size].tolist()
    if name != "like_xlmr":  # whose models have one kind of segment
        assert pair.type_ids == packed["segment_ids"][0, :size].tolist()
    again = read_tokenizer(tmp_path)
    assert again.type == tokenizer.type and again.fingerprint == tokenizer.fingerprint


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_special_tokens_are_those_of_the_vocabulary(kind, tmp_path):
    tokenizer = MAKERS[f"{kind}_of_roberta"]()
    write_tokenizer(tmp_path, tokenizer)
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        found = json.loads((tmp_path / name).read_text("utf-8"))
        assert {role: found[f"{role}_token"] for role in XLMR} == XLMR
    fast = Fast.from_file(str(tmp_path / "tokenizer.json"))
    assert [fast.token_to_id(token) for token in OF_ROBERTA.values()] == [0, 1, 2, 3, 4]
    assert fast.encode("한국어").ids == [0, *tokenizer.ids(["한국어"]).values, 2]
    assert fast.encode("☃", add_special_tokens=False).ids[-1] == tokenizer.unk_id == 3
    if kind == "wordpiece":  # vocab.txt and tokenizer_config.json say it too
        shutil.rmtree(tmp_path / "tfkor_tokenizer")
        again = read_tokenizer(tmp_path)
        assert again.special_tokens == XLMR and again.user_symbols == ()
        assert again.ids(texts()[:300]).to_lists() == tokenizer.ids(texts()[:300]).to_lists()
        (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')  # then by their usual names
        assert read_tokenizer(tmp_path).special_tokens == XLMR


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_roles_may_be_absent(kind, tmp_path):
    tokenizer = train_tokenizer(texts()[:2000], 900, kind, special_tokens={"unk": "<|endoftext|>"})
    write_tokenizer(tmp_path, tokenizer)
    fast = Fast.from_file(str(tmp_path / "tokenizer.json"))
    assert [each.ids for each in fast.encode_batch(texts()[:300])] == tokenizer.ids(texts()[:300]).to_lists()
    assert json.loads((tmp_path / "special_tokens_map.json").read_text()) == {"unk_token": "<|endoftext|>"}
    assert read_tokenizer(tmp_path).fingerprint == tokenizer.fingerprint


def test_an_encoder_of_one_segment_gets_no_other(tmp_path):
    write_tokenizer(tmp_path, wordpiece(), segments=False)
    assert set(Fast.from_file(str(tmp_path / "tokenizer.json")).encode("한국어", "모델").type_ids) == {0}
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["model_input_names"] == ["input_ids", "attention_mask"]


ADDED = ["<e1>", "</e1>", "ㅋㅋ"]


@pytest.mark.parametrize("place", ["tokenizer.json", "tokenizer_config.json", "added_tokens.json"])
def test_added_tokens_are_found(place, tmp_path):
    tokenizer = wordpiece(nfc=False)
    write_tokenizer(tmp_path, tokenizer)
    fast = Fast.from_file(str(tmp_path / "tokenizer.json"))
    fast.add_tokens(ADDED)
    fast.save(str(tmp_path / "tokenizer.json"))
    ids = {content: fast.token_to_id(content) for content in ADDED}
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    if place != "tokenizer.json":
        (tmp_path / "tokenizer.json").unlink()
    if place == "tokenizer_config.json":
        config["added_tokens_decoder"] = {str(i): {"content": content} for content, i in ids.items()}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    elif place == "added_tokens.json":
        (tmp_path / place).write_text(json.dumps(ids))
    again = read_tokenizer(tmp_path)
    lines = [*TEXTS, *texts()[2000:2500], *drawn(1000)]
    found = [each.ids for each in fast.encode_batch(lines, add_special_tokens=False)]
    assert found == again.ids(lines).to_lists()
    assert {*ids.values()} <= {i for row in found for i in row}


def test_added_tokens_that_do_not_fit_are_named(tmp_path):
    write_tokenizer(tmp_path, wordpiece(lowercase=True))
    (tmp_path / "tfkor_tokenizer").rename(tmp_path / "other")
    for token, message in (
        ({"id": 2000, "content": "<e1>"}, r"the added token '<e1>' has the id 2000; expected the next one, \d+"),
        ({"content": "<e1>", "lstrip": True}, "the added token '<e1>' has lstrip; expected one without"),
        ({"content": "<E1>"}, "the added token '<E1>' is '<e1>' after normalisation"),
    ):
        values = json.loads((tmp_path / "tokenizer.json").read_text())
        values["added_tokens"] = [{"id": len(values["model"]["vocab"]), **token}]
        (tmp_path / "tokenizer.json").write_text(json.dumps(values))
        with pytest.raises(ValueError, match=message):
            read_tokenizer(tmp_path)


@pytest.mark.parametrize("name", ["like_xlmr", "like_kobert"])
def test_a_unigram_is_read_from_tokenizer_json_alone(name, tmp_path):
    """As transformers 5 saves them: without the sentencepiece model."""
    write_tokenizer(tmp_path, MAKERS[name]())
    shutil.rmtree(tmp_path / "tfkor_tokenizer")
    fast = Fast.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer = read_tokenizer(tmp_path)
    lines = [*TEXTS, *texts()[2000:2500], *drawn(1000)]
    found = [each.ids for each in fast.encode_batch(lines, add_special_tokens=False)]
    wrong = [(line, a, b) for line, a, b in zip(lines, found, tokenizer.ids(lines).to_lists()) if a != b]
    assert not wrong, (len(wrong), wrong[:3])
    packed = tokenizer(["한국어"], ["모델"], max_length=16)
    assert fast.encode("한국어", "모델").ids == packed["input_word_ids"][0, : int(packed["input_mask"].sum())].tolist()
    values = json.loads((tmp_path / "tokenizer.json").read_text())
    values["normalizer"] = {"type": "ByteLevel"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"tokenizer\.json: the normalizer ByteLevel; expected some of"):
        read_tokenizer(tmp_path)


def test_transformers_loads_it(tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizer = own("unigram")
    write_tokenizer(tmp_path, tokenizer, max_length=32)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs("한국어 모델")["input_ids"] == tokenizer(["한국어 모델"])["input_word_ids"][0].tolist()
    assert (theirs.pad_token_id, theirs.mask_token, theirs.model_max_length) == (tokenizer.pad_id, "[MASK]", 32)


@pytest.mark.parametrize("with_model", [True, False])
def test_tokens_added_to_a_sentencepiece_model_are_refused(with_model, tmp_path):
    write_tokenizer(tmp_path, like_xlmr())
    shutil.rmtree(tmp_path / "tfkor_tokenizer")
    if with_model:
        (tmp_path / "sentencepiece.bpe.model").write_bytes(like_xlmr().vocab_file)
    assert read_tokenizer(tmp_path).vocab_size == like_xlmr().vocab_size
    fast = Fast.from_file(str(tmp_path / "tokenizer.json"))
    fast.add_tokens(["<e1>"])
    fast.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match="the added token '<e1>', which tfkor's sentencepiece tokenizers can't have"):
        read_tokenizer(tmp_path)


def test_an_xlm_roberta_that_transformers_wrote_is_read(tmp_path):
    transformers = pytest.importorskip("transformers")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/sentencepiece.bpe.model").write_bytes(like_xlmr().vocab_file)
    (tmp_path / "in/config.json").write_text('{"model_type": "xlm-roberta"}')
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "in")
    theirs.save_pretrained(tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.model"))
    tokenizer = read_tokenizer(tmp_path / "out")
    lines = [*TEXTS, *texts()[2000:2500], *drawn(1000)]
    assert theirs(lines)["input_ids"] == tokenizer.pack(tokenizer.ids(lines))[0].to_lists()
    both = tokenizer.pack(tokenizer.ids(lines[:50]), tokenizer.ids(lines[50:100]))[0].to_lists()
    assert theirs(lines[:50], lines[50:100])["input_ids"] == both


def like_deberta(folder, mask=False):
    """A folder with the files of a DeBERTa-v3: [MASK] is the model's piece, or comes behind its pieces."""
    model = io.BytesIO()
    options = dict(pad_id=0, pad_piece="[PAD]", bos_id=1, bos_piece="[CLS]", eos_id=2, eos_piece="[SEP]", unk_id=3)
    options |= dict(unk_piece="[UNK]", model_type="unigram", vocab_size=900, minloglevel=2)
    options |= dict(control_symbols=["[MASK]"]) if mask else {}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(texts()[:2000]), model_writer=model, **options)
    folder.mkdir()
    (folder / "spm.model").write_bytes(model.getvalue())
    (folder / "config.json").write_text('{"model_type": "deberta-v2"}')
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}')
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


@pytest.mark.parametrize("mask", [True, False])
def test_a_deberta_is_read(mask, tmp_path):
    transformers = pytest.importorskip("transformers")
    processor = like_deberta(tmp_path / "in", mask)
    tokenizer = read_tokenizer(tmp_path / "in")
    lines = [*TEXTS, *texts()[2000:2500], *drawn(1000)]
    assert tokenizer.ids(lines).to_lists() == processor.Encode(lines)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "in")
    roles = ("pad", "unk", "cls", "sep", "mask")
    assert [getattr(tokenizer, f"{role}_id") for role in roles] == [0, 3, 1, 2, 4 if mask else 900]
    assert [getattr(theirs, f"{role}_token_id") for role in roles] == [0, 3, 1, 2, 4 if mask else 900]
    # transformers 5 leaves out what the model does to compatibility characters: ㅋ, full-width forms
    korean = [text for text in texts()[2000:] if unicodedata.normalize("NFKC", text) == text][:1000]
    assert len(korean) > 500
    assert theirs(korean)["input_ids"] == tokenizer.pack(tokenizer.ids(korean))[0].to_lists()
    both = tokenizer.pack(tokenizer.ids(korean[:50]), tokenizer.ids(korean[50:100]))
    found = theirs(korean[:50], korean[50:100])
    assert (found["input_ids"], found["token_type_ids"]) == (both[0].to_lists(), both[1].to_lists())
    write_tokenizer(tmp_path / "in", tokenizer)
    fast = Fast.from_file(str(tmp_path / "in/tokenizer.json"))
    assert [each.ids for each in fast.encode_batch(lines, add_special_tokens=False)] == tokenizer.ids(lines).to_lists()
    assert read_tokenizer(tmp_path / "in").fingerprint == tokenizer.fingerprint


def test_what_a_deberta_has_that_tfkor_has_not_is_named(tmp_path):
    transformers = pytest.importorskip("transformers")
    like_deberta(tmp_path / "in")
    transformers.AutoTokenizer.from_pretrained(tmp_path / "in").save_pretrained(tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.model"))
    with pytest.raises(ValueError, match=r"tokenizer\.json: the normalizer Replace of .* without a Precompiled one"):
        read_tokenizer(tmp_path / "out")
    (tmp_path / "in/tokenizer_config.json").write_text('{"split_by_punct": true}')
    with pytest.raises(ValueError, match=r"tokenizer_config\.json: split_by_punct is true; expected false"):
        read_tokenizer(tmp_path / "in")


def test_what_has_no_counterpart_is_named(tmp_path):
    symbols = train_sentencepiece(texts()[:500], 400, user_symbols=("<이름>",))
    with pytest.raises(ValueError, match=r"user_symbols is .*which a sentencepiece model finds inside of words"):
        write_tokenizer(tmp_path, Tokenizer(symbols))
    jamo = train_sentencepiece(texts()[:500], 300, alphabet="jamo")
    with pytest.raises(ValueError, match="alphabet is 'jamo'; transformers has no such tokenizer"):
        write_tokenizer(tmp_path, Tokenizer(jamo, alphabet="jamo"))
    kobert = like_kobert()
    kobert.vocab[-1] = "1,"
    with pytest.raises(ValueError, match="ends with a comma, which the cleaning 'xlnet' splits off a digit"):
        write_tokenizer(tmp_path, kobert)
    assert not list(tmp_path.iterdir())
