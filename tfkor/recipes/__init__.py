"""Pretraining recipes: a module each, its docstring says command, hardware, time and result; FLAGS are the flags."""

import pkgutil


def names():
    """The names that run_pretraining --recipe takes."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
