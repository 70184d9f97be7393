"""Small Keras layers that the architectures are made of."""

from tfkor.layers.attention import SelfAttention
from tfkor.layers.embeddings import Embeddings
from tfkor.layers.inputs import check_ids, outputs_like, three_inputs
from tfkor.layers.transformer import TransformerBlock, activation_function

__all__ = [
    "Embeddings",
    "SelfAttention",
    "TransformerBlock",
    "activation_function",
    "check_ids",
    "outputs_like",
    "three_inputs",
]
