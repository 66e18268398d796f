"""What the programs that we ship to AWS share. Standard library only."""
