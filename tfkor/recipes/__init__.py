"""Pretraining recipes. Each is a module: SETTINGS are fields of PretrainingConfig, and the docstring has the command,
hardware, time and result."""

import pkgutil


def names() -> list[str]:
    """The names that run_pretraining --recipe takes."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
