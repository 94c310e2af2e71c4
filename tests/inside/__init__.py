"""The private modules that several tests use, room by room: the layout is named here and once.

A test that can ask a client, a command or the server does so; what is here is for tests of one
part by itself, and for what a test plants or plays where no exchange would.
"""
