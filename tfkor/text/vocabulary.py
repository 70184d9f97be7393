"""The entries of a vocabulary: special tokens, reading, checking."""

from tfkor.text.files import utf8_lines

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def reserved(special_tokens, unused_slots, user_symbols):
    """The entries that no training learns: special tokens, [unused0] ..., user symbols.

    Raises:
      ValueError: an entry twice.
    """
    entries = [*special_tokens, *(f"[unused{i}]" for i in range(unused_slots)), *user_symbols]
    if repeated := [entry for i, entry in enumerate(entries) if entry in entries[:i]]:
        raise ValueError(f"{repeated[0]!r} twice among special tokens, unused slots and user symbols; expected it once")
    return entries


def read_vocab(path):
    """The entries of a vocab.txt."""
    lines = [line.rstrip(" \t\r") for line in utf8_lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    return checked_vocab(lines, path)


def checked_vocab(vocab, source):
    """The vocabulary itself, if it is one; `source` names it in errors."""
    if not vocab:
        raise ValueError(f"{source}: empty; expected an entry a line, {' '.join(SPECIAL_TOKENS)} among them")
    seen = {}
    for line, entry in enumerate(vocab, 1):
        if not isinstance(entry, str) or not entry or entry != entry.rstrip(" ") or min(entry) < " ":
            raise ValueError(f"{source}: line {line} is {entry!r}; expected text, no control character, no last blank")
        if entry in seen:
            raise ValueError(f"{source}: line {line} repeats {entry!r} of line {seen[entry]}; expected each entry once")
        seen[entry] = line
    check_special(vocab, source)
    return vocab


def check_special(vocab, source):
    """Raises ValueError where a special token is missing."""
    if missing := [token for token in SPECIAL_TOKENS if token not in vocab]:
        raise ValueError(
            f"{source}: no {' '.join(missing)} among its {len(vocab)} entries; expected {' '.join(SPECIAL_TOKENS)}"
        )
