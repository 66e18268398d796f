"""One stack's configuration: `load` and `load_stack_file` return `Settings` or raise `SettingsError`."""

from settings.certificates import Certificates, Generation
from settings.gateway import ClientAuthority, Gateway, GatewayClient
from settings.machine import Image
from settings.network import AllowedClients, Network
from settings.problems import SettingsError
from settings.quotas import Quotas
from settings.rds import Rds
from settings.self_managed import SelfManaged
from settings.stack import SECTIONS, Settings, load, load_stack_file

__all__ = [
    "SECTIONS",
    "AllowedClients",
    "Certificates",
    "ClientAuthority",
    "Gateway",
    "GatewayClient",
    "Generation",
    "Image",
    "Network",
    "Quotas",
    "Rds",
    "SelfManaged",
    "Settings",
    "SettingsError",
    "load",
    "load_stack_file",
]
