"""Published encoders that know Korean: what they are, and where that is said.

A value in `unverified` is from memory or from a neighbour of the same family, and stands in no source that was read.
Nothing here replaces a checkpoint's own files: `load_pretrained` reads those. No checksum is given, as no file of these
was at hand.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """A published checkpoint.

    Attributes:
      name: on the Hugging Face hub, or the archive of google-research.
      architecture: Bert, Albert, Roberta or Electra; "generator" says which network of an ELECTRA it is.
      hidden_size, num_hidden_layers, num_attention_heads, embedding_size: the sizes that differ.
      vocab_size, max_length: entries of the vocabulary, tokens of a row.
      tokenizer: "WordPiece", or "sentencepiece" with the model's own normalisation.
      lowercase: whether case is folded.
      normalisation: what its tokenizer does, beside cleaning and splitting at punctuation and Chinese characters.
      licence: of the weights, "none stated" where there is none.
      source: repository@commit.
      unverified: the attributes that no source says.
      note: what else a user must know.
      readable: whether `load_pretrained` reads weights and tokenizer; "weights" where the tokenizer is not.
    """

    name: str
    architecture: str
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    vocab_size: int
    licence: str
    source: str
    max_length: int = 512
    embedding_size: int | None = None
    tokenizer: str = "WordPiece"
    lowercase: bool = False
    normalisation: str = "none"
    generator: bool = False
    unverified: tuple = ()
    note: str = ""
    readable: str = "yes"


KLUE = "KLUE-benchmark/KLUE@3efd987"
KOELECTRA = "monologg/KoELECTRA@024fbdd"
KOBERT = "SKTBrain/KoBERT@fcd729f, monologg/KoBERT-Transformers@a089ba2"
LMKOR = "kiyoungkim1/LMkor@a0212cd"
BASE, LARGE = (768, 12, 12), (1024, 24, 16)


def koelectra():
    """All twelve; those of version 1 have no version in their names."""
    for version, vocab_size in (("", 32_200), ("v2-", 32_200), ("v3-", 35_000)):
        for size, (hidden, embedding) in (("base", (768, 768)), ("small", (256, 128))):
            for network in ("discriminator", "generator"):
                generator = network == "generator"
                width = 256 if generator else hidden
                yield Known(
                    f"monologg/koelectra-{size}-{version}{network}",
                    "Electra",
                    width,
                    12,
                    width // 64,
                    vocab_size,
                    "Apache-2.0",
                    KOELECTRA,
                    embedding_size=embedding,
                    generator=generator,
                    note="TF 1 checkpoints with both networks: branch tfv1 of the discriminator's repository",
                )


CHECKPOINTS = {
    known.name: known
    for known in (
        Known("klue/bert-base", "Bert", *BASE, 32_000, "CC BY-SA 4.0", KLUE, unverified=("lowercase", "licence")),
        Known(
            "klue/roberta-small", "Roberta", 768, 6, 12, 32_000, "CC BY-SA 4.0", KLUE,
            unverified=("max_length", "lowercase", "licence"), note="[CLS] 0, [PAD] 1, [SEP] 2, [UNK] 3, [MASK] 4",
        ),
        Known(
            "klue/roberta-base", "Roberta", *BASE, 32_000, "CC BY-SA 4.0", KLUE,
            unverified=("lowercase", "licence"), note="[CLS] 0, [PAD] 1, [SEP] 2, [UNK] 3, [MASK] 4",
        ),
        Known(
            "klue/roberta-large", "Roberta", *LARGE, 32_000, "CC BY-SA 4.0", KLUE,
            unverified=("max_length", "lowercase", "licence"), note="[CLS] 0, [PAD] 1, [SEP] 2, [UNK] 3, [MASK] 4",
        ),
        *koelectra(),
        Known(
            "skt/kobert-base-v1", "Bert", *BASE, 8002, "Apache-2.0", KOBERT, tokenizer="sentencepiece",
            normalisation="that of XLNetTokenizer, and the model's own", note="[UNK] 0, [PAD] 1",
        ),
        Known(
            "monologg/kobert", "Bert", *BASE, 8002, "Apache-2.0", KOBERT, tokenizer="sentencepiece",
            normalisation="that of XLNetTokenizer, and the model's own",
            note="[UNK] 0, [PAD] 1; ids are those of vocab.txt, not of the sentencepiece model",
        ),
        Known(
            "monologg/distilkobert", "DistilBert", 768, 3, 12, 8002, "Apache-2.0", "monologg/DistilKoBERT@5a2b750",
            tokenizer="sentencepiece", normalisation="that of XLNetTokenizer, and the model's own",
            readable="no", note="tfkor has no DistilBERT",
        ),
        Known("beomi/kcbert-base", "Bert", *BASE, 30_000, "MIT", "Beomi/KcBERT@cce8920", max_length=300),
        Known("beomi/kcbert-large", "Bert", *LARGE, 30_000, "MIT", "Beomi/KcBERT@cce8920", max_length=300),
        Known(
            "beomi/KcELECTRA-base", "Electra", *BASE, 50_135, "MIT", "Beomi/KcELECTRA@3c0168e", embedding_size=768,
            unverified=("hidden_size", "num_hidden_layers", "num_attention_heads", "embedding_size", "max_length"),
            note="weights and vocabulary have changed under this name: give a revision; a6f029f is that of 2021",
        ),
        Known(
            "beomi/KcELECTRA-base-v2022", "Electra", *BASE, 54_343, "MIT", "Beomi/KcELECTRA@3c0168e",
            embedding_size=768,
            unverified=(
                "hidden_size", "num_hidden_layers", "num_attention_heads", "embedding_size", "max_length", "vocab_size",
            ),
        ),
        Known("kykim/bert-kor-base", "Bert", *BASE, 42_000, "Apache-2.0", LMKOR, lowercase=True),
        Known(
            "kykim/albert-kor-base", "Albert", *BASE, 42_000, "Apache-2.0", LMKOR, lowercase=True, embedding_size=128,
            unverified=("num_attention_heads", "embedding_size", "max_length"),
            note="trained on rows of 256; WordPiece, not ALBERT's sentencepiece",
        ),
        Known(
            "kykim/electra-kor-base", "Electra", *BASE, 42_000, "Apache-2.0", LMKOR, lowercase=True,
            embedding_size=768, unverified=("embedding_size",),
        ),
        Known("snunlp/KR-BERT-char16424", "Bert", *BASE, 16_424, "none stated", "snunlp/KR-BERT@7088b16"),
        Known("snunlp/KR-Medium", "Bert", *BASE, 20_000, "none stated", "snunlp/KR-BERT-MEDIUM@8f5e43b"),
        Known(
            "snunlp/KR-ELECTRA-discriminator", "Electra", *BASE, 30_000, "none stated", "snunlp/KR-ELECTRA@0b75330",
            embedding_size=768, unverified=("lowercase", "max_length"), note="trained on rows of 128",
        ),
        Known(
            "snunlp/KR-ELECTRA-generator", "Electra", 256, 12, 4, 30_000, "none stated", "snunlp/KR-ELECTRA@0b75330",
            embedding_size=768, generator=True, unverified=("lowercase", "max_length"), note="trained on rows of 128",
        ),
        Known(
            "google-bert/bert-base-multilingual-cased", "Bert", *BASE, 119_547, "Apache-2.0",
            "google-research/bert@eedf571", note="also as google-research's multi_cased_L-12_H-768_A-12.zip",
        ),
        Known(
            "google-bert/bert-base-multilingual-uncased", "Bert", *BASE, 105_879, "Apache-2.0",
            "google-research/bert@eedf571", lowercase=True, normalisation="NFD without accents",
            readable="weights", note="its NFD takes Hangul apart; the authors recommend the cased one",
        ),
        Known(
            "FacebookAI/xlm-roberta-base", "Roberta", *BASE, 250_002, "MIT", "huggingface/transformers",
            tokenizer="sentencepiece", normalisation="the model's own", unverified=("licence",),
        ),
        Known(
            "FacebookAI/xlm-roberta-large", "Roberta", *LARGE, 250_002, "MIT", "huggingface/transformers",
            tokenizer="sentencepiece", normalisation="the model's own", unverified=("licence",),
        ),
    )
}  # fmt: skip


def table():
    """Returns the checkpoints as a Markdown table; a ? marks what no source says."""
    heads = "name", "architecture", "H, L, A", "E", "vocabulary", "tokens", "tokenizer", "case", "normalisation"
    heads += "licence", "reads", "source", "remark"
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for known in CHECKPOINTS.values():

        def told(field, value=None, known=known):
            value = getattr(known, field) if value is None else value
            return f"{value}{'?' if field in known.unverified else ''}"

        sizes = ", ".join(map(told, ("hidden_size", "num_hidden_layers", "num_attention_heads")))
        cells = (
            known.name,
            known.architecture + (" generator" if known.generator else ""),
            sizes,
            told("embedding_size", known.embedding_size or "= H"),
            told("vocab_size", f"{known.vocab_size:,}"),
            told("max_length"),
            known.tokenizer,
            told("lowercase", "lower" if known.lowercase else "cased"),
            known.normalisation,
            told("licence"),
            known.readable,
            known.source,
            known.note,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
