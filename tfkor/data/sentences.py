"""Korean paragraphs to sentences: by rules, or by Kiwi."""

import importlib.util
import re
from collections.abc import Callable

METHODS = ("none", "rule", "kiwi")

_CLOSERS = "\"'”’」』》〉)\\]）"
_PATTERN = re.compile(
    # Text between quotes or brackets is never split; a quote or bracket that never closes is an ordinary character.
    r'(?P<quoted>"[^"]{1,300}"|“[^”]{1,300}”|‘[^’]{1,300}’|「[^」]{1,300}」|『[^』]{1,300}』'
    r"|\([^()]{1,300}\)|\[[^\[\]]{1,300}\])(?=\s)"
    rf"|(?P<end>[.!?…。！？]+[{_CLOSERS}]*)(?=\s)"
    r'|"[^"]{1,300}"|“[^”]{1,300}”|‘[^’]{1,300}’|「[^」]{1,300}」|『[^』]{1,300}』'
    r"|\([^()]{1,300}\)|\[[^\[\]]{1,300}\]"
)
_MARKS = re.compile(r"[.!?…。！？][" + _CLOSERS + r"]*\s")
_GOES_ON = re.compile(
    r"\s+(?:이?라(?:고|며|는|면서|던|지)|하(?:고|며|는|면서|였|던)|(?:고|며|는|란)(?=\s)"
    r"|말(?:했|하)|외쳤|물었|대답|덧붙|밝혔|전했|강조했|설명했)"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[A-Za-z]|[A-Za-z](?:\.[A-Za-z])+|Mr|Mrs|Ms|Dr|Prof|St|vs|etc|No|Vol|Fig|Eq|Inc|Ltd|Co|Corp|pp?|cf|al"
    r"|[ivxIVX]+|[①-⑳㉠-㉿])$"
)
_COUNTING = "가나다라마바사아자차카타파하"


def split_by_rule(text: str) -> list[str]:
    """The sentences of one paragraph, list of str without white space around them; [] for a blank one.

    A sentence ends after . ! ? … (and quotes or brackets that close there) if white space follows, except
    - inside quotes or brackets of up to 300 characters: 그는 "늦었다. 가자." 하고 일어섰다.
    - after a quote that does not end the sentence: "가자." 라고, "가자." 하며
    - after the . of a number, 2024. 5. 3. or 1. 목적, of a single letter, of a syllable that numbers an item at the
      start of a sentence, 가. 나이, and of an abbreviation, Dr. or e.g.

    Endings without punctuation (영화 봤다 재밌음) are not found; `sentence_splitter("kiwi")` finds some of them.
    """
    if not _MARKS.search(text):
        return [text.strip()] if text.strip() else []
    sentences, start = [], 0
    for match in _PATTERN.finditer(text):
        if match["end"]:
            if match["end"] == "." and _is_part_of(text, start, match.start()):
                continue
        elif not match["quoted"] or match[0][-2] not in ".!?…。！？":
            continue
        if match[0][-1] in "\"'”’」』" and _GOES_ON.match(text, match.end()):
            continue
        if sentence := text[start : match.end()].strip():
            sentences.append(sentence)
        start = match.end()
    if rest := text[start:].strip():
        sentences.append(rest)
    return sentences


def _is_part_of(text, start, position):
    """Whether the full stop at `position` belongs to a number, a syllable that numbers an item, or an abbreviation."""
    before = text[max(start, position - 12) : position]
    counts = len(before.strip()) == 1 and before.strip() in _COUNTING
    return counts or before[-1:].isdigit() or _ABBREVIATION.search(before) is not None


def sentence_splitter(method: str) -> Callable[[list[str]], list[list[str]]]:
    """A function from a list of paragraphs to a list of lists of sentences.

    Args:
      method: "none" (each line is a sentence), "rule" (`split_by_rule`) or "kiwi" (Kiwi's split_into_sents, of
        `pip install tfkor[morph]`).

    Raises:
      ValueError: another method, or "kiwi" where kiwipiepy is not installed.
    """
    if method == "none":
        return lambda texts: [[text] for text in texts]
    if method == "rule":
        return lambda texts: list(map(split_by_rule, texts))
    if method != "kiwi":
        raise ValueError(f"split_sentences={method!r}; expected one of {', '.join(METHODS)}")
    if importlib.util.find_spec("kiwipiepy") is None:
        raise ValueError('split_sentences="kiwi" needs kiwipiepy: pip install "tfkor[morph]", or use "rule"')
    from kiwipiepy import Kiwi

    kiwi = Kiwi(num_workers=1)  # the caller runs one process for each core
    return lambda texts: [[found.text for found in sentences] for sentences in kiwi.split_into_sents(texts)]
