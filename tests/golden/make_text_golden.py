"""Writes tests/golden/text: texts, a vocabulary, and the ids that Hugging Face `tokenizers` gives for them.

    python tests/golden/make_text_golden.py

vocab.txt is the vocabulary; each line of cases.jsonl is {"text": ..., "cased": ids, "uncased": ids}.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "text"))

from text_parity import hard_vocab, random_texts, reference, reference_ids  # noqa: E402

from tfkor.data import load_intents176  # noqa: E402
from tfkor.files import new_file  # noqa: E402
from tfkor.text import train_wordpiece  # noqa: E402


def main():
    utterances = load_intents176("train").texts
    vocab = list(dict.fromkeys([*train_wordpiece(utterances, 3000), *hard_vocab()]))
    texts = [text for text in random_texts(400, seed=7) if len(text) < 50_000] + utterances[::60]
    texts = [text for text in texts if json.loads(json.dumps(text)) == text]  # JSON joins halves of a surrogate pair
    cased, uncased = (reference_ids(reference(vocab, lowercase), texts) for lowercase in (False, True))
    rows = []
    for text, *ids in zip(texts, cased, uncased, strict=True):
        as_is = not any("\ud800" <= char < "\ue000" or char in "\u2028\u2029\u0085" for char in text)
        case = dict(zip(("text", "cased", "uncased"), (text, *ids), strict=True))
        rows.append(json.dumps(case, ensure_ascii=not as_is, separators=(",", ":")))
    for name, lines in (("vocab.txt", vocab), ("cases.jsonl", rows)):
        with new_file(HERE / "text" / name) as path:
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
        print(f"{HERE / 'text' / name}: {len(lines)} lines")


if __name__ == "__main__":
    main()
