"""Load programs, each a process of its own that reads its input and prints its result."""
