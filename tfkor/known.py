"""Published encoders for Korean: their sizes, their sources, and the settings that make their tokenizers exact.

A value in `unverified` is from memory or from a checkpoint of the same family, and was found in no source. Nothing here
replaces a checkpoint's own files, which `load_pretrained` reads. There are no checksums, since none of these files was
available.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Known:
    """A published checkpoint.

        known = zoo.known_checkpoints()["kykim/bert-kor-base"]
        encoder, tokenizer = zoo.load(known.name, **known.options)

    Attributes:
      name: on the Hugging Face hub.
      architecture: Bert, DistilBert, Albert, Roberta, Electra or Deberta.
      hidden_size, num_hidden_layers, num_attention_heads, embedding_size: the sizes that differ.
      vocab_size, max_length: number of entries in the vocabulary, and of tokens in the longest row.
      tokenizer: "WordPiece", or "sentencepiece" with the model's own normalisation.
      lowercase: whether case is folded.
      normalisation: what its tokenizer does besides cleaning, and splitting at punctuation and Chinese characters.
      pad_id: the id of [PAD].
      generator: whether it is the generator of an ELECTRA.
      licence: of the weights; "none stated" if the source states none.
      source: repository@commit.
      unverified: the attributes that no source states.
      note: what else a user must know.
      readable: what `load_pretrained` reads: "yes" for weights and tokenizer, "weights" or "no".
      revision: the commit that these values describe, if the checkpoint has changed under its name.
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
    pad_id: int = 0
    generator: bool = False
    unverified: tuple[str, ...] = ()
    note: str = ""
    readable: str = "yes"
    revision: str | None = None

    @property
    def intermediate_size(self) -> int:
        """The inner size of the feed-forward layers."""
        return 4 * self.hidden_size

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of `zoo.load` and `load_pretrained` for exactly these weights and this tokenizer.

        They state what is known about the tokenizer, whatever its tokenizer_config.json says or lacks. nfc=True instead
        of False composes decomposed Hangul first, which no published tokenizer does.
        """
        options = {} if self.revision is None else {"revision": self.revision}
        if self.readable == "yes":
            options["nfc"] = False
            if self.tokenizer == "WordPiece" and "lowercase" not in self.unverified:
                options["lowercase"] = self.lowercase
        return options

    @property
    def config(self) -> dict[str, Any]:
        """The sizes with the keys of a config.json; `interop.configs.config_from_huggingface` makes a config of it."""
        names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        first = 2 if self.architecture == "Roberta" else 0  # rows of the position table that no token uses
        config = {"model_type": self.architecture.lower(), **{name: getattr(self, name) for name in names}}
        config |= {"hidden_act": "gelu", "type_vocab_size": 2, "layer_norm_eps": 1e-12}
        config |= {"max_position_embeddings": self.max_length + first, "pad_token_id": self.pad_id}
        config |= OF_ALL.get(self.architecture, {})
        return config if self.embedding_size is None else {**config, "embedding_size": self.embedding_size}


# {architecture: what the config.json of all its checkpoints says, where it differs from BERT's}
OF_ALL = {
    "Albert": dict(hidden_act="gelu_new"),
    "Roberta": dict(layer_norm_eps=1e-5, type_vocab_size=1),
    "Deberta": dict(
        model_type="deberta-v2", layer_norm_eps=1e-7, type_vocab_size=0, relative_attention=True, position_buckets=256,
        max_relative_positions=-1, pos_att_type="p2c|c2p", share_att_key=True, norm_rel_ebd="layer_norm",
        position_biased_input=False,
    ),
}  # fmt: skip
KLUE = "KLUE-benchmark/KLUE@3efd987"
KOELECTRA = "monologg/KoELECTRA@024fbdd"
KOBERT = "SKTBrain/KoBERT@fcd729f, monologg/KoBERT-Transformers@a089ba2"
XLM_R = "facebookresearch/fairseq@6034aea"
LMKOR = "kiyoungkim1/LMkor@a0212cd"
BASE, LARGE = (768, 12, 12), (1024, 24, 16)
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "embedding_size", "intermediate_size", "max_length")
KLUE_UNVERIFIED = ("intermediate_size", "lowercase", "licence")
KLUE_IDS = "[CLS] 0, [PAD] 1, [SEP] 2, [UNK] 3, [MASK] 4; one [SEP] between the texts of a pair"
KR_ELECTRA_UNVERIFIED = ("intermediate_size", "lowercase", "max_length", "pad_id")
XLM_R_PAIR = "two </s> between the texts of a pair"
LUCID = "source: the repository on the hub, which has tokenizer.json alone; read if tfkor has all that it says"
LUCID_UNVERIFIED = ("normalisation", "readable")
KOBERT_CLEANING = "that of XLNetTokenizer, and the model's own"


def koelectra() -> Iterator[Known]:
    """The twelve KoELECTRA checkpoints; those of version 1 have no version in their names."""
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
                    unverified=() if version == "" else ("pad_id",),
                    note="TF 1 checkpoints with both networks: branch tfv1 of the discriminator's repository",
                )


CHECKPOINTS = {
    known.name: known
    for known in (
        Known("klue/bert-base", "Bert", *BASE, 32_000, "CC BY-SA 4.0", KLUE, unverified=("lowercase", "licence")),
        Known(
            "klue/roberta-small", "Roberta", 768, 6, 12, 32_000, "CC BY-SA 4.0", KLUE,
            pad_id=1, unverified=(*KLUE_UNVERIFIED, "max_length", "type_vocab_size", "layer_norm_eps"), note=KLUE_IDS,
        ),
        Known(
            "klue/roberta-base", "Roberta", *BASE, 32_000, "CC BY-SA 4.0", KLUE,
            pad_id=1, unverified=KLUE_UNVERIFIED, note=KLUE_IDS,
        ),
        Known(
            "klue/roberta-large", "Roberta", *LARGE, 32_000, "CC BY-SA 4.0", KLUE,
            pad_id=1, unverified=(*KLUE_UNVERIFIED, "max_length", "type_vocab_size", "layer_norm_eps"), note=KLUE_IDS,
        ),
        *koelectra(),
        Known(
            "skt/kobert-base-v1", "Bert", *BASE, 8002, "Apache-2.0", KOBERT, tokenizer="sentencepiece",
            pad_id=1, normalisation=KOBERT_CLEANING, note="[UNK] 0, [PAD] 1",
        ),
        Known(
            "monologg/kobert", "Bert", *BASE, 8002, "Apache-2.0", KOBERT, tokenizer="sentencepiece",
            pad_id=1, normalisation=KOBERT_CLEANING,
            note="[UNK] 0, [PAD] 1; ids are those of vocab.txt, not of the sentencepiece model",
        ),
        Known(
            "monologg/kobert-lm", "Bert", *BASE, 8002, "Apache-2.0", KOBERT, tokenizer="sentencepiece",
            pad_id=1, normalisation=KOBERT_CLEANING, note="as monologg/kobert, with its MLM head",
        ),
        Known(
            "monologg/distilkobert", "DistilBert", 768, 3, 12, 8002, "Apache-2.0", "monologg/DistilKoBERT@5a2b750",
            tokenizer="sentencepiece", pad_id=1, normalisation=KOBERT_CLEANING, unverified=("layer_norm_eps",),
            readable="no", note="tfkor has no DistilBERT; no segments, no pooler",
        ),
        Known("beomi/kcbert-base", "Bert", *BASE, 30_000, "MIT", "Beomi/KcBERT@cce8920", max_length=300),
        Known("beomi/kcbert-large", "Bert", *LARGE, 30_000, "MIT", "Beomi/KcBERT@cce8920", max_length=300),
        Known(
            "beomi/KcELECTRA-base", "Electra", *BASE, 50_135, "MIT", "Beomi/KcELECTRA@3c0168e", embedding_size=768,
            unverified=(*SIZES, "pad_id"), revision="a6f029f808b2e93197f397eebd4dbfe327337fd8",
            note="weights and vocabulary have changed under this name since that revision of 2021",
        ),
        Known(
            "beomi/KcELECTRA-base-v2022", "Electra", *BASE, 54_343, "MIT", "Beomi/KcELECTRA@3c0168e",
            embedding_size=768, unverified=(*SIZES, "pad_id", "vocab_size"),
        ),
        Known("kykim/bert-kor-base", "Bert", *BASE, 42_000, "Apache-2.0", LMKOR, lowercase=True),
        Known(
            "kykim/albert-kor-base", "Albert", *BASE, 42_000, "Apache-2.0", LMKOR, lowercase=True, embedding_size=128,
            unverified=(*SIZES[2:], "hidden_act", "pad_id"),
            note="trained on rows of 256; WordPiece, not ALBERT's sentencepiece",
        ),
        Known(
            "kykim/electra-kor-base", "Electra", *BASE, 42_000, "Apache-2.0", LMKOR, lowercase=True,
            embedding_size=768, unverified=("embedding_size", "intermediate_size", "pad_id"),
        ),
        Known("snunlp/KR-BERT-char16424", "Bert", *BASE, 16_424, "none stated", "snunlp/KR-BERT@7088b16"),
        Known("snunlp/KR-Medium", "Bert", *BASE, 20_000, "none stated", "snunlp/KR-BERT-MEDIUM@8f5e43b"),
        Known(
            "snunlp/KR-ELECTRA-discriminator", "Electra", *BASE, 30_000, "none stated", "snunlp/KR-ELECTRA@0b75330",
            embedding_size=768, unverified=KR_ELECTRA_UNVERIFIED, note="trained on rows of 128",
        ),
        Known(
            "snunlp/KR-ELECTRA-generator", "Electra", 256, 12, 4, 30_000, "none stated", "snunlp/KR-ELECTRA@0b75330",
            embedding_size=768, generator=True, unverified=KR_ELECTRA_UNVERIFIED, note="trained on rows of 128",
        ),
        Known(
            "kakaobank/kf-deberta-base", "Deberta", *BASE, 130_000, "MIT", "kakaobank/kf-deberta-base@363b171",
            unverified=("lowercase", "normalisation"), note="with its MLM head; source: the repository on the hub",
        ),
        Known(
            "team-lucid/deberta-v3-base-korean", "Deberta", *BASE, 64_100, "Apache-2.0",
            "team-lucid/deberta-v3-base-korean@2983bd1", tokenizer="sentencepiece", unverified=LUCID_UNVERIFIED,
            note=LUCID,
        ),
        Known(
            "team-lucid/deberta-v3-small-korean", "Deberta", 768, 6, 12, 64_100, "Apache-2.0",
            "team-lucid/deberta-v3-small-korean@02d389a", tokenizer="sentencepiece",
            unverified=("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", *LUCID_UNVERIFIED),
            note=LUCID,
        ),
        Known(
            "team-lucid/deberta-v3-xsmall-korean", "Deberta", 384, 12, 6, 64_100, "Apache-2.0",
            "team-lucid/deberta-v3-xsmall-korean@18d32d8", tokenizer="sentencepiece",
            unverified=("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", *LUCID_UNVERIFIED),
            note=LUCID,
        ),
        Known(
            "google-bert/bert-base-multilingual-cased", "Bert", *BASE, 119_547, "Apache-2.0",
            "google-research/bert@eedf571", note="also as google-research's multi_cased_L-12_H-768_A-12.zip",
        ),
        Known(
            "google-bert/bert-base-multilingual-uncased", "Bert", *BASE, 105_879, "Apache-2.0",
            "google-research/bert@eedf571", lowercase=True, normalisation="NFD without accents",
            readable="weights", note="its NFD decomposes Hangul: refused; its authors recommend the cased one",
        ),
        Known(
            "FacebookAI/xlm-roberta-base", "Roberta", *BASE, 250_002, "MIT", XLM_R, tokenizer="sentencepiece",
            pad_id=1, normalisation="the model's own", unverified=("licence",), note=XLM_R_PAIR,
        ),
        Known(
            "FacebookAI/xlm-roberta-large", "Roberta", *LARGE, 250_002, "MIT", XLM_R, tokenizer="sentencepiece",
            pad_id=1, normalisation="the model's own", unverified=("licence",), note=XLM_R_PAIR,
        ),
    )
}  # fmt: skip


def known_checkpoints(architecture: str | None = None) -> dict[str, Known]:
    """{name: Known} of the published Korean checkpoints, or only of those of an architecture, such as "electra".

    Raises:
      ValueError: no checkpoint has this architecture.
    """
    if architecture is None:
        return dict(CHECKPOINTS)
    found = {name: known for name, known in CHECKPOINTS.items() if known.architecture.lower() == architecture.lower()}
    if not found:
        kinds = sorted({known.architecture for known in CHECKPOINTS.values()})
        raise ValueError(f"architecture is {architecture!r}; expected one of {', '.join(kinds)}")
    return found


def did_you_mean(name: str) -> str:
    """The end of a message about `name`: "; did you mean klue/bert-base?", or "" if no known name is close to it."""
    if name in CHECKPOINTS:
        return ""
    scores = sorted(((closeness(name, known), known) for known in CHECKPOINTS), key=lambda pair: -pair[0])
    close = [known for score, known in scores if score >= max(0.8, scores[0][0] - 0.05)][:3]
    return f"; did you mean {' or '.join(close)}?" if close else ""


def closeness(name: str, known: str) -> float:
    """Similarity, 0 to 1, of the whole names or of the parts after the owner, ignoring case."""
    name, known = name.lower(), known.lower()
    pairs = (name, known), (name.rpartition("/")[2], known.rpartition("/")[2])
    begins = 0.9 if len(name) > 3 and pairs[1][1].startswith(name) else 0.0
    return max(begins, *(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs))
