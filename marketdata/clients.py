"""The clients by themselves, for programs that are to start sooner than all names are loaded."""

from marketdata._client.asynchronous import AsyncClient
from marketdata._client.blocking import Client

__all__ = ["AsyncClient", "Client"]
