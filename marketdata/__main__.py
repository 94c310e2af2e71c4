"""``python -m marketdata`` is the command ``marketdata``."""

import runpy

if __name__ == "__main__":
    # By its name: the command stands above the library, which imports nothing of it.
    runpy.run_module("marketdata_cli", run_name="__main__", alter_sys=True)
