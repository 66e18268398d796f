"""Old place of a dynamic provider: states made before it moved have pickled a reference to it here."""

from components.rds.function_run import FunctionRunProvider

__all__ = ["FunctionRunProvider"]
