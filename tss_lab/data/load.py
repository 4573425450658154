"""From a dataset's config to checked examples."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from tss_lab.config import DatasetConfig
from tss_lab.data.check import DataCheck, check_row, content_id, remedy, shown
from tss_lab.data.files import describe_source
from tss_lab.data.readers import find_reader
from tss_lab.data.rows import OTHER_CATEGORY, FilteredRows, UnusableRow
from tss_lab.data.sample import draw
from tss_lab.errors import ConfigError, DataError
from tss_lab.types import Example, SourceRow

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """Checked examples.

    ``examples`` is what methods score and select from; ``held_out`` is disjoint from it; ``corpus`` is all
    that passed the check but the held-out ones, sampled or not: what retrieval may draw instructions from.
    """

    examples: list[Example]
    held_out: list[Example]
    corpus: list[Example]
    check: DataCheck
    rows: list[SourceRow]
    """Every row of the source in its order, used or not; rows that a reader leaves out unread are only counted."""


def load_examples(config: DatasetConfig) -> Dataset:
    """Reads, checks and samples a data set; ``config.seed`` draws the sample and the held-out part.

    Raises DataError for a bad row (``on_bad_row=fail``), an unreadable source, or one with no usable row.
    """
    check = DataCheck(config.name, describe_source(config))
    rows: list[SourceRow] = []
    examples = list(_checked(config, check, rows))
    if not examples and check.filtered[OTHER_CATEGORY]:
        raise DataError(_no_such_category(config, check))
    if not examples:
        raise DataError(
            f"{check.source} has no usable row ({check.rows_read} read, {sum(check.set_aside.values())} set "
            "aside); check the file and dataset.fields"
        )
    check.measure(examples)
    stratify_by = config.stratify_by if config.stratify else ()
    if "category" in stratify_by and not any(example.category for example in examples):
        log.warning(
            "dataset.stratify=true finds no category in %s; name the field with dataset.fields.category, "
            "or another one in dataset.stratify_by",
            check.source,
        )
    there = {name.casefold() for name in check.categories}
    if absent := [name for name in config.categories or [] if name.casefold() not in there]:
        log.warning("no usable row of %s is of dataset.categories: %s", check.source, ", ".join(absent))
    if config.held_out >= len(examples):
        raise ConfigError(f"dataset.held_out={config.held_out} leaves nothing of {len(examples)} examples; lower it")
    held_out = draw(examples, config.held_out, config.seed, "held out", stratify_by, config.draw_by)
    taken = {example.example_id for example in held_out}
    corpus = [example for example in examples if example.example_id not in taken]
    used = (
        corpus
        if config.limit is None
        else draw(corpus, config.limit, config.seed, "limit", stratify_by, config.draw_by)
    )
    check.used, check.held_out = len(used), len(held_out)
    log.info(
        "%d of %d rows of %s pass the data check; %d are used, %d held out",
        check.kept,
        check.rows_read,
        config.name,
        check.used,
        check.held_out,
    )
    drawn = {example.example_id for example in used}
    return Dataset(used, held_out, corpus, check, [_with_role(row, drawn, taken) for row in rows])


def _with_role(row: SourceRow, drawn: Collection[str], held_out: Collection[str]) -> SourceRow:
    if row.reason is not None or row.example_id in drawn:
        return row
    return replace(row, reason="held out" if row.example_id in held_out else "not drawn (dataset.limit)")


def _no_such_category(config: DatasetConfig, check: DataCheck) -> str:
    said = f"dataset.categories=[{', '.join(config.categories or [])}] leaves no usable row of {check.source}"
    if check.other_categories:
        return f"{said}; its categories are {shown(check.other_categories)}"
    return f"{said}: its rows carry no category; name the field with dataset.fields.category, or drop the filter"


def _checked(config: DatasetConfig, check: DataCheck, rows: list[SourceRow]) -> Iterator[Example]:
    """The rows that pass as examples; every row read goes into ``rows`` with what became of it."""
    copies: Counter[str] = Counter()
    wanted = None if config.categories is None else {name.casefold() for name in config.categories}
    for row in find_reader(config.reader)(config):
        if isinstance(row, FilteredRows):
            check.rows_read += row.count
            check.leave_out(row)
            continue
        check.rows_read += 1
        example = row if isinstance(row, UnusableRow) else check_row(row, config)
        if isinstance(example, Example):
            if wanted is not None and (example.category or "").casefold() not in wanted:
                check.leave_out(FilteredRows(OTHER_CATEGORY, 1, example.category))
                rows.append(SourceRow(row.where, row.columns, example.example_id, OTHER_CATEGORY))
                continue
            example = _told_apart(example, row.where, copies, config)
        elif config.on_bad_row == "fail":
            raise DataError(f"{example.where}: {example.detail}; {remedy(example)}")
        if isinstance(example, UnusableRow):
            check.put_aside(example)
            rows.append(SourceRow(row.where, row.columns, None, example.reason))
        else:
            rows.append(SourceRow(row.where, row.columns, example.example_id, None))
            yield example


def _told_apart(example: Example, where: str, copies: Counter[str], config: DatasetConfig) -> Example | UnusableRow:
    """A second copy of an example is set aside, or kept under an id of its own."""
    copy = copies[example.example_id]
    copies[example.example_id] += 1
    if not copy:
        return example
    if config.drop_duplicates:
        return UnusableRow(where, "duplicate", "the same instruction, input and output stand in an earlier row")
    return replace(example, example_id=content_id(example.instruction, example.input, example.output, copy))
