"""Prints tfkor's differences from golden files, a line of JSON for each, on the backend that KERAS_BACKEND says.

python tests/parity/check_golden.py GOLDEN.npz ... ENCODER.keras GOLDEN.npz   (a saved encoder is held against the next)
"""

import json
import sys
from pathlib import Path

import encoder_parity
import keras
import pretraining_parity
from parity import differences


def main(*paths):
    saved = None
    for path in map(Path, paths):
        if path.suffix == ".keras":
            saved = keras.saving.load_model(path)
            continue
        if path.stem in pretraining_parity.MODELS:
            *model, expected = pretraining_parity.golden_model(path)
            found = pretraining_parity.run_tfkor(*model)
        else:
            encoder, inputs, expected = encoder_parity.golden_encoder(path)
            found = encoder_parity.run_tfkor(saved or encoder, inputs)
        print(json.dumps({"file": path.name, "backend": keras.backend.backend(), **differences(expected, found)}))
        saved = None


if __name__ == "__main__":
    main(*sys.argv[1:])
