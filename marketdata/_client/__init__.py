"""The operations as objects: `AsyncClient`, the blocking `Client`, the store, recordings."""
