"""The process of one commit: reads a JSON object a line, does what it says, answers with one.

    python worker.py ROOT      # tfkor is imported from ROOT, which PYTHONPATH names
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path


def main(root):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes into the log
    import tfkor

    found = Path(tfkor.__file__).resolve().parents[1]
    assert found == Path(root).resolve(), f"tfkor comes from {found}; expected {root}"
    import numbers_of
    import speed
    import stored

    for line in sys.stdin:
        request, begin = json.loads(line), time.perf_counter()
        what = request.pop("do")
        try:
            if what == "write":
                answer = stored.write(**request)
            elif what == "numbers":
                answer = numbers_of.write(**request)
            else:
                answer = speed.turn(**request)
            answer = {"seconds": time.perf_counter() - begin, **(answer or {})}
        except BaseException:  # SystemExit of a program too
            answer = {"error": traceback.format_exc()[-3000:]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
