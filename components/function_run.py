"""Former module of a dynamic provider, which states pickled before it moved still refer to."""

from components.rds.function_run import FunctionRunProvider

__all__ = ["FunctionRunProvider"]
