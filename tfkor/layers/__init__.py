"""Small Keras layers and functions that the architectures are made of."""

from tfkor.layers.activations import activation_function
from tfkor.layers.attention import SelfAttention, attention_bias, dot_product_attention
from tfkor.layers.blocks import TransformerBlock
from tfkor.layers.dropout import Dropout
from tfkor.layers.embeddings import Embeddings
from tfkor.layers.heads import DiscriminatorHead, MaskedLmHead, PairHead, gather_positions
from tfkor.layers.inputs import as_batch, check_ids, three_inputs

__all__ = [
    "DiscriminatorHead",
    "Dropout",
    "Embeddings",
    "MaskedLmHead",
    "PairHead",
    "SelfAttention",
    "TransformerBlock",
    "activation_function",
    "as_batch",
    "attention_bias",
    "check_ids",
    "dot_product_attention",
    "gather_positions",
    "three_inputs",
]
