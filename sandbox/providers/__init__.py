"""Stand-ins for the providers, attached to the engine while it deploys the sandbox."""
