"""The Pulumi engine: getting it, caching it and running it."""
