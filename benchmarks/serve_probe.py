"""Checks the health of a server from a separate process, so that only the server delays it.

``python -m benchmarks.serve_probe HOST PORT SECONDS PAUSE PATH...`` prints the latencies of each
path as JSON. With a pause of 0 it sends request after request on one connection.
"""

import contextlib
import json
import sys
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException


def main(host: str, port: str, seconds: str, pause: str, *paths: str) -> None:
    waits: dict[str, list[float]] = {path: [] for path in paths}
    wrong: Counter[str] = Counter()
    ends = time.perf_counter() + float(seconds)
    connection = HTTPConnection(host, int(port), timeout=60)
    while (began := time.perf_counter()) < ends:
        for path in paths:
            began = time.perf_counter()
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    wrong[f"{path} {answer.status}"] += 1
            except (OSError, HTTPException) as error:
                wrong[f"{path} {type(error).__name__}"] += 1
                connection.close()
            waits[path].append(time.perf_counter() - began)
            if float(pause):
                connection.close()
                time.sleep(float(pause))
    connection.close()
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps({"waits": waits, "wrong": wrong}))


if __name__ == "__main__":
    main(*sys.argv[1:])
