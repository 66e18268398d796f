"""Old place of a dynamic provider: states made before it moved have pickled a reference to it here."""

from components.self_managed.node_report import NodeReportProvider

__all__ = ["NodeReportProvider"]
