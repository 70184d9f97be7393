"""The entries of a vocabulary: special tokens and their roles, reading, checking."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tfkor.text.files import utf8_lines

ROLES = ("pad", "unk", "cls", "sep", "mask")
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # BERT's
OF_BERT = dict(zip(ROLES, SPECIAL_TOKENS))


def checked_special_tokens(special_tokens: Mapping[str, str] | None) -> dict[str, str]:
    """{role: token}, those of BERT for None; a role whose token is None is left out.

    Raises:
      TypeError: not a mapping.
      ValueError: an unknown role, or a token that is not a str.
    """
    if special_tokens is None:
        return dict(OF_BERT)
    if not isinstance(special_tokens, Mapping):
        found = type(special_tokens).__name__
        raise TypeError(f"special_tokens is a {found}; expected a dict from roles ({', '.join(ROLES)}) to tokens")
    if unknown := [role for role in special_tokens if role not in ROLES]:
        raise ValueError(f"special_tokens has the role {unknown[0]!r}; expected some of {', '.join(ROLES)}")
    found = {role: token for role, token in special_tokens.items() if token is not None}
    for role, token in found.items():
        if not isinstance(token, str) or not token or token != token.strip():
            raise ValueError(f"special_tokens[{role!r}] is {token!r}; expected a str without blanks around it")
    return found


def reserved(special_tokens: Iterable[str], unused_slots: int, user_symbols: Iterable[str]) -> list[str]:
    """The entries that are given, not learned: special tokens, [unused0] ..., user symbols.

    Raises:
      ValueError: an entry twice.
    """
    entries = [*special_tokens, *(f"[unused{i}]" for i in range(unused_slots)), *user_symbols]
    if repeated := [entry for i, entry in enumerate(entries) if entry in entries[:i]]:
        raise ValueError(f"{repeated[0]!r} twice among special tokens, unused slots and user symbols; expected it once")
    return entries


def read_vocab(path: str | Path) -> list[str]:
    """The entries of a vocab.txt."""
    lines = [line.rstrip(" \t\r") for line in utf8_lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    return checked_vocab(lines, path)


def checked_vocab(vocab: list[str], source: object) -> list[str]:
    """The vocabulary itself, if it is valid; `source` names it in errors."""
    if not vocab:
        raise ValueError(f"{source}: empty; expected an entry a line, special tokens among them")
    seen = {}
    for line, entry in enumerate(vocab, 1):
        if not isinstance(entry, str) or not entry or entry != entry.rstrip(" ") or min(entry) < " ":
            raise ValueError(f"{source}: line {line} is {entry!r}; expected text, no control character, no last blank")
        if entry in seen:
            raise ValueError(f"{source}: line {line} repeats {entry!r} of line {seen[entry]}; expected each entry once")
        seen[entry] = line
    return vocab


def check_special(vocab: Sequence[str], special_tokens: Iterable[str], source: object) -> None:
    """Raises ValueError where a special token is missing."""
    special_tokens = tuple(special_tokens)
    if missing := [token for token in special_tokens if token not in vocab]:
        raise ValueError(
            f"{source}: no {' '.join(missing)} among its {len(vocab)} entries; expected {' '.join(special_tokens)}"
            + (": name its own with special_tokens" if special_tokens == SPECIAL_TOKENS else "")
        )
