"""ALBERT as transformers publishes it: AlbertModel, AlbertForPreTraining and the others."""

from tfkor.interop.architectures.record import EMBEDDINGS, Architecture, block_table, dense_table, masked_lm_table
from tfkor.layers.heads import MaskedLmHead, PairHead

LAYER = "encoder.albert_layer_groups.{i}.albert_layers.0."

RECORD = Architecture(
    name="albert",
    class_name="Albert",
    model_types=("albert",),
    prefix="albert.",
    tensors={
        **EMBEDDINGS,
        **dense_table("embeddings_project", "encoder.embedding_hidden_mapping_in"),
        **block_table(
            "groups.{i}",
            {
                "attention.query": LAYER + "attention.query",
                "attention.key_value": (LAYER + "attention.key", LAYER + "attention.value"),
                "attention.output_dense": LAYER + "attention.dense",
                "attention_norm": LAYER + "attention.LayerNorm",
                "intermediate_dense": LAYER + "ffn",
                "output_dense": LAYER + "ffn_output",
                "output_norm": LAYER + "full_layer_layer_norm",
            },
        ),
        **dense_table("pooler", "pooler"),
    },
    heads={
        MaskedLmHead: masked_lm_table("predictions.dense", "predictions.LayerNorm", "predictions.bias"),
        PairHead: dense_table("dense", "sop_classifier.classifier"),
    },
    tied={
        "predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
        "predictions.decoder.bias": "predictions.bias",
    },
    defaults={
        "albert": dict(
            vocab_size=30_000, hidden_size=4096, num_attention_heads=64, intermediate_size=16_384, hidden_act="gelu_new"
        )
    },
    pair_head="sop_head",
)
