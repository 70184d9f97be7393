"""Pretraining recipes: a module each, its docstring says command, hardware, time and result; SETTINGS are fields of
PretrainingConfig."""

import pkgutil


def names():
    """The names that run_pretraining --recipe takes."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
