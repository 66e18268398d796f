"""What the programs that we ship to AWS share: node, the functions, the gateway. Standard library only."""
