"""Former module of a dynamic provider, which states pickled before it moved still refer to."""

from components.self_managed.node_report import NodeReportProvider

__all__ = ["NodeReportProvider"]
