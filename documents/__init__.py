"""The base of the documents that a stack publishes; each document's model lies with its reader."""
