"""An empty tool on the bare SDK: ``python -m benchmarks.serve_bare stdio|http``."""

import asyncio
import socket
import sys

import uvicorn
from mcp.server import MCPServer

server = MCPServer("bare", log_level="WARNING")


@server.tool()
async def nothing() -> dict[str, int]:
    """Do nothing."""
    return {"done": 1}


async def http() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    app = server.streamable_http_app(stateless_http=True)
    config = uvicorn.Config(app, log_config=None, access_log=False)
    print(f"serving http://127.0.0.1:{listener.getsockname()[1]}/mcp", file=sys.stderr, flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        asyncio.run(http())
