"""The reference of the text tests: Hugging Face `tokenizers`, and texts that are hard on a tokenizer."""

import functools
import gzip
import json
import random
import re
import unicodedata

from tokenizers import Tokenizer as Reference
from tokenizers.models import WordPiece
from tokenizers.normalizers import NFC, BertNormalizer, Sequence
from tokenizers.pre_tokenizers import BertPreTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SYLLABLES = "".join(map(chr, range(0xAC00, 0xD7A4)))
NAMED = [  # of each kind at least one; the random texts are made of the same
    "",
    " ",
    "한국어를 공유합니다.",
    "[MASK] [UNK][PAD] ##어 [CLS]",
    unicodedata.normalize("NFD", "각 한국어를 값싼 ㄱㅏ é"),
    "ㅋㅋㅋㅋㅋㅋ ㅠㅠ ㅎㅏㄴ ﾡﾢ",
    "ＡＢＣ １２３！ ｶﾞ 　전각",
    "zero\u200bwidth\u200d \ufeffbom \u00adsoft \u2060",
    "tab\tline\nfeed\r\x0b\x0c\x1c\x85\u2028\u2029\u00a0\u3000 nul\x00 \x11 \x7f",
    "👨‍👩‍👧‍👦 🇰🇷 ❤️ 👍🏽 1️⃣",
    "İstanbul ΑΣ ὈΔΥΣΣΕΎΣ ẞ ǅ Ω Å K",
    "韓國語 中文 金 \uf90a \u9fa6 \U0002b740 \U0002f800",
    "क़ q\u0307\u0323 a\u0315\u0300\u05ae\u0300b \u1f80\u0340 \U000105d2\u0307 \U00011935\U00011930",
    "lone \ud83d surrogate \udc00\ud800",
    "가" * 100 + " " + "가" * 101 + " " + "a" * 100 + " " + "a" * 101,
    "İ" * 50 + " " + "İ" * 51,
    unicodedata.normalize("NFD", "각" * 100 + " " + "각" * 101),
    "!?.,~…·ㆍ・「」『』【】※$+<=>^`|",
    SYLLABLES,
    " ".join(SYLLABLES),
    unicodedata.normalize("NFD", SYLLABLES),
]
POOLS = {
    "plane": range(0x110000),
    "bmp": range(0x10000),
    "syllable": range(0xAC00, 0xD7A4),
    "jamo": [*range(0x1100, 0x1200), *range(0xA960, 0xA97D), *range(0xD7B0, 0xD7FC)],
    "compatibility": [*range(0x3131, 0x318F), *range(0xFF00, 0xFFEF)],
    "mark": [code for code in range(0x110000) if unicodedata.combining(chr(code))],
    "composed": [code for code in range(0x110000) if unicodedata.decomposition(chr(code)).partition(" ")[0].isalnum()],
    "letter": [*range(0x41, 0x5B), *range(0x61, 0x7B), *range(0xC0, 0x590)],
    "blank": [0x20, 0x20, 0x20, 9, 10, 13, *range(0, 0x21), *range(0x7F, 0xA1), *range(0x2000, 0x2070), 0x3000, 0xFEFF],
    "mark of writing": [*range(0x21, 0x30), *range(0x3A, 0x41), *range(0x2010, 0x2060), *range(0x3000, 0x3030)],
    "hanja": [*range(0x3400, 0xA000, 7), *range(0xF900, 0xFB00), *range(0x20000, 0x2FA20, 97)],
    "emoji": [*range(0x1F300, 0x1F650), 0x200D, 0xFE0F, *range(0x1F1E6, 0x1F200), *range(0x2600, 0x27C0)],
    "surrogate": range(0xD800, 0xE000),
    "newer": [code for code in range(0x110000) if unicodedata.category(chr(code)) == "Cn"],
}


FEW = {name: random.Random(name).sample(list(pool), min(50, len(pool))) for name, pool in POOLS.items()}


def random_texts(count, seed):
    """`count` texts: the NAMED ones, two of 100,000 characters, and random ones, mostly of up to 60 characters."""
    draw = random.Random(seed)

    def one(length):
        source = FEW if draw.random() < 0.7 else POOLS
        pools = [source[name] for name in draw.sample(list(POOLS), draw.choice((1, 2, 2, 3, 5)))] + [[0x20]]
        text = "".join(chr(draw.choice(draw.choice(pools))) for _ in range(length))
        return unicodedata.normalize("NFD", text) if draw.random() < 0.2 else text

    texts = [*NAMED, one(100_000), "가" * 100_000]
    while len(texts) < count:
        text = one(draw.randint(0, draw.choice((3, 8, 20, 60))))
        texts.append(text * draw.choice((1,) * 30 + (60,)))
    return texts[:count]


@functools.cache
def hard_vocab():
    """A vocabulary with the characters of NAMED and FEW, as heads and as tails, and some longer entries."""
    draw = random.Random(0)
    chars = {chr(code) for codes in FEW.values() for code in codes} | {c for text in NAMED[:-3] for c in text}
    for first, last in ((0x21, 0x250), (0x370, 0x460), (0x1100, 0x1200), (0x3131, 0x3164)):
        chars |= set(map(chr, range(first, last)))
    chars |= {c for char in chars for c in unicodedata.normalize("NFD", char) + char.lower()} | {"가", "각"}
    chars = sorted(char for char in chars if char > " " and not "\ud800" <= char < "\ue000" and char.strip())
    pairs = sorted({draw.choice(chars) + draw.choice(chars) for _ in range(1000)})
    heads = [*chars, *pairs, "한국", "한국어", "가가", "가가가가", *(char * 3 for char in chars[::5])]
    return list(dict.fromkeys([*SPECIAL, *heads, *(f"##{head}" for head in heads)]))


def reference(vocab, lowercase=False, clean_text=True, nfc=True, max_word_chars=100):
    """Hugging Face's tokenizer with the settings that tfkor's Tokenizer must equal."""
    ids = {entry: i for i, entry in enumerate(vocab)}
    tokenizer = Reference(WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=max_word_chars))
    bert = BertNormalizer(clean_text=clean_text, handle_chinese_chars=True, strip_accents=False, lowercase=lowercase)
    tokenizer.normalizer = Sequence([NFC(), bert] if nfc else [bert])
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def reference_ids(tokenizer, texts):
    """Its ids, after lone surrogates have become U+FFFD."""
    return [encoding.ids for encoding in tokenizer.encode_batch_fast([without_surrogates(text) for text in texts])]


def without_surrogates(text):
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def differences(texts, expected, found):
    """What differs, for an error message: at most three texts."""
    wrong = [i for i in range(len(texts)) if expected[i] != found[i]]
    return [(ascii(texts[i])[:200], expected[i][:20], found[i][:20]) for i in wrong[:3]] + [len(wrong)] * bool(wrong)


def data_files(folder):
    """The data files under a folder, as paths relative to it."""
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    return [name for name in names if "/" in name and not name.endswith(("LICENSE", ".md", ".hdf5"))]


def data_lines(path):
    """Yields the lines of a data file as they are, and of JSON also each string in it."""
    form = path.name.removesuffix(".gz").rpartition(".")[2]
    with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
        if form == "json":
            content = file.read().decode("utf-8")
            yield from _strings(json.loads(content))
            yield from content.split("\n")
            return
        for line in file:
            line = line.decode("utf-8").removesuffix("\n")
            yield line
            if form == "jsonl" and line:
                yield from _strings(json.loads(line))


def _strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)
