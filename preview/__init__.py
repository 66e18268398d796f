"""`preview`: what the program would make of a stack file, by the real engine, without AWS and keys."""
