"""Programs with absl flags. The last line that each prints is one JSON object with its figures."""

import json
import logging
import os
import sys

from absl import app
from absl import logging as absl_logging

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before a program imports TensorFlow


def say(text):
    """Prints to standard error, where progress goes."""
    print(text, file=sys.stderr, flush=True)


def run_program(define_flags, job):
    """Defines the flags, runs `job() -> dict of figures` and prints the figures as one line of JSON.

    Bad input (ValueError, OSError) and a missing package end with their message alone and exit status 1; a wrong flag
    also with the help.
    """

    def main(argv):
        if len(argv) > 1:
            raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
        absl_logging.set_verbosity(absl_logging.WARNING)  # TensorFlow tells of each file that it writes
        try:
            figures = job()
        except (ValueError, OSError, FloatingPointError, ImportError) as error:
            say(f"error: {error}")
            raise SystemExit(1) from None
        print(json.dumps(figures, ensure_ascii=False), flush=True)

    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    define_flags()
    app.run(main)
