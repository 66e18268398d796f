"""One stack's configuration: `load` and `load_stack_file` return `Settings` or raise `SettingsError`."""

from settings.stack import (
    SECTIONS,
    Gateway,
    GatewayClient,
    GatewayClientAuthority,
    Generation,
    Rds,
    SelfManaged,
    Settings,
    SettingsError,
    load,
    load_stack_file,
)

__all__ = [
    "SECTIONS",
    "Gateway",
    "GatewayClient",
    "GatewayClientAuthority",
    "Generation",
    "Rds",
    "SelfManaged",
    "Settings",
    "SettingsError",
    "load",
    "load_stack_file",
]
