"""Fixtures that only integration tests use."""

from tests.log_cast import only_ledger

__all__ = ["only_ledger"]
