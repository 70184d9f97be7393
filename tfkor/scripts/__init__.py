"""Programs with absl flags. The last line that each prints is one JSON object with its figures."""

import json
import sys

from absl import app


def run_program(define_flags, job):
    """Defines the flags, runs `job() -> dict of figures` and prints the figures as one line of JSON.

    Bad input (ValueError, OSError) ends with its message alone and exit status 1; a wrong flag also with the help.
    """

    def main(argv):
        if len(argv) > 1:
            raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
        try:
            figures = job()
        except (ValueError, OSError, FloatingPointError) as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(1) from None
        print(json.dumps(figures, ensure_ascii=False), flush=True)

    define_flags()
    app.run(main)
