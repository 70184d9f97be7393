"""One file for each architecture."""

from tfkor.lazy import at_first_use

_MODULES = {
    "Albert": "tfkor.models.albert",
    "AlbertConfig": "tfkor.models.albert",
    "Bert": "tfkor.models.bert",
    "BertConfig": "tfkor.models.bert",
    "Deberta": "tfkor.models.deberta",
    "DebertaConfig": "tfkor.models.deberta",
    "Electra": "tfkor.models.electra",
    "ElectraConfig": "tfkor.models.electra",
    "Roberta": "tfkor.models.roberta",
    "RobertaConfig": "tfkor.models.roberta",
}

__all__ = list(_MODULES)
__getattr__, __dir__ = at_first_use(__name__, _MODULES, together=True)
