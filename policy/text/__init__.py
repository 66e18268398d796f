"""Text that properties carry: how it is found, unpacked and parsed."""
