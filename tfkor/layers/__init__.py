"""Small Keras layers that the architectures are made of."""

from tfkor.layers.attention import SelfAttention
from tfkor.layers.dropout import Dropout
from tfkor.layers.embeddings import Embeddings
from tfkor.layers.encoder import Encoder
from tfkor.layers.heads import DiscriminatorHead, MaskedLmHead, PairHead, gather_positions
from tfkor.layers.inputs import as_batch, check_ids, outputs_like, three_inputs
from tfkor.layers.transformer import TransformerBlock, activation_function

__all__ = [
    "DiscriminatorHead",
    "Dropout",
    "Embeddings",
    "Encoder",
    "MaskedLmHead",
    "PairHead",
    "SelfAttention",
    "TransformerBlock",
    "activation_function",
    "as_batch",
    "check_ids",
    "gather_positions",
    "outputs_like",
    "three_inputs",
]
