"""Run the benchmarks named on the command line, or all."""

import importlib
import sys

SUITES = ("startup", "overhead")


def main() -> int:
    names = sys.argv[1:] or list(SUITES)
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are {', '.join(SUITES)}", file=sys.stderr)
        return 2
    # Each is imported alone: a process starts with its parent's memory, so that has to be small.
    return max(importlib.import_module(f"benchmarks.{name}").main() for name in names)


if __name__ == "__main__":
    sys.exit(main())
