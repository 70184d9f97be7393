"""Writes tfkor/text/characters.py by asking Hugging Face `tokenizers` about every code point.

Unicode versions differ between Python, ICU and RE2 (TensorFlow) and the Rust crates behind `tokenizers`. The ids of
a text must not, so both tokenizers of tfkor read this table and nothing else. Run it from the root of the repository:

    python tests/golden/make_character_table.py
"""

import os
import textwrap
import unicodedata
from pathlib import Path

import tokenizers
from tokenizers.normalizers import NFC, BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

CODE_POINTS = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
HANGUL = {*range(0x1100, 0x1113), *range(0xAC00, 0xD7A4)}
HANGUL_SECOND = {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}
FREQUENT = {*range(0x2000, 0x2C00), *range(0x3000, 0xA000), *range(0xFE00, 0xFE10), *range(0xFF00, 0xFFF0)}
FREQUENT |= {*range(0x1F000, 0x1FB00)}  # with the line before: symbols, jamo, Hanja, full-width forms, emoji
TARGET = Path(__file__).parents[2] / "tfkor" / "text" / "characters.py"

HEADER = '''"""What Hugging Face `tokenizers` {version} does with each Unicode character.

Written by tests/golden/make_character_table.py; don't edit. Code points are hexadecimal, ranges include both ends.
"""

MADE_FROM = "{version}"
'''


def bert(**options):
    """A BertNormalizer that does nothing but the options given."""
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return BertNormalizer(**{**off, **options}).normalize_str


def character_sets():
    """`removed`, `space`, `alone` (sets of code points) and `lower` (code point -> its lower case)."""
    clean, chinese, lowercase = bert(clean_text=True), bert(handle_chinese_chars=True), bert(lowercase=True)
    split = BertPreTokenizer().pre_tokenize_str
    removed, space, alone, lower = set(), set(), set(), {}
    for code in CODE_POINTS:
        char = chr(code)
        if clean(char) == "":
            removed.add(code)
        words = len(split(f"a{char}b"))
        if words == 2:
            space.add(code)
        elif words == 3 or chinese(char) != char:
            alone.add(code)
        if lowercase(char) != char:
            lower[code] = lowercase(char)
    longer = {code: text for code, text in lower.items() if len(text) != 1}
    assert longer == {0x130: "i\u0307"}, longer  # normalization.py spells this one out
    lower = {code: ord(text) for code, text in lower.items() if code not in longer}
    assert not {*lower, *lower.values()} & (removed | space | alone)
    return removed, space, alone, lower


def has_combining_class(code):
    """Whether the NFC of `tokenizers` moves this character past marks of class 1 (U+0334) or 240 (U+0345)."""
    char, nfc = chr(code), NFC().normalize_str
    return code == 0x334 or nfc(char + "\u0334")[0] == "\u0334" or (nfc("\u0345" + char)[-1] == "\u0345" != char)


def nfc_sets():
    """`active`: what the NFC of `tokenizers` may change or join to the character before; `newer`: ranges it ignores.

    `newer` holds every character that the NFC of this Python, or of a later Unicode, treats in another way, and some
    that no NFC touches, which keeps the number of ranges small.
    """
    nfc = NFC().normalize_str
    active, first, unknown = set(HANGUL_SECOND), set(HANGUL), set()
    for code in CODE_POINTS:
        char, parts = chr(code), unicodedata.decomposition(chr(code))
        if parts and not parts.startswith("<"):
            parts = [int(part, 16) for part in parts.split()]
            decomposed = "".join(map(chr, parts))
            if nfc(decomposed) != unicodedata.normalize("NFC", decomposed) or nfc(char) != nfc(decomposed):
                unknown.update((code, *parts))
            elif nfc(decomposed) == char:
                first.update((code, parts[0]))
                active.add(parts[1])
        elif unicodedata.category(char) == "Cn" or bool(unicodedata.combining(char)) != has_combining_class(code):
            unknown.add(code)
        if nfc(char) != char or has_combining_class(code):
            active.add(code)
    assert not unknown & active
    return active, cover(unknown, (active | first | FREQUENT) - unknown)


def cover(wanted, forbidden):
    """The fewest ranges that hold all of `wanted`, and none of `forbidden` or of the surrogates."""
    ranges, closed = [], True
    for code in range(0x110000):
        if code in forbidden or 0xD800 <= code < 0xE000:
            closed = True
        elif code in wanted:
            if closed:
                ranges.append([code, code])
            ranges[-1][1] = code
            closed = False
    return ranges


def runs(mapping):
    """[first, last, step, shift]: first, first + step, ... last each map to themselves plus shift."""
    found = []
    for code, target in sorted(mapping.items()):
        first, last, step, shift = found[-1] if found else (0, 0, 0, 0)
        if found and shift == target - code and code - last in ((1, 2) if first == last else (step,)):
            found[-1] = [first, code, code - last, shift]
        else:
            found.append([code, code, 1, target - code])
    return found


def constant(name, comment, words):
    lines = textwrap.wrap(" ".join(words), 112, break_on_hyphens=False)
    return f'\n# {comment}\n{name} = """\n' + "".join(f"    {line}\n" for line in lines) + '"""\n'


def hexes(ranges):
    return [f"{first:x}" if first == last else f"{first:x}-{last:x}" for first, last in ranges]


def main():
    removed, space, alone, lower = character_sets()
    active, newer = nfc_sets()

    def exact(codes):
        return hexes(cover(codes, set(CODE_POINTS) - codes))

    text = HEADER.format(version=tokenizers.__version__)
    text += constant("REMOVED", "cleaning removes these: control, format, private characters, U+FFFD", exact(removed))
    text += constant("SPACE", "ends a word", exact(space))
    text += constant("ALONE", "a word by itself: punctuation, and the unified ideographs of CJK", exact(alone))
    shifts = [":".join(f"{number:x}" for number in run) for run in runs(lower)]
    text += constant("LOWER", "first:last:step:shift; the lower case is the code point plus shift", shifts)
    text += constant("NFC_ACTIVE", "NFC may change these, or join them to the character before", exact(active))
    text += constant("NFC_NEWER", "the NFC of `tokenizers` doesn't know these, and works between them", hexes(newer))
    partial = TARGET.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, TARGET)
    print(
        f"{TARGET}: {len(removed)} removed, {len(space)} space, {len(alone)} alone, {len(lower)} lower, "
        f"{len(active)} NFC-active, {len(newer)} ranges of newer characters"
    )


if __name__ == "__main__":
    main()
