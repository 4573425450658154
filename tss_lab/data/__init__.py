"""Data sets of any source as checked examples."""

from tss_lab.data.check import DataCheck, SpelledTokens, special_token_rows
from tss_lab.data.load import Dataset, load_examples
from tss_lab.data.rows import FilteredRows, RawRow, UnusableRow

__all__ = [
    "DataCheck",
    "Dataset",
    "FilteredRows",
    "RawRow",
    "SpelledTokens",
    "UnusableRow",
    "load_examples",
    "special_token_rows",
]
