"""Makes tests/golden/torch: one state_dict in the two formats of torch.save, and as numbers. Needs PyTorch.

python tests/golden/make_torch_golden.py
"""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).with_name("torch")


def tensors():
    torch.manual_seed(0)
    base = torch.randn(6, 4)
    return OrderedDict(
        float32=torch.randn(3, 4),
        transposed=torch.arange(6).reshape(2, 3).t(),
        half=torch.randn(5).half(),
        bfloat16=torch.randn(2, 2).bfloat16(),
        scalar=torch.tensor(3.5),
        parameter=torch.nn.Parameter(torch.randn(2)),
        empty=torch.zeros(0, 3),
        boolean=torch.tensor([True, False]),
        rows=base[2:5],
        columns=base[:, 1:3],
    )


def main():
    FOLDER.mkdir(exist_ok=True)
    state = tensors()
    torch.save(state, FOLDER / "zip.bin")
    torch.save(state, FOLDER / "legacy.bin", _use_new_zipfile_serialization=False)
    numbers = {name: tensor.detach() for name, tensor in state.items()}
    numbers["bfloat16"] = numbers["bfloat16"].float()
    np.savez(FOLDER / "numbers.npz", **{name: tensor.numpy() for name, tensor in numbers.items()})


if __name__ == "__main__":
    main()
