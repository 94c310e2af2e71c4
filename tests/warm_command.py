"""What stands in for a command in a shell, and lets a process that has imported it do the work.

It is the shell's child with the command's streams, signals and exit status; see `warm_process.py`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys

_LENGTH = struct.Struct("!I")
_HANDED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")


def main(place: str, command: str) -> None:
    """Run a command with the arguments of this process, by the warm process at a socket."""
    request = {
        "script": command,
        "argv": [command, *sys.argv[1:]],
        "env": dict(os.environ),
        "cwd": os.getcwd(),  # noqa: PTH109 - pathlib would cost as much as all the rest
    }
    text = json.dumps(request).encode()
    with socket.socket(socket.AF_UNIX) as warm:
        warm.connect(place)
        for name in _HANDED_ON:
            number = getattr(signal, name)
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda number, _: warm.sendall(bytes([number])))
        socket.send_fds(warm, [_LENGTH.pack(len(text))], [0, 1, 2])
        warm.sendall(text)
        # Who reads or writes at the other ends waits for the command alone.
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        status = _LENGTH.unpack(warm.recv(_LENGTH.size))[0]
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))
