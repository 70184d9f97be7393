"""Flags made from the fields of a config, old names of flags, and error messages that name flags for fields."""

import contextlib
import dataclasses
import re

from absl import flags

from tfkor.scripts import say
from tfkor.training.config import kind_of

FLAGS = flags.FLAGS
flags.disclaim_key_flags()  # so that --help shows them as those of the program
SWITCH = {"auto": None, "true": True, "false": False}  # values of a flag for a bool that may be None


def define_config_flags(config_class: type, choices: dict | None = None):
    """Defines a flag for each field of a config; `choices`, {name: values}, restricts further ones."""
    for field in dataclasses.fields(config_class):
        (kind, optional), limits, name = kind_of(config_class, field.name), field.metadata, field.name
        text, values = limits["help"], (choices or {}).get(name, limits["choices"])
        bounds = dict(lower_bound=limits["lower"], upper_bound=limits["upper"])
        if kind is bool and optional:
            flags.DEFINE_enum(name, "auto", list(SWITCH), text)
        elif kind is bool:
            flags.DEFINE_bool(name, field.default, text)
        elif kind is tuple:
            flags.DEFINE_list(name, None if field.default is None else list(field.default), text)
        elif values:
            flags.DEFINE_enum(name, field.default, values, text)
        else:
            define = {int: flags.DEFINE_integer, float: flags.DEFINE_float, str: flags.DEFINE_string}[kind]
            define(name, field.default, text, **({} if kind is str else bounds))


def config_of_flags(config_class: type, defaults: dict | None = None):
    """The config with the values of the flags; `defaults`, {field: value}, count where a flag is not given."""
    values = {}
    for field in dataclasses.fields(config_class):
        value = FLAGS[field.name].value
        values[field.name] = SWITCH[value] if kind_of(config_class, field.name) == (bool, True) else value
    for name, value in (defaults or {}).items():
        if not FLAGS[name].present:
            values[name] = value
    return config_class(**values)


@contextlib.contextmanager
def messages_with_flags(config_class: type):
    """Inside, a ValueError that names a field of the config (`length is 2`) names its flag (`--length is 2`)."""
    names = "|".join(field.name for field in dataclasses.fields(config_class))
    pattern = re.compile(rf"(?<![\w./-])({names})(?= is |: |=)")
    try:
        yield
    except ValueError as error:
        text = pattern.sub(r"--\1", str(error))
        if text == str(error):
            raise
        raise ValueError(text) from error


def define_old_names(renamed: dict[str, str]):
    """Defines {old name: new name} as aliases of flags, so that commands for older versions still work."""
    for old, new in renamed.items():
        flags.DEFINE_alias(old, new)


def note_old_names(renamed: dict[str, str]):
    """Prints a note for each old name that was used."""
    for old, new in renamed.items():
        if FLAGS[old].present:
            say(f"note: --{old} is now --{new}")
