"""A run that is killed at 20 moments gives the weights of the run that nobody killed, bit for bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killed_run.py")


@pytest.mark.slow
def test_a_run_that_is_killed_twenty_times_gives_the_weights_of_one_that_is_not(tmp_path):
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(SCRIPT), str(tmp_path), "20"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
    assert result.returncode == 0, result.stderr[-3000:]
    outcome = json.loads(result.stdout.splitlines()[-1])
    assert outcome["kills"] == 20
    assert len(set(outcome["moments"])) > 10
    assert outcome["weights"][0] == outcome["weights"][1]
    assert outcome["logs"][0] == outcome["logs"][1]
