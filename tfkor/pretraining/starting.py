"""Pretraining that starts from a checkpoint: its tokenizer must fit, and its heads are taken over."""


def check_tokenizer(source: str, found, name: str, expected) -> str | None:
    """Compares the tokenizer of a checkpoint with the one whose ids are trained on.

    Args:
      source: the checkpoint, for messages. found: its Tokenizer, or None.
      name: what `expected` belongs to, for messages. expected: the Tokenizer whose ids are trained on.

    Returns:
      None, or a warning: the ids mean the same pieces, but text may be tokenized differently (lower case, NFC), or new
      pieces have replaced unused ones or were appended.

    Raises:
      ValueError: the ids mean other pieces.
    """
    if found is None or found.fingerprint == expected.fingerprint:
        return None
    both = (
        f"init_checkpoint={source} has the tokenizer {found.fingerprint[:16]}... of {found.vocab_size:,} pieces, "
        f"{name} {expected.fingerprint[:16]}... of {expected.vocab_size:,}"
    )
    pairs = list(zip(found.vocab, expected.vocab))
    other = [i for i, (a, b) in enumerate(pairs) if a != b and not a.startswith("[unused")]
    if other:
        a, b = pairs[other[0]]
        raise ValueError(
            f"{both}; {len(other):,} ids mean another piece, {other[0]} is {a!r} and {b!r}. Expected the same "
            "vocabulary: make the shards with the tokenizer of the checkpoint"
        )
    new = sum(a != b for a, b in pairs) + max(expected.vocab_size - found.vocab_size, 0)
    return f"{both}; {f'{new:,} pieces are new' if new else 'the pieces are the same'}, so this may be intended"


def take_heads(model, start: dict) -> list[str]:
    """Copies the heads of checkpoints into an objective; returns a line for each part with new random weights.


    Args:
      start: {name of an encoder of the model: tfkor.interop.Pretrained}.
    """
    lines = []
    for name, heads in model.heads.items():
        if name not in start:
            lines.append(f"the {name} starts from random weights: the checkpoint has none")
            continue
        for head in heads:
            theirs = start[name].heads.get(type(head))
            if theirs is None:
                lines.append(f"{head.name} starts from random weights: the checkpoint of the {name} has none")
            elif head.name != theirs.name:
                found = "has one for other pairs"
                lines.append(f"{head.name} starts from random weights: the checkpoint of the {name} {found}")
            else:
                for ours, value in zip(head.variables, theirs.variables, strict=True):
                    ours.assign(value)
    return lines
