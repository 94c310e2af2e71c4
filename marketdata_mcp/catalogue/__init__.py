"""The listed texts and schemas of the server's tools."""
