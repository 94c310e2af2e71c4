"""Recordings of sockets and answers, taken apart and played again."""
