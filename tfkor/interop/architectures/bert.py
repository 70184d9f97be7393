"""BERT as transformers publishes it: BertModel, BertForPreTraining and the others."""

from tfkor.interop.architectures.record import BLOCKS, EMBEDDINGS, POOLER, Architecture, dense_table, masked_lm_table
from tfkor.layers.heads import MaskedLmHead, PairHead

RECORD = Architecture(
    name="bert",
    class_name="Bert",
    model_types=("bert",),
    prefix="bert.",
    tensors={**EMBEDDINGS, **BLOCKS, **POOLER},
    heads={
        MaskedLmHead: masked_lm_table(
            "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias"
        ),
        PairHead: dense_table("dense", "cls.seq_relationship"),
    },
    tied={
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    defaults={"bert": dict(vocab_size=30_522)},
    pair_head="nsp_head",
)
