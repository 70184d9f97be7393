"""Metrics of a tokenizer on texts, and tables of several tokenizers side by side."""

import statistics
import time
from collections.abc import Iterable

import numpy as np

from tfkor.text.normalization import SYLLABLE, SYLLABLES
from tfkor.text.tokenizer import Tokenizer

ROUNDS = 3  # of timing; no more are started after
PATIENCE = 20  # seconds


def tokenizer_report(tokenizer: Tokenizer, texts: Iterable[str]) -> dict:
    """How `tokenizer` does on `texts`, a list of str.

    Returns:
      dict:
        type, vocab_size, alphabet, morphemes: what it is.
        texts, eojeols, tokens: how many there are; an eojeol is a word between white space.
        unk_share: the fraction of tokens that are [UNK]; eojeols_with_unk: the fraction of eojeols that have one.
        tokens_per_eojeol, characters_per_token: white space isn't counted as a character.
        whole_eojeols: the fraction of eojeols that are one token.
        syllables: of the 11,172 Hangul syllables, how many have no [UNK], at the start of a word and inside.
        vocab_used: the fraction of the vocabulary that occurs.
        characters_per_second: on one core, the median of up to three rounds.

    Raises:
      ValueError: no token in the texts, or a tokenizer without an unk token.
    """
    tokenizer.template.required("unk", "the report")
    texts = list(texts)
    ids, first = tokenizer.ids_and_eojeols(texts)
    tokens, eojeols = len(ids.values), int(first.sum())
    if not tokens:
        raise ValueError(f"{len(texts)} texts without a word; expected some to report on")
    seconds = []
    while len(seconds) < ROUNDS and sum(seconds) < PATIENCE:
        start = time.perf_counter()
        tokenizer.ids(texts)
        seconds.append(time.perf_counter() - start)
    unknown = ids.values == tokenizer.unk_id
    eojeol = np.cumsum(first) - 1  # of each token
    characters = sum(len(text) - sum(map(str.isspace, text)) for text in texts)
    return {
        "type": tokenizer.type,
        "vocab_size": tokenizer.vocab_size,
        "alphabet": tokenizer.normalizer.alphabet,
        "morphemes": tokenizer.normalizer.morphemes or "none",
        "texts": len(texts),
        "eojeols": eojeols,
        "tokens": tokens,
        "unk_share": round(int(unknown.sum()) / tokens, 6),
        "eojeols_with_unk": round(len(np.unique(eojeol[unknown])) / eojeols, 6),
        "tokens_per_eojeol": round(tokens / eojeols, 3),
        "characters_per_token": round(characters / tokens, 3),
        "whole_eojeols": round(int((np.bincount(eojeol) == 1).sum()) / eojeols, 4),
        "syllables": covered_syllables(tokenizer),
        "vocab_used": round(len(np.unique(ids.values)) / tokenizer.vocab_size, 4),
        "characters_per_second": round(sum(map(len, texts)) / statistics.median(seconds)),
    }


def covered_syllables(tokenizer: Tokenizer) -> int:
    """How many of the 11,172 Hangul syllables have no [UNK], at the start of a word and inside."""
    ids = tokenizer.ids([chr(code) * 2 for code in range(SYLLABLE, SYLLABLE + SYLLABLES)])
    unknown = np.append(0, np.cumsum(ids.values == tokenizer.unk_id))[ids.row_splits]
    return int((np.diff(unknown) == 0).sum())


def markdown(reports: dict[str, dict]) -> str:
    """A table in Markdown: a row for each metric, a column for each of `reports`, a dict name -> report."""
    names = list(reports)
    metrics = list(next(iter(reports.values())))
    rows = [["", *names], ["---", *["--:"] * len(names)]]
    rows += [[metric.replace("_", " "), *(_shown(reports[name][metric]) for name in names)] for metric in metrics]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _shown(value):
    return f"{value:,}" if isinstance(value, int) else str(value)
