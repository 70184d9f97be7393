"""tfkor's tokenizers as those of Hugging Face's library `tokenizers`: what a tokenizer.json holds."""

from typing import TYPE_CHECKING

from tfkor.text import Normalizer, Tokenizer
from tfkor.text.engines.sentencepiece import KINDS, MARK
from tfkor.text.published_normalizer import PublishedNormalizer

if TYPE_CHECKING:
    import tokenizers


def fast_tokenizer(tokenizer: Tokenizer, segments: bool = True) -> "tokenizers.Tokenizer":
    """Returns a tokenizers.Tokenizer with the ids of `tokenizer`; `segments`: whether there are two segment ids.

    Raises:
      ValueError: a tokenizer that has no counterpart: with morphemes, jamo, shortened repeats, KoBERT's rule of commas;
        or WordPiece without an unk token.
    """
    check(tokenizer)
    fast = fast_wordpiece(tokenizer) if tokenizer.type == "wordpiece" else fast_sentencepiece(tokenizer)
    special = special_tokens(tokenizer)
    fast.add_special_tokens(list(dict.fromkeys(special.values())))
    if tokenizer.cls_id is not None and tokenizer.sep_id is not None:
        fast.post_processor = template(tokenizer, special, segments)
    return fast


def special_tokens(tokenizer: Tokenizer) -> dict[str, str]:
    """{"pad_token": "[PAD]", ...} of the roles that have a token."""
    return {f"{role}_token": token for role, token in tokenizer.special_tokens.items()}


def check(tokenizer: Tokenizer) -> None:
    """ValueError for a tokenizer that has no counterpart."""
    normalizer = tokenizer.normalizer
    plain = dict(morphemes=None, alphabet="syllable", max_jamo_repeats=None, full_width=False)
    for name, value in plain.items():
        if getattr(normalizer, name) != value:
            raise ValueError(f"{name} is {getattr(normalizer, name)!r}; transformers has no such tokenizer")
    if tokenizer.type != "wordpiece" and tokenizer.user_symbols:
        raise ValueError(
            f"user_symbols is {tokenizer.user_symbols[:3]}, which a sentencepiece model finds inside of words; "
            "transformers has no such tokenizer"
        )
    if getattr(normalizer, "cleaning", None):
        digits = [piece for piece in tokenizer.vocab if len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()]
        if digits:
            raise ValueError(
                f"the piece {digits[0]!r} ends with a comma, which the cleaning 'xlnet' splits off a digit after the "
                "model has found it; transformers has no such tokenizer that is fast: keep the published files"
            )


def template(
    tokenizer: Tokenizer, special: dict[str, str], segments: bool
) -> "tokenizers.processors.TemplateProcessing":
    """[CLS] A [SEP], [CLS] A [SEP] B [SEP], or as many [SEP] between A and B as the tokenizer has."""
    from tokenizers import processors

    cls, sep = special["cls_token"], special["sep_token"]
    one = tokenizer.pair_separators == 1
    between, second = (f"{sep}:0", int(segments)) if one else (f"{sep}:0 {sep}:0", 0)
    return processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {between} $B:{second} {sep}:{second}",
        special_tokens=[(cls, tokenizer.cls_id), (sep, tokenizer.sep_id)],
    )


def fast_wordpiece(tokenizer: Tokenizer) -> "tokenizers.Tokenizer":
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

    vocab = {entry: i for i, entry in enumerate(tokenizer.vocab)}
    unknown = tokenizer.vocab[tokenizer.template.required("unk", "WordPiece of `tokenizers`")]
    fast = Tokenizer(models.WordPiece(vocab, unk_token=unknown, max_input_chars_per_word=tokenizer.max_word_chars))
    found = steps(tokenizer.normalizer, chinese=True)
    fast.normalizer = normalizers.Sequence(found) if len(found) > 1 else found[0]
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast.decoder = decoders.WordPiece(prefix="##")
    fast.add_tokens([AddedToken(symbol, normalized=True) for symbol in tokenizer.user_symbols])
    return fast


def fast_sentencepiece(tokenizer: Tokenizer) -> "tokenizers.Tokenizer":
    from sentencepiece import sentencepiece_model_pb2
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(tokenizer.vocab_file)
    scores = {piece.piece: piece.score for piece in model.pieces if piece.type == piece.NORMAL}
    if KINDS[model.trainer_spec.model_type] == "unigram":
        pieces = [(piece, scores.get(piece, 0.0)) for piece in tokenizer.vocab]
        fast = Tokenizer(models.Unigram(pieces, tokenizer.unk_id, False))
    else:
        vocab = {piece: i for i, piece in enumerate(tokenizer.vocab)}
        unknown = tokenizer.vocab[tokenizer.unk_id]
        fast = Tokenizer(models.BPE(vocab, merges(scores), unk_token=unknown, fuse_unk=True))
    charsmap = model.normalizer_spec.precompiled_charsmap
    normalizer = tokenizer.normalizer
    published = isinstance(normalizer, PublishedNormalizer)
    before = [] if published and not normalizer.nfc else steps(normalizer, chinese=False)
    if published and normalizer.cleaning:
        before += as_xlnet(normalizer.lowercase, bool(charsmap))
    if charsmap:
        before.append(normalizers.Precompiled(charsmap))
    blanks = [normalizers.Replace(Regex(f"[\\s{MARK}]+"), " "), normalizers.Strip()]
    fast.normalizer = normalizers.Sequence([*before, *blanks])
    fast.pre_tokenizer = pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme="always")
    fast.decoder = decoders.Metaspace(replacement=MARK, prepend_scheme="always")
    return fast


def steps(normalizer: Normalizer | PublishedNormalizer, chinese: bool) -> list:
    """The normalizers of `tokenizers` that do what a Normalizer does; chinese: blanks around Chinese characters."""
    from tokenizers import normalizers

    options = dict(clean_text=normalizer.clean_text, lowercase=normalizer.lowercase)
    bert = normalizers.BertNormalizer(**options, strip_accents=False, handle_chinese_chars=chinese)
    return [normalizers.NFC(), bert] if normalizer.nfc else [bert]


def as_xlnet(lowercase: bool, compose: bool) -> list:
    """The normalizers that do what PublishedNormalizer's cleaning "xlnet" does; compose: whether the model does so."""
    from tokenizers import normalizers

    quotes = [normalizers.Replace(pair, '"') for pair in ("``", "''")]
    case = [normalizers.Lowercase()] if lowercase else []
    return [*quotes, normalizers.NFKD(), normalizers.StripAccents(), *case, *[normalizers.NFC()] * compose]


def merges(scores: dict[str, float]) -> list[tuple[str, str]]:
    """{piece: score} of a BPE model of sentencepiece -> its pairs of pieces, in the order of merging."""
    found = []
    for piece, score in scores.items():
        pairs = ((piece[:cut], piece[cut:]) for cut in range(1, len(piece)))
        found += [
            (-score, len(first), first, second) for first, second in pairs if first in scores and second in scores
        ]
    return [(first, second) for *_, first, second in sorted(found)]
