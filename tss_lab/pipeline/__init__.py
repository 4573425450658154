"""The pipeline: the eight steps (``steps``), their evaluation and page, and the run's folder."""

from __future__ import annotations

from pathlib import Path

from tss_lab.config import RunConfig


def run(config: RunConfig) -> Path:
    """Runs the stages of a config and returns the run's folder."""
    from tss_lab.models import free_memory
    from tss_lab.pipeline.folder import RunFolder
    from tss_lab.pipeline.steps import Pipeline

    folder = RunFolder(config)
    with folder.opened():
        pipeline = Pipeline(config, folder)
        succeeded = False
        try:
            pipeline.run()
            succeeded = True
        finally:
            pipeline.close(succeeded=succeeded)
            del pipeline
            free_memory()  # the jobs of a sweep share one process
    return folder.path
