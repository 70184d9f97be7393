"""Packages whose public names are imported at first use: `import tfkor` and `--help` of a program are instant."""

import importlib
import sys
from collections.abc import Callable


def at_first_use(package: str, modules: dict[str, str], together: bool = False) -> tuple[Callable, Callable]:
    """Returns the `__getattr__` and `__dir__` of a package (PEP 562).

        __getattr__, __dir__ = at_first_use(__name__, {"Bert": "tfkor.models.bert"})

    Args:
      package: its name.
      modules: {public name: the module that defines it, or that it is itself}.
      together: whether the first name imports all modules, since they register their classes with Keras.
    """

    def get(name):
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        for other in modules.values() if together else ():
            importlib.import_module(other)
        module = importlib.import_module(modules[name])
        return module if modules[name] == f"{package}.{name}" else getattr(module, name)

    def names():
        return sorted({*vars(sys.modules[package]), *modules})

    return get, names
