"""Tokenizers that tfkor writes for transformers: the ids of tokenizer.json are its own, and it reads itself back."""

import functools
import io
import random

import pytest
import sentencepiece
from tokenizers import Tokenizer as Fast

from tfkor.data import load_intents176
from tfkor.interop.tokenizers import read_tokenizer, write_tokenizer
from tfkor.text import Tokenizer, train_sentencepiece
from tfkor.text.published import PublishedTokenizer, read_pieces

TEXTS = [
    "",
    " ",
    "한국어 모델을\t공유합니다. ㅋㅋㅋㅋㅋ",
    "a▁b  ▁ café ＡＢ1,204원\n",
    "👍🏽 좋아요",
    "``뭐'' 1,204, '그래'",
]
DECOMPOSED = "\u1112\u1161\u11ab\u1100\u116e\u11a8"
XLMR = dict(pad="<pad>", unk="<unk>", cls="<s>", sep="</s>", mask="<mask>")


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
    pieces = read_pieces(model)[0]
    return PublishedTokenizer(model, ["<s>", "<pad>", "</s>", "<unk>", *pieces[3:], "<mask>"], XLMR, pair_separators=2)


def like_kobert():
    model = model_of(texts()[:2000])
    pieces = read_pieces(model)[0]
    return PublishedTokenizer(model, ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", *pieces[3:]], cleaning="xlnet")


MAKERS = {
    "unigram": lambda: own("unigram"),
    "bpe": lambda: own("bpe"),
    "bpe_lowercase": lambda: own("bpe", lowercase=True),
    "unigram_as_it_is": lambda: own("unigram", nfc=False, clean_text=False),
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
    assert type(again) is type(tokenizer) and again.fingerprint == tokenizer.fingerprint


def test_transformers_loads_it(tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizer = own("unigram")
    write_tokenizer(tmp_path, tokenizer, max_length=32)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs("한국어 모델")["input_ids"] == tokenizer(["한국어 모델"])["input_word_ids"][0].tolist()
    assert (theirs.pad_token_id, theirs.mask_token, theirs.model_max_length) == (tokenizer.pad_id, "[MASK]", 32)


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
