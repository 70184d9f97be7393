"""tokenizer.json of Hugging Face's library `tokenizers`, read without it: WordPiece and Unigram, added tokens."""

import base64
import binascii
from pathlib import Path

from tfkor.files import read_json
from tfkor.text import Tokenizer
from tfkor.text.vocabulary import ROLES

WHITE_SPACE = {"Regex": r"\s{2,}|[\n\r\t]"}
POSITION_OPTIONS = ("single_word", "lstrip", "rstrip")  # options of an added token that tfkor's user symbols don't have


def read_wordpiece(path: Path, values: dict, config: dict) -> tuple[list[str], dict]:
    """The entries of a WordPiece model, and the config with the options of its normaliser.

    Raises:
      ValueError: ids that are missing or double, or a normaliser that tfkor's WordPiece does not have.
    """
    found = {step["type"]: step for step in steps_of(values.get("normalizer"), path)}
    if unknown := sorted(set(found) - {"BertNormalizer", "NFC"}):
        raise ValueError(f"{path}: the normalizer {unknown[0]}; expected BertNormalizer, or NFC before it")
    if bert := found.get("BertNormalizer"):
        config = {
            **config,
            "do_lower_case": bert.get("lowercase", True),
            "strip_accents": bert.get("strip_accents"),
            "tokenize_chinese_chars": bert.get("handle_chinese_chars", True),
        }
    ids = values["model"].get("vocab")
    if not isinstance(ids, dict) or sorted(ids.values()) != list(range(len(ids))):
        raise ValueError(f"{path}: ids of the vocabulary are missing or double; expected 0 to their number less 1")
    return sorted(ids, key=ids.get), {**config, "nfc": "NFC" in found}


def read_unigram(path: Path, values: dict, config: dict, nfc: bool) -> Tokenizer:
    """The Tokenizer of a Unigram model, as transformers writes those of XLM-R, ALBERT and KoBERT.

    Raises:
      ValueError: no special token for a role, or a normaliser that tfkor does not have.
    """
    pieces, unknown = values["model"].get("vocab"), values["model"].get("unk_id")
    if not isinstance(pieces, list) or not isinstance(unknown, int) or not 0 <= unknown < len(pieces):
        raise ValueError(f"{path}: found no list of pieces with an unk_id; expected a Unigram model")
    if values["model"].get("byte_fallback"):
        raise ValueError(f"{path}: byte_fallback is true; expected false, as in all published Korean encoders")
    vocab = [piece for piece, _ in pieces]
    vocab += [content for _, content in added_here(values, len(vocab))]
    found = {step["type"]: step for step in steps_of(values.get("normalizer"), path)}
    known = {"NFC", "NFKD", "StripAccents", "Lowercase", "Precompiled", "Replace", "Strip"}
    if other := sorted(set(found) - known):
        raise ValueError(f"{path}: the normalizer {other[0]}; expected some of {', '.join(sorted(known))}")
    if "Precompiled" not in found and found.get("Replace", {}).get("pattern") == WHITE_SPACE:
        raise ValueError(
            f"{path}: the normalizer Replace of {WHITE_SPACE['Regex']!r} without a Precompiled one, as transformers 5 "
            "writes for DeBERTa: tfkor has no such rule of white space; expected spm.model beside it"
        )
    special = special_of(vocab, config, path)
    options = dict(
        cleaning="xlnet" if "NFKD" in found else None,
        lowercase="Lowercase" in found,
        nfc=nfc or "NFC" in found,
        pair_separators=2 if separators(values.get("post_processor") or {}) > 2 else 1,
    )
    try:
        charsmap = base64.b64decode(found.get("Precompiled", {}).get("precompiled_charsmap") or "", validate=True)
        return Tokenizer.from_published(unigram_model(pieces, unknown, special, charsmap), vocab, special, **options)
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"{path}: {error}") from error


def steps_of(normalizer: dict | None, path: Path) -> list[dict]:
    """The normalisers of a tokenizer.json in their order, a Sequence as its parts."""
    if normalizer is None:
        return []
    if not isinstance(normalizer, dict) or not isinstance(normalizer.get("type"), str):
        raise ValueError(f"{path}: normalizer is {str(normalizer)[:60]}; expected an object with a type")
    if normalizer["type"] == "Sequence":
        return [step for part in normalizer.get("normalizers") or [] for step in steps_of(part, path)]
    return [normalizer]


def special_of(vocab: list[str], config: dict, path: Path) -> dict[str, str]:
    """{"pad": "<pad>", ...} as a tokenizer_config.json names them, else by the usual names."""
    special = {}
    for role in ROLES:
        value = token_of(config, role)
        usual = [f"[{role.upper()}]", f"<{role}>", *{"cls": ["<s>"], "sep": ["</s>"]}.get(role, [])]
        wanted = [value] if value else usual
        special[role] = next((name for name in wanted if name in vocab), None)
        if special[role] is None:
            raise ValueError(f"{path}: no {' or '.join(wanted)} among its {len(vocab)} pieces; expected one of them")
    return special


def token_of(config: dict, role: str) -> str | None:
    """The token that a tokenizer_config.json names for a role, None for none."""
    value = config.get(f"{role}_token")
    return value.get("content") if isinstance(value, dict) else value


def named_in(vocab: list[str], config: dict) -> dict[str, str]:
    """The special tokens of a tokenizer_config.json, without those that the vocabulary does not hold."""
    found = {f"{role}_token": token_of(config, role) for role in ROLES}
    return {name: token for name, token in found.items() if token in vocab}


def separators(post_processor: dict) -> int:
    """How many separators a pair of texts has, the last one among them."""
    if post_processor.get("type") == "RobertaProcessing":
        return 3
    names = [part["SpecialToken"]["id"] for part in post_processor.get("pair") or [] if "SpecialToken" in part]
    return len(names) - 1  # all but the first one


def unigram_model(
    pieces: list[tuple[str, float]], unknown: int, special: dict[str, str], charsmap: bytes
) -> bytes:
    """bytes: the sentencepiece model of (piece, score) pairs."""
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    control = {special[role] for role in ROLES if role != "unk"} | {"<s>", "</s>"}
    for i, (piece, score) in enumerate(pieces):
        entry = model.pieces.add(piece=piece, score=score)
        entry.type = entry.UNKNOWN if i == unknown else entry.CONTROL if piece in control else entry.NORMAL
    model.trainer_spec.model_type = model.trainer_spec.UNIGRAM
    model.trainer_spec.unk_piece, model.trainer_spec.vocab_size = pieces[unknown][0], len(pieces)
    model.normalizer_spec.precompiled_charsmap = charsmap
    return model.SerializeToString(deterministic=True)


def added_tokens(folder: Path, config: dict, values: dict) -> list[tuple[int, str]]:
    """[(id, content)] of the tokens that were added to the vocabulary of a folder, in the order of their ids.

    Args:
      config, values: what tokenizer_config.json and tokenizer.json hold, {} where there is none.

    Raises:
      ValueError: a token that matches otherwise than tfkor's user symbols: whole words only, or with blanks around it.
    """
    path = folder / "added_tokens.json"
    if values:
        path = folder / "tokenizer.json"
        found = {token.get("id"): token for token in values.get("added_tokens") or []}
    elif config.get("added_tokens_decoder"):
        path = folder / "tokenizer_config.json"
        found = {int(i): token for i, token in config["added_tokens_decoder"].items()}
    elif path.is_file():
        found = {i: {"content": content} for content, i in read_json(path).items()}
    else:
        return []
    roles = {f"[{role.upper()}]" for role in ROLES} | {token_of(config, role) for role in ROLES}
    tokens = {i: token for i, token in sorted(found.items()) if token["content"] not in roles}
    for token in tokens.values():
        if options := [name for name in POSITION_OPTIONS if token.get(name)]:
            raise ValueError(f"{path}: the added token {token['content']!r} has {options[0]}; expected one without")
    return [(i, token["content"]) for i, token in tokens.items()]


def refuse_added(folder: Path, added: list[tuple[int, str]]) -> None:
    """ValueError where tokens were added to a sentencepiece model, which only finds its own pieces."""
    usual = {f"<{name}>" for name in ("s", "/s", *ROLES)}
    if found := [content for _, content in added if content not in usual]:
        raise ValueError(
            f"{folder}: the added token {found[0]!r}, which tfkor's sentencepiece tokenizers can't have; expected "
            "special tokens alone"
        )


def added_here(values: dict, size: int) -> list[tuple[int, str]]:
    """[(id, content)] of the added tokens of a tokenizer.json that come after the model's `size` pieces."""
    found = sorted((token["id"], token["content"]) for token in values.get("added_tokens") or [])
    return [pair for pair in found if pair[0] >= size]


def with_added(entries: list[str], added: list[tuple[int, str]], source: Path) -> list[str]:
    """The entries, followed by the added tokens; raises ValueError where an added token has another entry's id."""
    entries = list(entries)
    for i, content in added:
        if i == len(entries):
            entries.append(content)
        if not 0 <= i < len(entries) or entries[i] != content:
            raise ValueError(
                f"{source}: the added token {content!r} has the id {i}; expected the next one, {len(entries)}, or that "
                "of the same entry"
            )
    return entries
