"""Names of the metrics of a function that reconciles catalogues, which it writes into its log."""

from __future__ import annotations

DIMENSION = "RolesFunction"
"""Name of the function."""

DRIFT = "CatalogueDrift"
"""How many things somebody had changed by hand and the run put back."""

FOREIGN = "ForeignGrants"
"""How many things others made that the run left alone."""

HOLD = "ReconciliationHeld"
"""1 while drift is only reported, else 0."""

FAILED = "FailedReconciliations"
"""1 for a run that could not bring about what is declared, else 0."""
