"""The policy pack: what the program registers, against rules, in every preview and update."""
