"""RoBERTa and XLM-R as transformers publishes them.

transformers counts positions from the padding id, which config.json states; tfkor's table always begins with the
two rows that the published models have, whose padding is 1.
"""

from typing import Any

import numpy as np

from tfkor.interop.architectures.record import BLOCKS, EMBEDDINGS, POOLER, Architecture, masked_lm_table
from tfkor.layers.heads import MaskedLmHead

PAD_ID = 1


def padding_id(values: dict[str, Any], source: str = "config.json") -> int:
    """The id from which a RoBERTa of transformers counts its positions.

    Raises:
      ValueError: a pad_token_id that is not an id.
    """
    found = values.get("pad_token_id", PAD_ID)
    if type(found) is not int or found < 0:
        raise ValueError(
            f"{source}: pad_token_id is {found!r}; expected an id, since a RoBERTa counts positions from it"
        )
    return found


def config_in(fields: dict[str, Any], values: dict[str, Any], source: str) -> dict[str, Any]:
    positions = fields["max_position_embeddings"]
    if type(positions) is int:
        fields = {**fields, "max_position_embeddings": positions + PAD_ID - padding_id(values, source)}
    return fields


def config_out(values: dict[str, Any], tokenizer: Any) -> dict[str, Any]:
    pad_id = values.get("pad_token_id", PAD_ID)
    positions = values["max_position_embeddings"] + pad_id - PAD_ID
    values = {**values, "pad_token_id": pad_id, "max_position_embeddings": positions}
    return values if tokenizer is None else values | dict(bos_token_id=tokenizer.cls_id, eos_token_id=tokenizer.sep_id)


def tensors_in(tensors: dict[str, np.ndarray], values: dict[str, Any]) -> dict[str, np.ndarray]:
    return with_positions_from(tensors, padding_id(values), PAD_ID)


def tensors_out(tensors: dict[str, np.ndarray], values: dict[str, Any]) -> dict[str, np.ndarray]:
    return with_positions_from(tensors, PAD_ID, values["pad_token_id"])


def with_positions_from(tensors: dict[str, np.ndarray], pad_id: int, new_pad_id: int) -> dict[str, np.ndarray]:
    """The tensors of a RoBERTa, with the position table moved from after row `pad_id` to after row `new_pad_id`.

    The rows up to `new_pad_id` belong to no token and become zeros.
    """
    name = next((name for name in tensors if name.endswith("embeddings.position_embeddings.weight")), None)
    if pad_id == new_pad_id or name is None:
        return tensors
    rows = np.asarray(tensors[name])[pad_id + 1 :]
    return {**tensors, name: np.concatenate([np.zeros((new_pad_id + 1, rows.shape[1]), rows.dtype), rows])}


RECORD = Architecture(
    name="roberta",
    class_name="Roberta",
    other_class_names=("XLMRoberta",),
    model_types=("roberta", "xlm-roberta"),
    prefix="roberta.",
    tensors={**EMBEDDINGS, **BLOCKS, **POOLER},
    heads={MaskedLmHead: masked_lm_table("lm_head.dense", "lm_head.layer_norm", "lm_head.bias")},
    tied={
        "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    },
    defaults={
        "roberta": dict(vocab_size=50_265, max_position_embeddings=512, type_vocab_size=2, layer_norm_eps=1e-12),
        "xlm-roberta": dict(vocab_size=30_522, max_position_embeddings=512, type_vocab_size=2, layer_norm_eps=1e-12),
    },
    classifier={"head": "classifier.out_proj"},
    classifier_pooler="classifier.dense",
    config_in=config_in,
    config_out=config_out,
    tensors_in=tensors_in,
    tensors_out=tensors_out,
)
