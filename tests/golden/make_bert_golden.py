"""Writes tests/golden/bert/*.npz: what Hugging Face's BertModel computes with the recipe's weights.

pip install -e ".[parity]" && python tests/golden/make_bert_golden.py
"""

import sys
from pathlib import Path

import torch
import transformers

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "parity"))

import bert_parity  # noqa: E402

from tfkor import BertConfig  # noqa: E402

CASES = {
    "gelu": BertConfig(
        vocab_size=48,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=16,
    ),
    "gelu_new": BertConfig(
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
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    (HERE / "bert").mkdir(exist_ok=True)
    for name, config in CASES.items():
        inputs = bert_parity.recipe_inputs(config, length=config.max_position_embeddings)
        arrays = bert_parity.run_huggingface(config, bert_parity.recipe_weights(config), inputs)
        path = HERE / "bert" / f"{name}.npz"
        versions = {"torch": torch.__version__, "transformers": transformers.__version__}
        bert_parity.save_golden(path, config, inputs, arrays, **versions)
        print(f"{path.relative_to(HERE.parent.parent)}: {path.stat().st_size:,} bytes, {len(arrays)} arrays")
