"""The transport on pipes: stdin and stdout, read on the event loop."""
