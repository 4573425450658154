"""The card of a selection: ``README.md`` beside ``selected.jsonl``, with the metadata that the Hub reads.

With it a run's folder is a data set that ``datasets.load_dataset`` loads.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tss_lab.report.escape import markdown
from tss_lab.report.numbers import method_title, percent
from tss_lab.report.parts import TEXT, Column, Table
from tss_lab.report.sections.alternatives import sources_table
from tss_lab.report.sections.audit import facts, shifts_table
from tss_lab.runs import Run, names
from tss_lab.version import __version__

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LARGEST = "1M<n<10M"
_SHIFTS = 8
_SPOKEN = 0.01  # a language is named from this share of the kept rows on
_OF_THE_SELECTION = {
    "experiment", "dataset", "model", "generator", "alternatives", "scoring", "method", "choose", "budget", "rho",
    "seed",
}  # fmt: skip
_STAGES = "stages=[dataset,alternatives,likelihoods,scores,selection]"


def data_card(run: Run) -> str:
    """The whole card of a run that holds a selection; whatever the data hold, it stays text."""
    config, selection = run.config, run.selection
    assert selection is not None
    kept, scored = selection.num_kept, len(selection.example_id_N)
    chosen = f"{kept:,} of {scored:,} rows, chosen by {method_title(config.method.name)}"
    parts = [
        f"---\n{yaml.safe_dump(_front_matter(run, kept), sort_keys=False, allow_unicode=True)}---",
        f"# {markdown(config.dataset.name)}: {markdown(chosen)}",
        f"`{names.SELECTED}` holds the rows of the source that were kept, best first, their texts unchanged: "
        "`instruction`, `input`, `output`, `weight` (of mean 1), `score`, `example_id` and the source's other columns. "
        "They load with `datasets.load_dataset` from the folder of this card.",
        "## How they were chosen",
        _table("What was asked and used", _settings(run)),
        *_changes(run),
        "## What isn't known",
        "\n".join(f"- {line}" for line in _unknown(run)),
        "## Making it again",
        _again(run),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _front_matter(run: Run, kept: int) -> dict[str, Any]:
    dataset = run.config.dataset
    source = _source(run)
    spoken = run.audit.languages if run.audit is not None else {}
    return {
        "license": dataset.licence or "unknown",
        **({"language": named} if (named := [code for code, part in spoken.items() if part >= _SPOKEN]) else {}),
        "size_categories": [next((name for size, name in _SIZES if kept < size), _LARGEST)],
        "task_categories": ["text-generation"],
        **({"source_datasets": [source]} if _HUB_ID.fullmatch(source) else {}),
        "tags": ["instruction-tuning", "data-selection", "task-specificity", "tss_lab"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": names.SELECTED}]}],
    }


def _source(run: Run) -> str:
    """The data's name on the Hub, or their file's; where that lies on this machine isn't said."""
    dataset = run.config.dataset
    return _place(dataset.path or dataset.hub_id or dataset.name)


def _place(path: str) -> str:
    """A Hub id as it is, a path on this machine by its last part."""
    is_local = not _HUB_ID.fullmatch(path) or Path(path).exists()
    return Path(path).name if is_local and "/" in path else path


def _settings(run: Run) -> Iterator[tuple[str, str]]:
    config, selection = run.config, run.selection
    assert selection is not None
    model, licence = run.facts("model"), run.config.dataset.licence or "unknown"
    yield "source", f"{_source(run)}, licence {licence}"
    yield "rows scored, kept", f"{len(selection.example_id_N):,}, {selection.num_kept:,}"
    yield "method", _with(config.method.name, config.method.params)
    if config.method.uses_rho:
        yield "ρ, of what", f"{config.rho:g}, of {config.budget.kind}"
    yield "chooser", _with(config.choose.name, config.choose.params)
    weighting = config.method.weighting
    yield "weights", _with("exponential", weighting.model_dump(exclude={"enabled"})) if weighting.enabled else "all 1"
    yield "seed", str(config.seed)
    if run.prompt_kinds:
        weights = f" (weights sha256 {str(model.get('weights_sha256', ''))[:16]})" if model else ""
        yield "scored by", f"{config.model.name}{weights}, template {config.scoring.template}, {config.scoring.dtype}"
    sources = sources_table(run)
    if sources is not None:
        counts = ", ".join(f"{count:,} {source}" for source, count, *_ in sources.rows)
        yield "alternatives", f"{config.alternatives.kind}, K = {config.alternatives.k}: {counts}"
        if config.alternatives.kind != "retrieved":
            yield (
                "generator",
                f"{config.generator.name}, asked {config.generator.ask}, T = {config.generator.temperature:g}",
            )
        if config.alternatives.kind != "generated":
            yield "nearest by", config.alternatives.embedder.name
    commit = run.record.get("commit")
    yield "made with", f"tss_lab {__version__}{f', commit {commit}' if commit else ''}"


def _with(name: str, params: Mapping[str, Any]) -> str:
    return f"{name} ({', '.join(f'{key} = {value}' for key, value in params.items())})" if params else name


def _changes(run: Run) -> Iterator[str]:
    audit = run.audit
    if audit is None or not audit.shifts:
        return
    yield "## What it keeps more and less of"
    yield (
        f"{len(audit.clear):,} of {len(audit.shifts):,} differences are more than a blind draw of as many rows "
        "explains (Fisher's exact test, Holm's correction, p < 0.05)."
    )
    shown = shifts_table(audit, _SHIFTS)
    assert shown is not None
    yield shown.to_markdown()
    yield "\n".join(f"- {markdown(name)}: {markdown(value)}" for name, value in facts(audit))


def _unknown(run: Run) -> Iterator[str]:
    """What a reader shouldn't take for granted."""
    if run.config.dataset.licence is None:
        yield "The licence of the source isn't stated in the settings; it holds for these rows too."
    yield "Nobody read the rows: whether an output is true, safe or lawful to share was not looked into."
    yield "Personal data and texts under somebody's copyright were not looked for, nor near-duplicates removed."
    yield "Toxic words and refusals were found by short English word lists, which miss most of either."
    yield "Whether a model tuned on these rows is better than on as many others is a question for an evaluation."
    if run.set_aside:
        share = percent(len(run.set_aside) / (len(run.set_aside) + len(run.examples)))
        yield f"{len(run.set_aside):,} rows of the source ({share}) were set aside and had no chance of being kept."


def _again(run: Run) -> str:
    given = [one for one in run.record.get("overrides", ()) if _belongs(str(one), run)]
    text = "Every setting is in the run's `config.yaml`"
    if not given:
        return f"{text}, which `tss_lab.config.RunConfig` reads and `tss_lab.pipeline.run` runs."
    command = shlex.join(["python", "-m", "tss_lab", *(_without_folders(str(one)) for one in given), _STAGES])
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
    return f"{text}. What was typed, files by their names:\n\n{fence}sh\n{command}\n{fence}"


def _belongs(override: str, run: Run) -> bool:
    """Whether a typed setting bears on the selection; addresses and places on the machine don't."""
    key = override.lstrip("+~").partition("=")[0]
    group, _, name = key.partition(".")
    section = getattr(run.config, group, None)
    return group in _OF_THE_SELECTION and name not in getattr(section, "not_identity", ())


def _without_folders(override: str) -> str:
    key, equals, value = override.partition("=")
    return f"{key}{equals}{_place(value) if key.rpartition('.')[2] in ('path', 'target') else value}"


def _table(caption: str, rows: Iterator[tuple[str, str]]) -> str:
    return Table(caption, [Column("what"), Column("value", TEXT)], list(rows)).to_markdown()
