"""Report: a run's page and summary out of its folder, and runs compared.

A page is values first (``parts``), made by a file a section (``sections``); rendering comes last. ``page`` and the
sections bring altair with them and are imported where a page is written.
"""
