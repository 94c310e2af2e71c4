"""Live data: one upstream subscription for each subject, however many watch it."""
