"""Data sets of any source as checked examples."""

from tss_lab.data.check import DataCheck
from tss_lab.data.load import Dataset, load_examples
from tss_lab.data.rows import FilteredRows, RawRow, UnusableRow

__all__ = ["DataCheck", "Dataset", "FilteredRows", "RawRow", "UnusableRow", "load_examples"]
