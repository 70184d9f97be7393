"""Writes the folders albert, bert ...: what Hugging Face's models compute with the recipe's weights.

pip install -e ".[parity]" && python tests/golden/make_model_golden.py [the beginning of a name ...]
"""

import sys
from pathlib import Path

import torch
import transformers

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "parity"))

import encoder_parity  # noqa: E402
import parity  # noqa: E402
import pretraining_parity  # noqa: E402

from tfkor import AlbertConfig, BertConfig, DebertaConfig, ElectraConfig, RobertaConfig  # noqa: E402

SMALL = dict(vocab_size=24, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24)
FACTORISED = dict(SMALL, hidden_size=20, embedding_size=16, max_position_embeddings=12)
ALBERT = AlbertConfig(**FACTORISED, num_hidden_groups=2)
ELECTRA = ElectraConfig(**FACTORISED)
ROBERTA = RobertaConfig(**SMALL, max_position_embeddings=14)
DEBERTA = DebertaConfig(**SMALL, max_position_embeddings=12, position_buckets=4)
ENCODERS = {
    "bert/gelu": BertConfig(
        vocab_size=48,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=16,
    ),
    "bert/gelu_new": BertConfig(
        vocab_size=30,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=40,
        hidden_act="gelu_new",
        max_position_embeddings=12,
        type_vocab_size=3,
        layer_norm_eps=1e-6,
    ),
    "albert/encoder": ALBERT,
    "deberta/v3": DEBERTA,
    "deberta/v2": DebertaConfig(
        **SMALL,
        max_position_embeddings=12,
        type_vocab_size=2,
        position_buckets=-1,
        max_relative_positions=5,
        share_att_key=False,
        norm_rel_ebd="none",
        position_biased_input=True,
    ),
    "electra/encoder": ELECTRA,
    "roberta/encoder": ROBERTA,
}
PRETRAINING = {
    "bert/BertForPreTraining": BertConfig(**SMALL, max_position_embeddings=12),
    "albert/AlbertForPreTraining": ALBERT,
    "deberta/DebertaV2ForMaskedLM": DEBERTA,
    "electra/ElectraForMaskedLM": ELECTRA,
    "electra/ElectraForPreTraining": ELECTRA,
    "roberta/RobertaForMaskedLM": ROBERTA,
}


def main():
    torch.set_num_threads(1)
    for name, config in {**ENCODERS, **PRETRAINING}.items():
        if sys.argv[1:] and not name.startswith(tuple(sys.argv[1:])):
            continue
        path = HERE / f"{name}.npz"
        path.parent.mkdir(exist_ok=True)
        length = 16 if name == "bert/gelu" else 12
        inputs = parity.recipe_inputs(config, length)
        if name in ENCODERS:
            weights = encoder_parity.encoder_weights(path.parent.name, config)
            arrays = encoder_parity.run_huggingface(path.parent.name, config, weights, inputs)
        else:
            arrays = pretraining_parity.reference(path.stem, config, inputs)
        versions = {"torch": torch.__version__, "transformers": transformers.__version__}
        parity.save_golden(path, config, inputs, arrays, **versions)
        print(f"{path.relative_to(HERE.parent.parent)}: {path.stat().st_size:,} bytes, {len(arrays)} arrays")


if __name__ == "__main__":
    main()
