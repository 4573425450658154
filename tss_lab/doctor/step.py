"""The doctor's place in a run: what is said, what is written, and when it stops the run."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tss_lab.config import RunConfig
from tss_lab.console import output
from tss_lab.data import Dataset
from tss_lab.errors import UnsoundError
from tss_lab.methods import Needs
from tss_lab.report.terminal import print_findings
from tss_lab.runs import RunFolder, names, read_run
from tss_lab.runs.findings import STATUSES, Finding, findings_content

log = logging.getLogger(__name__)

_BY_ITSELF = {"dataset", "doctor", "report"}
"""With no other stage it looks at all that the settings ask for."""


def check_up(
    config: RunConfig, needs: Needs, dataset: Dataset, folder: RunFolder, *, in_full: bool, at_start: bool
) -> None:
    """Makes the checks and writes ``doctor.json``: in full and printed; at a long run's start what takes seconds, its
    troubles logged. Of several processes the first one makes them.

    Raises UnsoundError for a failure under ``doctor.strict``,
    ModelError where the model can't be had.
    """
    if not (in_full or at_start) or not folder.is_writer:
        return
    from tss_lab.doctor.examine import examine
    from tss_lab.models import resolve_model

    with folder.step("doctor") as step:
        local = resolve_model(config.model, config.paths.cache)
        folder.claim_model(local)
        trains = "sft" in config.stages or set(config.stages) <= _BY_ITSELF
        found = examine(config, needs, dataset, local, with_passes=in_full, trains=trains)
        step.write(names.DOCTOR, findings_content(_with_earlier(found, folder)))
        step.measure("doctor", {status: sum(one.status == status for one in found) for status in STATUSES})
    if in_full:
        print_findings(found, output())
    else:
        for one in found:
            if one.status in ("warning", "failure"):
                log.log(logging.ERROR if one.status == "failure" else logging.WARNING, "%s", one)
    failures = [one for one in found if one.status == "failure"]
    if failures and config.doctor.strict:
        failed = ", ".join(one.title for one in failures)
        raise UnsoundError(f"doctor.strict=true, and {len(failures)} of {len(found)} checks failed: {failed}")


def _with_earlier(found: Sequence[Finding], folder: RunFolder) -> list[Finding]:
    """With what an earlier command of this run found by checks that weren't made now."""
    earlier = {one.name: one for one in read_run(folder.path).findings}
    made = {one.name: one for one in found if one.status != "skipped" or one.name not in earlier}
    return list({**earlier, **made}.values())
