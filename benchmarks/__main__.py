"""Runs the benchmarks named on the command line, or the short ones."""

import importlib
import sys

SUITES = ("startup", "overhead", "several", "memory", "layout", "tokens", "charts")
SHORT = SUITES[:2]
LONG = ("history", "serve", "streams")
"""Benchmarks that take long, download other libraries, and take options."""


def main() -> int:
    if sys.argv[1:] and sys.argv[1] in LONG:
        return importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:])
    names = sys.argv[1:] or list(SHORT)
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        every = ", ".join((*SUITES, *LONG))
        print(f"no benchmark {unknown[0]!r}; there are {every}", file=sys.stderr)
        return 2
    # Only the named benchmark is imported: child processes start with their parent's memory.
    return max(importlib.import_module(f"benchmarks.{name}").main() for name in names)


if __name__ == "__main__":
    sys.exit(main())
