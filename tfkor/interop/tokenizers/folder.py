"""The tokenizer in a folder of a published checkpoint, in and out: vocab.txt, sentencepiece models, tokenizer.json."""

from pathlib import Path

from tfkor.files import new_file, read_json, write_json
from tfkor.interop.tokenizers.fast import fast_tokenizer, special_tokens
from tfkor.interop.tokenizers.tokenizer_json import (
    added_tokens,
    named_in,
    read_unigram,
    read_wordpiece,
    refuse_added,
    special_of,
    with_added,
)
from tfkor.text import Tokenizer
from tfkor.text.vocabulary import OF_BERT, read_vocab

# sentencepiece models as they are called: spiece.model (ALBERT, KoBERT), XLM-R's, monologg/kobert's, DeBERTa's
SENTENCEPIECE = ("spiece.model", "sentencepiece.bpe.model", "tokenizer_78b3253a26.model", "spm.model")
XLM_ROBERTA = dict(pad="<pad>", unk="<unk>", cls="<s>", sep="</s>", mask="<mask>")
CONFIG = "tokenizer_config.json"
OWN = "tfkor_tokenizer"


def read_tokenizer(folder: str | Path, nfc: bool = False, lowercase: bool | None = None) -> Tokenizer:
    """Returns the tokenizer of a folder of Hugging Face `transformers`, or of google-research.

    It normalises as published; a tokenizer that tfkor wrote is read back unchanged. A literal [MASK] in a text
    is plain text, as in all tokenizers of tfkor.

    Args:
      nfc: NFC before the published normalisation, so that decomposed Hangul (file names of macOS) is read as composed.
      lowercase: whether case is folded; None: as tokenizer_config.json states.

    Raises:
      FileNotFoundError: no vocabulary that tfkor reads.
      ValueError: an option that tfkor does not have, stripping of accents for example, which decomposes Hangul.
    """
    folder = Path(folder)
    if (folder / OWN).is_dir():
        return Tokenizer.load(folder / OWN)
    config = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    fast = folder / "tokenizer.json"
    values = read_json(fast) if fast.is_file() else {}
    added = added_tokens(folder, config, values)
    for name in SENTENCEPIECE:
        if (folder / name).is_file():
            refuse_added(folder, added)
            return read_sentencepiece(folder / name, config, nfc)
    if (folder / "vocab.txt").is_file():
        entries = read_vocab(folder / "vocab.txt")
    elif fast.is_file():
        model = values["model"] if isinstance(values.get("model"), dict) else {}
        kind = model.get("type", "WordPiece")
        if kind == "Unigram":
            refuse_added(folder, added)
            return read_unigram(fast, values, config, nfc)
        if kind != "WordPiece":
            raise ValueError(
                f"{fast}: a {kind} model; expected WordPiece or Unigram, or a sentencepiece model beside it"
            )
        entries, config = read_wordpiece(fast, values, config)
    else:
        expected = ", ".join(("vocab.txt", "tokenizer.json", *SENTENCEPIECE))
        raise FileNotFoundError(f"{folder}: no vocabulary; expected one of {expected}")
    lowercase = wordpiece_case(config, folder / CONFIG) if lowercase is None else lowercase
    special = special_of(entries, named_in(entries, config), folder)
    nfc = nfc or config.get("nfc", False)
    return wordpiece(entries, added, folder, special_tokens=special, lowercase=lowercase, nfc=nfc)


def wordpiece(entries: list[str], added: list[tuple[int, str]], folder: Path, **options) -> Tokenizer:
    """The Tokenizer of a vocabulary, with the added tokens as its user symbols."""
    symbols = [content for _, content in added]
    tokenizer = Tokenizer.from_vocab(with_added(entries, added, folder), user_symbols=symbols, **options)
    if changed := [symbol for symbol in symbols if tokenizer.normalizer(symbol) != symbol]:
        raise ValueError(
            f"{folder}: the added token {changed[0]!r} is {tokenizer.normalizer(changed[0])!r} after normalisation, so "
            "that no text would have it; expected one that stays as it is"
        )
    return tokenizer


def wordpiece_case(config: dict, path: Path) -> bool:
    """Whether a tokenizer_config.json folds case; raises ValueError for what tfkor's WordPiece does not do."""
    lowercase = config.get("do_lower_case", True)  # the default of BertTokenizer, also where there is no file
    strips = config.get("strip_accents")
    if lowercase if strips is None else strips:
        found = {name: config.get(name, "nothing") for name in ("do_lower_case", "strip_accents")}
        raise ValueError(
            f"{path}: found {found}, which strips accents and so takes Hangul apart; expected do_lower_case or "
            "strip_accents to be false. If the file is wrong, or there is none, set lowercase to True or "
            "False"
        )
    if config.get("tokenize_chinese_chars", True) is not True:
        raise ValueError(f"{path}: tokenize_chinese_chars is false; expected true, as in all published Korean models")
    return lowercase


def read_sentencepiece(path: Path, config: dict, nfc: bool) -> Tokenizer:
    """The Tokenizer of a published sentencepiece model; XLM-R's is known by its file's name."""
    from sentencepiece import SentencePieceProcessor

    proto = path.read_bytes()
    try:
        processor = SentencePieceProcessor(model_proto=proto)
    except RuntimeError as error:
        raise ValueError(f"{path}: not a sentencepiece model ({error})") from error
    pieces = [processor.IdToPiece(i) for i in range(len(processor))]
    if path.name == "sentencepiece.bpe.model":  # fairseq's ids: its special tokens first, the model's without its own
        vocab = ["<s>", "<pad>", "</s>", "<unk>", *pieces[3:], "<mask>"]
        return Tokenizer.from_published(proto, vocab, XLM_ROBERTA, nfc=nfc, pair_separators=2)
    if path.name == "spm.model":
        return deberta_tokenizer(path, proto, pieces, config, nfc)
    vocab = read_vocab(path.with_name("vocab.txt")) if path.with_name("vocab.txt").is_file() else None
    special = special_of(vocab or pieces, {}, path)
    try:
        lowercase = bool(config.get("do_lower_case"))
        return Tokenizer.from_published(proto, vocab, special, cleaning="xlnet", nfc=nfc, lowercase=lowercase)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def deberta_tokenizer(path: Path, proto: bytes, pieces: list[str], config: dict, nfc: bool) -> Tokenizer:
    """The Tokenizer of DebertaV2Tokenizer: the model's ids and normalisation; [MASK] may follow the model's pieces."""
    for option in ("do_lower_case", "split_by_punct"):
        if config.get(option):
            raise ValueError(f"{path.with_name(CONFIG)}: {option} is true; expected false, as in all Korean models")
    mask = config.get("mask_token") or "[MASK]"
    mask = mask.get("content") if isinstance(mask, dict) else mask
    vocab = pieces if mask in pieces else [*pieces, mask]
    return Tokenizer.from_published(proto, vocab, special_of(vocab, config, path), nfc=nfc)


def write_tokenizer(
    folder: str | Path, tokenizer: Tokenizer, max_length: int = 512, segments: bool = True
) -> None:
    """Writes the files from which transformers makes a tokenizer with equal ids.

    A tokenizer that these files don't describe completely is also saved in tfkor's own form, in the folder OWN, from
    which `read_tokenizer` loads it. In `tokenizers`, as in transformers, a model
    that normalises by itself (XLM-R's) gives decomposed Hangul other ids.

    Args:
      max_length: int, the positions of the encoder.
      segments: whether the second text of a pair has segment id 1; an encoder with one segment has no row for it.

    Raises:
      ValueError: a tokenizer that transformers has no counterpart of: with morphemes, jamo, shortened repeats.
    """
    folder = Path(folder)
    fast = fast_tokenizer(tokenizer, segments)
    whole = False
    if tokenizer.type == "wordpiece":
        with new_file(folder / "vocab.txt") as path:
            path.write_bytes(tokenizer.vocab_file)
        whole = is_plain(tokenizer)
    if not whole:
        (folder / OWN).mkdir()
        tokenizer.save(folder / OWN)
    with new_file(folder / "tokenizer.json") as path:
        path.write_text(fast.to_str(pretty=True), encoding="utf-8")
    special = special_tokens(tokenizer)
    names = ["input_ids", "token_type_ids", "attention_mask"]
    write_json(
        folder / CONFIG,
        {
            "tokenizer_class": "PreTrainedTokenizerFast",  # takes tokenizer.json as it is, with its NFC
            "do_lower_case": tokenizer.normalizer.lowercase,
            "strip_accents": False,
            "tokenize_chinese_chars": True,
            "model_max_length": max_length,
            "model_input_names": names if segments else [name for name in names if name != "token_type_ids"],
            **special,
        },
    )
    write_json(folder / "special_tokens_map.json", special)


def is_plain(tokenizer: Tokenizer) -> bool:
    """Whether vocab.txt and do_lower_case describe a WordPiece tokenizer completely, as BERT's."""
    if tokenizer.special_tokens != OF_BERT:
        return False
    plain = Tokenizer.from_vocab(tokenizer.vocab, lowercase=tokenizer.normalizer.lowercase, nfc=False)
    return plain.fingerprint == tokenizer.fingerprint
