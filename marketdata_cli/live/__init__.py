"""Output that goes on: live data, drawn or written as it comes, and progress."""
