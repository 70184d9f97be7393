"""Programs with absl flags. The last line that each prints is one JSON object with its results."""

import json
import logging
import os
import sys
from collections.abc import Callable

from absl import app
from absl import logging as absl_logging

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before a program imports TensorFlow


def say(text: str):
    """Prints a line to standard error, where progress and notes go."""
    print(text, file=sys.stderr, flush=True)


def run_program(define_flags: Callable[[], None], job: Callable[[], dict]):
    """Defines the flags, runs `job` and prints the dict that it returns as one line of JSON.

    On bad input (ValueError, OSError), a loss that is not finite (FloatingPointError) or a missing package
    (ImportError) the program prints the message without a traceback and exits with status 1. A wrong flag prints the
    help, too.
    """

    def main(argv):
        if len(argv) > 1:
            raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
        absl_logging.set_verbosity(absl_logging.WARNING)  # TensorFlow logs each file that it writes
        try:
            results = job()
        except (ValueError, OSError, FloatingPointError, ImportError) as error:
            say(f"error: {error}")
            raise SystemExit(1) from None
        print(json.dumps(results, ensure_ascii=False), flush=True)

    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    define_flags()
    app.run(main)
