"""Takes events with the version of the code that PYTHONPATH names. `versions.py` runs it.

It uses only what both versions have. Each line of standard input is `new`, `known` or `decode`, and a number of
records. The answer is the seconds that they took.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time

from common.mysql.database import MySQLDatabase
from scripts.bench.consumer import handler
from scripts.bench.orders import STREAM, event, new_keys
from scripts.bench.server import UNSPLIT, Endpoint, FixedParameters
from stream_consumer import handler as function

KNOWN, AT_ONCE = 20_000, 5_000


def main() -> None:
    endpoint = Endpoint(**json.loads(sys.argv[1]))
    names = vars(function)  # the second of each is the name before
    mapping, parse = names.get("MAPPING") or names["TABLE"], names.get("parse") or names["PARSE"]
    source = function.SETTINGS.source
    MySQLDatabase(function.SETTINGS, FixedParameters(endpoint), mapping, source=source).prepare(STREAM.label)
    handle, known = handler(endpoint, UNSPLIT), new_keys(KNOWN)
    for start in range(0, KNOWN, AT_ONCE):
        handle(event(known[start : start + AT_ONCE]))
    for line in sys.stdin:
        kind, count = line.split()
        given = event(random.sample(known, int(count)) if kind == "known" else new_keys(int(count)))
        gc.collect()
        started = time.perf_counter()
        if kind == "decode":
            parse(given["Records"])
        else:
            handle(given)
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
