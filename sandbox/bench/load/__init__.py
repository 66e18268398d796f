"""Programs that make load, each in a process of its own: told on standard input, they answer on output."""
