"""Pretraining that starts from a checkpoint: its tokenizer must fit, and its heads come along."""

def check_tokenizer(source, found, name, expected):
    """Compares the tokenizer of a checkpoint with the one whose ids will be trained on.

    Returns:
      None, or a line of warning: the ids mean the same, but text may become other ones (lower case, NFC), or pieces
      were put into slots that the checkpoint left unused, or behind its last one.

    Raises:
      ValueError: the ids mean something else.
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
    return f"{both}; {f'{new:,} pieces are new' if new else 'the pieces are the same'}, so this may be meant"


def take_heads(model, start):
    """Gives the heads of checkpoints to an objective; returns a line for each part that begins anew.

    Args:
      start: {name of an encoder of the model: tfkor.interop.Pretrained}.
    """
    lines = []
    for name, heads in model.heads.items():
        if name not in start:
            lines.append(f"the {name} begins anew: there is none")
            continue
        for head in heads:
            theirs = start[name].heads.get(type(head))
            if theirs is None:
                lines.append(f"{head.name} begins anew: the checkpoint of the {name} has none")
            elif head.name != theirs.name:
                lines.append(f"{head.name} begins anew: the checkpoint of the {name} has one for other pairs")
            else:
                for ours, value in zip(head.variables, theirs.variables, strict=True):
                    ours.assign(value)
    return lines
