"""Report: statistics, figures, and one self-contained page a run.

``page`` and the figures bring altair with them and are imported where a page is written.
"""
