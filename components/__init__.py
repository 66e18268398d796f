"""Pulumi components: wiring only, one component per file."""
