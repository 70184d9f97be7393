"""BPE and Unigram: the ids of the package sentencepiece and of Hugging Face `tokenizers`, in Python and in the graph.

TFKOR_FULL=1 compares 100,000 random texts and every line of every data set, in place of a part of them:

    TFKOR_FULL=1 python -m pytest tests/text/test_sentencepiece.py -s
"""

import copy
import functools
import itertools
import os
import pickle
import re
import unicodedata

import numpy as np
import pytest
import sentencepiece
import tensorflow as tf
from sentencepiece import sentencepiece_model_pb2
from text_parity import NAMED, SPECIAL, SYLLABLES, data_files, data_lines, differences, random_texts, without_surrogates
from tokenizers import Tokenizer as Reference
from tokenizers import models, pre_tokenizers
from tokenizers.normalizers import NFC, BertNormalizer, Sequence

from tfkor.data import load_intents176
from tfkor.text import GraphTokenizer, Tokenizer, characters, train_sentencepiece
from tfkor.text.normalization import regex_class

FULL = os.environ.get("TFKOR_FULL") == "1"
RANDOM_TEXTS = 100_000 if FULL else 2_000
LINES_OF_A_FILE = None if FULL else 100
BATCH = 20_000
KINDS = [(kind, alphabet) for kind in ("bpe", "unigram") for alphabet in ("syllable", "jamo")]
SYMBOLS = ["<url>", "<urls>", "@이름@"]
SPACE = re.compile(f"[{regex_class(characters.SPACE)}▁]")


@functools.cache
def model(kind, alphabet, **options):
    required = "".join(sorted({char for text in NAMED[:-3] for char in without_surrogates(text)} | set("<url>@이름")))
    texts = load_intents176("train").texts[::2] + ["Hello, world! 3월 14일 ㅋㅋㅋㅋ ㅠㅠ 中文"] * 9
    options = dict(unused_slots=2, user_symbols=SYMBOLS, required_characters=required, **options)
    return train_sentencepiece(texts, 3000, kind, alphabet=alphabet, **options)


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def tokenizer(request):
    kind, alphabet = request.param
    return Tokenizer(model(kind, alphabet), alphabet=alphabet)


def syllables_to_jamo(text):
    return "".join(unicodedata.normalize("NFD", char) if "가" <= char <= "힣" else char for char in text)


def reference_ids(tokenizer, texts, lowercase=False):
    """The package's ids of what Hugging Face's normalisers make of the texts."""
    bert = BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=lowercase)
    normalizer = Sequence([NFC(), bert])
    texts = [SPACE.sub(" ", normalizer.normalize_str(without_surrogates(text))) for text in texts]
    if tokenizer.normalizer.alphabet == "jamo":
        texts = list(map(syllables_to_jamo, texts))
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(tokenizer.vocab_file)
    return processor.Encode(texts)


def huggingface(tokenizer):
    """The same model in Hugging Face `tokenizers`: texts -> lists of ids."""
    pieces = sentencepiece_model_pb2.ModelProto.FromString(tokenizer.vocab_file).pieces
    hidden = (pieces[0].CONTROL, pieces[0].UNKNOWN)  # Hugging Face would find their names in a text
    names = [f"\ufdd0{i}" if piece.type in hidden else piece.piece for i, piece in enumerate(pieces)]
    numbers = {name: i for i, name in enumerate(names)}
    if tokenizer.type == "unigram":
        reference = Reference(models.Unigram([(name, piece.score) for name, piece in zip(names, pieces)], unk_id=1))
    else:
        scores = {piece.piece: piece.score for piece in pieces if piece.type == piece.NORMAL}
        halves = [(name, name[:k], name[k:]) for name in scores for k in range(1, len(name))]
        merges = [half for half in halves if half[1] in scores and half[2] in scores]
        merges.sort(key=lambda half: (-scores[half[0]], numbers[half[1]], numbers[half[2]]))
        merges = [(left, right) for _, left, right in merges]
        reference = Reference(models.BPE(numbers, merges, unk_token=names[1], fuse_unk=True))
    reference.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    normalize = tokenizer.normalizer

    def ids(texts):
        texts = [" ".join(filter(None, SPACE.split(normalize(text)))) for text in texts]
        return [encoding.ids for encoding in reference.encode_batch_fast(texts)]

    return ids


def graph_ids(tokenizer, **options):
    ids = tf.function(GraphTokenizer(tokenizer, **options).ids, input_signature=[tf.TensorSpec([None], tf.string)])
    return lambda texts: ids(tf.constant([without_surrogates(text).encode() for text in texts])).to_list()


def with_symbols(texts, seed=0):
    """Some of the texts with user symbols, and pieces of them, put in anywhere."""
    draw = np.random.default_rng(seed)
    parts = [*SYMBOLS, "<url", "[MASK]", "▁", "<url><urls>", "[unused0]"]
    out = []
    for text in texts:
        if draw.random() < 0.3:
            place = draw.integers(0, len(text) + 1)
            text = text[:place] + str(draw.choice(parts)) + text[place:]
        out.append(text)
    return out


def test_random_texts(tokenizer):
    graph = graph_ids(tokenizer)
    texts = with_symbols(random_texts(RANDOM_TEXTS, seed=1))
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        expected = reference_ids(tokenizer, batch)
        assert not differences(batch, expected, tokenizer.ids(batch).to_lists())
        assert not differences(batch, expected, graph(batch))
    print(f"\n{tokenizer.config}: {len(texts)} random texts, 0 differences")


def test_random_texts_equal_hugging_face(tokenizer):
    texts = random_texts(RANDOM_TEXTS, seed=8)
    assert not differences(texts, huggingface(tokenizer)(texts), tokenizer.ids(texts).to_lists())


@pytest.mark.slow
def test_data_sets(shared_data, tokenizer):
    graph, other, compared = graph_ids(tokenizer), huggingface(tokenizer), 0
    for name in data_files(shared_data):
        lines = itertools.islice(data_lines(shared_data / name), LINES_OF_A_FILE)
        while batch := list(itertools.islice(lines, BATCH)):
            expected = reference_ids(tokenizer, batch)
            assert not differences(batch, expected, tokenizer.ids(batch).to_lists()), name
            assert not differences(batch, expected, graph(batch)), name
            assert not differences(batch, expected, other(batch)), name
            compared += len(batch)
    assert compared > 5_000
    print(f"\n{tokenizer.config}: {compared} lines of the data sets, 0 differences")


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize(
    "options",
    [
        {"lowercase": True, "full_width": True, "max_jamo_repeats": 2, "alphabet": "jamo"},
        {"clean_text": False, "max_jamo_repeats": 1},
        {"nfc": False, "lowercase": True, "clean_text": False},
    ],
)
def test_options_in_the_graph(kind, options):
    tokenizer = Tokenizer(model(kind, options.get("alphabet", "syllable")), **options)
    texts = with_symbols(random_texts(1_000, seed=3))
    assert not differences(texts, tokenizer.ids(texts).to_lists(), graph_ids(tokenizer)(texts))


def test_nfd_gives_the_ids_of_nfc(tokenizer):
    texts = [unicodedata.normalize("NFC", text) for text in load_intents176("dev").texts[:300]] + [SYLLABLES, "é 각"]
    decomposed = [unicodedata.normalize("NFD", text) for text in texts]
    assert texts != decomposed and tokenizer.ids(texts).to_lists() == tokenizer.ids(decomposed).to_lists()


def test_an_eojeol_has_the_same_pieces_everywhere(tokenizer):
    """Equally good segmentations are not told apart by what stands before them."""
    texts = [
        " ".join(load_intents176("test").texts[:200]) + " " + mark for mark in (".", "...", "ㅋㅋㅋㅋㅋ", "?!?!", "~~~")
    ]
    texts += ["아직도... 그래요..... ㅋㅋㅋㅋㅋㅋㅋ ㅠㅠㅠㅠㅠ!!!!!! " * 40]
    words = sorted({word for text in texts for word in text.split()})
    of_word = dict(zip(words, tokenizer.ids(words).to_lists(), strict=True))
    expected = [[i for word in text.split() for i in of_word[word]] for text in texts]
    assert tokenizer.ids(texts).to_lists() == expected == graph_ids(tokenizer)(texts)


def test_decode(tokenizer):
    texts = [*load_intents176("dev").texts[:200], "한국어를 <url>을 공유합니다. [MASK]", "값싼 ㄱㅏ ㅋㅋㅋ"]
    for text, ids in zip(texts, tokenizer.ids(texts).to_lists(), strict=True):
        if tokenizer.unk_id not in ids:
            assert tokenizer.decode([2, *ids, 3, 0]) == " ".join(text.split())
    assert tokenizer.decode([]) == "" and tokenizer.decode([4]) == "[MASK]"
    if tokenizer.normalizer.alphabet == "jamo":
        assert tokenizer.decode(tokenizer.ids([" ".join(SYLLABLES)]).values) == " ".join(SYLLABLES)


def test_eojeols_and_continuations(tokenizer):
    texts = with_symbols(random_texts(300, seed=6))
    ids, first = tokenizer.ids_and_eojeols(texts)
    assert np.array_equal(ids.values, tokenizer.ids(texts).values)
    counts = np.diff(np.append(0, np.cumsum(first))[ids.row_splits]).tolist()
    assert counts == [len(list(filter(None, SPACE.split(tokenizer.normalizer(text))))) for text in texts]
    assert np.array_equal(~first, tokenizer.continuations[ids.values])
    others = [entry for entry, goes_on in zip(tokenizer.vocab, tokenizer.continuations, strict=True) if not goes_on]
    control = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]"]
    assert [entry for entry in others if entry[0] != "▁"] == control


def test_offsets(tokenizer):
    text = unicodedata.normalize("NFD", "한국어를 ") + " \u200b<url> 알려\t줘."
    ids, spans = tokenizer.offsets(text)
    assert ids == tokenizer.ids([text]).values.tolist()
    pieces = [unicodedata.normalize("NFC", text[start:end]) for start, end in spans]
    alone = tokenizer.vocab.index("▁")
    assert "".join(piece for i, piece in zip(ids, pieces, strict=True) if i != alone).startswith("한국어를<url>")
    assert tokenizer.vocab.index("<url>") == ids[pieces.index("<url>")]
    assert tokenizer.offsets("") == tokenizer.offsets(" \n") == ([], [])


def test_offsets_of_random_texts(tokenizer):
    for text in with_symbols(random_texts(300, seed=5)):
        if len(text) < 5_000:
            ids, spans = tokenizer.offsets(text)
            assert ids == tokenizer.ids([text]).values.tolist()
            assert all(0 <= start < end <= len(text) for start, end in spans)
            for (start, end), i in zip(spans, ids, strict=True):
                piece = tokenizer.vocab[i].replace("▁", "")
                if i != tokenizer.unk_id and tokenizer.normalizer.alphabet == "syllable":
                    assert piece in tokenizer.normalizer(text[start:end])


def test_save_and_load(tmp_path, tokenizer):
    tokenizer.save(tmp_path / "a")
    loaded = Tokenizer.load(tmp_path / "a")
    for name in ("vocab", "config", "fingerprint", "user_symbols"):
        assert getattr(loaded, name) == getattr(tokenizer, name)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["sentencepiece.model", "tokenizer_config.json"]
    options = {"alphabet": tokenizer.normalizer.alphabet}
    assert Tokenizer(tmp_path / "a" / "sentencepiece.model", **options).fingerprint == tokenizer.fingerprint
    texts = load_intents176("dev").texts[:50]
    for other in (loaded, copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert other.ids(texts).to_lists() == tokenizer.ids(texts).to_lists()
    assert Tokenizer(tokenizer.vocab_file, lowercase=True, **options).fingerprint != tokenizer.fingerprint


def test_scores_add_up_exactly(tokenizer):
    model = sentencepiece_model_pb2.ModelProto.FromString(tokenizer.vocab_file)
    assert all(256 * piece.score == round(256 * piece.score) for piece in model.pieces)


def test_special_pieces(tokenizer):
    assert tokenizer.vocab[:10] == [*SPECIAL, "[unused0]", "[unused1]", *map(tokenizer.normalizer, SYMBOLS)]
    assert [getattr(tokenizer, f"{name}_id") for name in ("pad", "unk", "cls", "sep", "mask")] == [0, 1, 2, 3, 4]
    out = tokenizer(["[MASK]", "가 나"])["input_word_ids"]
    assert out[0, 0] == 2 and 4 not in out and out[1][-1] in (0, 3)


def test_dropout(tokenizer):
    texts = load_intents176("dev").texts[:100]
    plain = tokenizer.ids(texts).to_lists()
    drawn = tokenizer.ids(texts, dropout=0.5, seed=[1, 2]).to_lists()
    assert drawn == tokenizer.ids(texts, dropout=0.5, seed=[1, 2]).to_lists()
    assert drawn != tokenizer.ids(texts, dropout=0.5, seed=[1, 3]).to_lists()
    changed = sum(a != b for a, b in zip(plain, drawn, strict=True))
    assert (changed > 90) if tokenizer.type == "bpe" else 30 < changed < 65
    for a, b in zip(plain, drawn, strict=True):
        assert tokenizer.decode(a) == tokenizer.decode(b)


def test_training_is_repeatable_and_draws_a_part(monkeypatch):
    monkeypatch.setattr("tfkor.text.training.sentencepiece.SENTENCE", 100)
    texts = load_intents176("train").texts
    for kind in ("bpe", "unigram"):
        models = [train_sentencepiece(texts, 1500, kind, max_characters=20_000) for _ in range(2)]
        assert models[0] == models[1] != train_sentencepiece(texts, 1500, kind)
        decomposed = [unicodedata.normalize("NFD", text) for text in texts]
        assert train_sentencepiece(decomposed, 1500, kind) == train_sentencepiece(texts, 1500, kind)


def test_the_alphabet_of_a_training():
    texts = ["가가가 나나 다", "힣가나"] * 9
    for kind in ("bpe", "unigram"):
        vocab = Tokenizer(train_sentencepiece(texts, 60, kind, alphabet_limit=2, required_characters='하,!"')).vocab
        assert {char for piece in vocab[5:] for char in piece} == {"▁", "가", "나", "하", ",", "!", '"'}
        assert all(char in vocab for char in '▁가나하,!"')


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"vocab_size is 50, but special tokens .5. and characters .96. need 101"):
        train_sentencepiece(["가"], 50)
    with pytest.raises(ValueError, match="the texts hold no words"):
        train_sentencepiece([" "], 500)
    with pytest.raises(TypeError, match="an iterator, which can be read once only"):
        train_sentencepiece(iter(["가"]), 500)
    with pytest.raises(ValueError, match="kind is 'word'; expected bpe or unigram"):
        train_sentencepiece(["가"], 500, "word")
    with pytest.raises(ValueError, match="vocab: not a sentencepiece model"):
        Tokenizer(b"nonsense")
    proto = model("bpe", "syllable")
    with pytest.raises(ValueError, match="found max_word_chars or user_symbols; expected none with BPE and Unigram"):
        Tokenizer(proto, max_word_chars=9)
    with pytest.raises(ValueError, match=r"no piece U.200B; expected it with morphemes"):
        Tokenizer(proto, morphemes="kiwi")
    Tokenizer(proto).save(tmp_path)
    config = tmp_path / "tokenizer_config.json"
    config.write_text(config.read_text().replace("bpe", "unigram"))
    with pytest.raises(ValueError, match=r"type is 'unigram', but sentencepiece.model holds 'bpe'"):
        Tokenizer.load(tmp_path)


def test_foreign_models_are_refused():
    import io

    def train(**options):
        out = io.BytesIO()
        options = dict(vocab_size=40, hard_vocab_limit=False, minloglevel=2) | options
        texts = iter(["가나다 라마바 가나"] * 20)
        sentencepiece.SentencePieceTrainer.Train(sentence_iterator=texts, model_writer=out, **options)
        return out.getvalue()

    with pytest.raises(ValueError, match="normalises by the rules of nmt_nfkc; expected one that was trained with"):
        Tokenizer(train())
    with pytest.raises(ValueError, match=r"no \[PAD\] \[UNK\] \[CLS\] \[SEP\] \[MASK\] among its"):
        Tokenizer(train(normalization_rule_name="identity"))
    with pytest.raises(ValueError, match="a sentencepiece model of type 4; expected BPE or Unigram"):
        Tokenizer(train(model_type="char"))


def test_saved_model(tmp_path, tokenizer):
    module = tf.Module()
    module.tokenizer = GraphTokenizer(tokenizer, max_length=12)
    signature = [tf.TensorSpec([None], tf.string, name="texts")]
    module.serve = tf.function(lambda texts: module.tokenizer(texts), input_signature=signature)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"serving_default": module.serve})
    texts = ["한국어를 공유합니다.", "[MASK] ㅋㅋㅋㅋ <url>", "", "가" * 101]
    found = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"](texts=tf.constant(texts))
    for name, array in tokenizer(texts, max_length=12).items():
        np.testing.assert_array_equal(found[name].numpy(), array, err_msg=name)
