"""The events of recorded streams, written and read one by one."""

from marketdata._exchanges.recording import Event, Writer, exchanges_in, is_recording, read

__all__ = ["Event", "Writer", "exchanges_in", "is_recording", "read"]
