"""The run folder: one format, written and read here, and nowhere else.

``folder`` is the writing side, a step at a time; ``read`` gives a typed ``Run`` back. What a folder holds stands in
docs/run_folder.md.
"""

from tss_lab.runs.folder import RunFolder, Step, open_folder
from tss_lab.runs.read import read_run
from tss_lab.runs.rows import ScoredRow
from tss_lab.runs.run import Run, Training

__all__ = ["Run", "RunFolder", "ScoredRow", "Step", "Training", "open_folder", "read_run"]
