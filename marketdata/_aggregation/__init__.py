"""Several exchanges as one market: asked at once, compared, consolidated, bought from."""
