"""All checks in order, in the full form or in the cheap one that needs no forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tss_lab.config import RunConfig
from tss_lab.data import Dataset
from tss_lab.doctor import contamination, copies, machine, passes, tokens
from tss_lab.doctor.gather import items_of, machine_of, pairs_an_example, rows_of, tokens_of
from tss_lab.doctor.machine import Machine
from tss_lab.doctor.passes import Passes
from tss_lab.doctor.tokens import Tokens
from tss_lab.methods import Needs
from tss_lab.models import LocalModel, load_tokenizer
from tss_lab.models.prompted import PromptedModel
from tss_lab.prompts import get_template
from tss_lab.runs.findings import Finding, skipped

Checks = Sequence[Callable[[Any], Finding]]


def examine(
    config: RunConfig, needs: Needs, dataset: Dataset, local: LocalModel, *, with_passes: bool, trains: bool
) -> list[Finding]:
    """A finding a check.

    Args:
        needs: what the method's score is made of.
        with_passes: the full form: the model computes a sample, and benchmarks' items are fetched from the Hub.
        trains: whether room for a training is looked for too.
    """
    doctor = config.doctor
    found_machine = machine_of(config, local, len(dataset.examples) * pairs_an_example(config, needs), trains=trains)
    form, tokenizer = get_template(config.scoring.template), load_tokenizer(local.folder)
    fits = tokens.template(form.name, is_chat=form.chat, model_has_chat=bool(tokenizer.chat_template))
    model = PromptedModel.of(local, config.scoring, tokenizer) if fits.status != "failure" else None
    ids: Tokens | str = (
        tokens_of(dataset, model, needs.kinds, doctor) if model else "the template doesn't fit the model"
    )
    numbers: Passes | str = ids if isinstance(ids, str) else "no example can be encoded"
    if with_passes and model is not None and not isinstance(ids, str) and ids.num:
        numbers, found_machine = _with_passes(ids, model, config, needs, len(dataset.examples), found_machine)
    return [
        fits,
        *_findings(tokens.CHECKS, ids),
        *_findings(copies.CHECKS, rows_of(dataset, doctor)),
        *_findings(contamination.CHECKS, items_of(config.eval, dataset.examples, doctor.ngram, may_fetch=with_passes)),
        *(_findings(passes.CHECKS, numbers) if with_passes else []),
        *_findings(machine.CHECKS, found_machine),
    ]


def _findings(checks: Checks, values: Any) -> list[Finding]:
    """A family's findings; all skipped where a reason stands in the place of its values."""
    if isinstance(values, str):
        return [skipped(check.__name__, values) for check in checks]
    return [check(values) for check in checks]


def _with_passes(
    ids: Tokens, model: PromptedModel, config: RunConfig, needs: Needs, num_examples: int, before: Machine
) -> tuple[Passes | str, Machine]:
    """The sample's numbers, and what they took of the memory in the place of what scoring was thought to take."""
    from tss_lab.doctor.measure import NoRoomError, take_passes

    try:
        numbers = take_passes(ids, model, config, needs, num_examples)
    except NoRoomError as error:
        return str(error), replace(before, ran_out=str(error))
    scoring = replace(before.memory[0], needed_bytes=max(numbers.grown_bytes, before.memory[0].needed_bytes))
    return numbers, replace(before, memory=[scoring, *before.memory[1:]])
