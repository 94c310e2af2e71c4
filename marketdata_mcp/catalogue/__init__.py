"""What the server lists: the words and schemas of its tools."""
