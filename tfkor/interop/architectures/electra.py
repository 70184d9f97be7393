"""ELECTRA as transformers publishes it: ElectraForPreTraining is a discriminator, ElectraForMaskedLM a generator."""

from tfkor.interop.architectures.record import BLOCKS, EMBEDDINGS, PROJECT, Architecture, dense_table, masked_lm_table
from tfkor.layers.heads import DiscriminatorHead, MaskedLmHead

RECORD = Architecture(
    name="electra",
    class_name="Electra",
    model_types=("electra",),
    prefix="electra.",
    tensors={**EMBEDDINGS, **PROJECT, **BLOCKS},
    heads={
        MaskedLmHead: masked_lm_table(
            "generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head.bias"
        ),
        DiscriminatorHead: {
            **dense_table("dense", "discriminator_predictions.dense"),
            **dense_table("prediction", "discriminator_predictions.dense_prediction"),
        },
    },
    tied={"generator_lm_head.weight": "electra.embeddings.word_embeddings.weight"},
    defaults={
        "electra": dict(
            vocab_size=30_522, embedding_size=128, hidden_size=256, num_attention_heads=4, intermediate_size=1024
        )
    },
    classifier={"head_dense": "classifier.dense", "head": "classifier.out_proj"},
)
