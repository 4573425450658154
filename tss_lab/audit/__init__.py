"""What a selection keeps against what it drops: pure functions from rows and a selection to an ``Audit``."""

from tss_lab.audit.audit import audit_selection

__all__ = ["audit_selection"]
