"""The architectures by name. A new one is a line here, a file in this folder, and a record in interop/architectures."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfkor.models.backbone import Backbone, Config

# name in config.json and on the command line -> (module, encoder, config)
ARCHITECTURES = {
    "bert": ("tfkor.models.bert", "Bert", "BertConfig"),
    "albert": ("tfkor.models.albert", "Albert", "AlbertConfig"),
    "roberta": ("tfkor.models.roberta", "Roberta", "RobertaConfig"),
    "electra": ("tfkor.models.electra", "Electra", "ElectraConfig"),
    "deberta": ("tfkor.models.deberta", "Deberta", "DebertaConfig"),
}
NAMES = tuple(ARCHITECTURES)


def get_architecture(name: str, source: str = "name") -> tuple[type[Backbone], type[Config]]:
    """ "bert" -> (Bert, BertConfig); upper case is accepted, since older folders have "Bert".

    Raises:
      ValueError: tfkor has no such architecture; `source` is named in the message.
    """
    if not isinstance(name, str) or name.lower() not in ARCHITECTURES:
        raise ValueError(f"{source}: the architecture is {name!r}; expected one of {', '.join(NAMES)}")
    module, encoder, config = ARCHITECTURES[name.lower()]
    module = importlib.import_module(module)
    return getattr(module, encoder), getattr(module, config)


def architecture_of(encoder: Backbone) -> str:
    """The name of an encoder's architecture, "bert" for a Bert.

    Raises:
      ValueError: its class is not in ARCHITECTURES.
    """
    for name, (module, class_name, _) in ARCHITECTURES.items():
        if module in sys.modules and type(encoder) is getattr(sys.modules[module], class_name):
            return name
    raise ValueError(f"{type(encoder).__name__} is not an architecture of tfkor; expected one of {', '.join(NAMES)}")
