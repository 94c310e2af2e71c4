"""Tests of every spot exchange of the installed ccxt."""
