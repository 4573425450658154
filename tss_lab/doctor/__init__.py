"""Is what a run will compute sound? Checks of the data, the ids, the model's numbers and the machine.

A check is a pure function from a family's values to one ``Finding``; it stands in its family's file, and its name in
the family's ``CHECKS``. The values are gathered in ``gather`` (what needs no forward pass) and ``measure``.
"""

from tss_lab.doctor.step import check_up

__all__ = ["check_up"]
