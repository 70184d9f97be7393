"""Programs with flags of their own: in one process, flags of the same names can be defined once only."""

import contextlib
import importlib

import pytest
from absl import flags

KINDS = ("string", "integer", "float", "bool", "enum", "list")
DEFINERS = [f"DEFINE_{kind}" for kind in KINDS]
DEFINERS += ["register_validator", "register_multi_flags_validator", "mark_flags_as_mutual_exclusive"]


@contextlib.contextmanager
def own_flags():
    """Yields FlagValues that take what is defined inside."""
    own = flags.FlagValues()
    with pytest.MonkeyPatch.context() as patch:
        for name in DEFINERS:
            define = getattr(flags, name)
            patch.setattr(flags, name, lambda *a, d=define, **k: d(*a, **k | {"flag_values": own}))
        yield own


def run(name, **values):
    """The results of a program that fine-tunes, with these flags."""
    program = importlib.import_module(f"tfkor.scripts.{name}")
    with own_flags() as own, pytest.MonkeyPatch.context() as patch:
        patch.setattr(flags, "FLAGS", own)
        for module in (program, program.fine_tuning, program.fine_tuning.runs):
            patch.setattr(module, "FLAGS", own)
        program.define_flags()
        own([name, *(f"--{flag}={value}" for flag, value in values.items())])
        return program.job()
