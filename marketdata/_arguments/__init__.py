"""Parses arguments: every form with one meaning, and an error with both meanings of others."""
