"""The probe of a run: rows made, scored under every setting through the run's own store, and judged."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tss_lab.config import AlternativesConfig, MethodConfig, RunConfig
from tss_lab.errors import ConfigError, DataError
from tss_lab.evidence import LazyEmbedder, evidence_of
from tss_lab.methods import Method, Needs, build_method, score_examples
from tss_lab.methods.order import seeded_uniform
from tss_lab.probe.assess import Rows, Scored, advise, notice_weak, notice_wrong
from tss_lab.probe.corrupt import Kind, ProbeRow, corrupted, refuse_alike, split
from tss_lab.runs.likelihoods import to_likelihoods
from tss_lab.runs.probe import Finding, Probe, Setting
from tss_lab.store import Store
from tss_lab.types import Alternative, Example, FloatArray, IntArray, Likelihoods, PromptKind

if TYPE_CHECKING:
    from tss_lab.data import Dataset
    from tss_lab.models.prompted import PromptedModel

log = logging.getLogger(__name__)

LABEL, SPECIFIC = "specificity", "specific"
"""The key of ``Example.extra``, and its value, by which a corpus says that a row's instruction matters."""
_FEWEST_EXAMPLES = 4


@dataclass(frozen=True)
class Bench:
    """What every pass of the probe shares."""

    config: RunConfig
    methods: Mapping[str, Method]
    model: PromptedModel
    store: Store
    embedder: LazyEmbedder

    def sources(self) -> list[AlternativesConfig]:
        """The kinds of alternatives that are compared."""
        own = self.config.alternatives
        return [own.model_copy(update={"kind": kind}) for kind in self.config.probe.alternatives or [own.kind]]


def refuse_probe_early(config: RunConfig, dataset: Dataset) -> None:
    """What the probe would refuse after the passes that come before it. Raises DataError, ConfigError."""
    probed_methods(config)
    count = len(_strong(dataset.examples))
    if count < _FEWEST_EXAMPLES:
        raise DataError(f"a probe needs at least {_FEWEST_EXAMPLES} examples, better 200; there are {count}")
    refuse_alike(dataset.corpus, [Kind(name) for name in config.probe.kinds])


def run_probe(
    config: RunConfig, dataset: Dataset, model: PromptedModel, store: Store, embedder: LazyEmbedder
) -> tuple[Probe, pl.DataFrame]:
    """What the probe finds, and every row's preference under each setting. Raises as ``refuse_probe_early``."""
    refuse_probe_early(config, dataset)
    bench = Bench(config, probed_methods(config), model, store, embedder)
    sample = drawn(_strong(dataset.examples), config.probe.examples, config.probe.seed)
    rows = _rows(bench, sample, dataset.corpus)
    _, replaced, _ = split(sample, config.probe.seed)
    lost = {one.example_id for one in replaced}
    corpus = [one for one in dataset.corpus if one.example_id not in lost]  # no instruction stands there twice
    shown = list({row.example.example_id: row.example for row in rows}.values())
    log.info("probe: %d rows of %d examples, %s", len(rows), len(sample), ", ".join(config.probe.kinds))
    by_id, tokens = _scored(bench, shown, corpus)
    scored = [Scored(one.setting, _at(one.by_id, [row.example.example_id for row in rows])) for one in by_id]
    tokens_N = np.array([tokens[row.example.example_id] for row in rows], dtype=np.int64)
    findings = notice_wrong(rows, scored, tokens_N, config.probe.rhos, config.probe.seed)
    findings += _truth(bench, dataset)
    advice, advised = advise(findings, rows, scored, config.probe.seed)
    return Probe(len(sample), findings, advice, advised, _notes(rows, scored)), _table(rows, scored, tokens_N)


def probed_methods(config: RunConfig) -> dict[str, Method]:
    """The methods of ``probe.methods`` and the run's own, by name; those that look at nothing are left out."""
    configs: dict[str, MethodConfig] = {**config.probe.methods, _plain_name(config.method.name): config.method}
    built = {name: build_method(one) for name, one in configs.items()}
    found = {name: method for name, method in built.items() if method.needs.kinds}
    if not found:
        raise ConfigError("nothing to probe: none of probe.methods looks at a likelihood; add tss, ppl or ifd")
    return found


def drawn(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """``count`` examples drawn by seed and content, in their order; all where there are no more."""
    number_N = seeded_uniform(np.array([one.example_id for one in examples], dtype=object), seed, "probe sample")
    chosen = set(np.argsort(number_N)[:count].tolist())
    return [one for place, one in enumerate(examples) if place in chosen]


def _strong(examples: Sequence[Example]) -> list[Example]:
    """Without those whose label says that their instruction hardly matters: no score could miss another one there."""
    return [one for one in examples if one.extra.get(LABEL, SPECIFIC) == SPECIFIC]


def _plain_name(name: str) -> str:
    """A weighted form ranks as the method that it weights by."""
    return name.removesuffix("_exp")


def _rows(bench: Bench, sample: Sequence[Example], corpus: Sequence[Example]) -> list[ProbeRow]:
    from tss_lab.alternatives import make_alternatives
    from tss_lab.alternatives.retrieve import nearest

    config = bench.config
    kinds = [Kind(name) for name in config.probe.kinds]

    def by_nearness(instructions: Sequence[str], candidates: Sequence[str]) -> Mapping[str, Sequence[str]]:
        found = nearest(sorted(set(instructions)), list(candidates), 1, config.alternatives, bench.embedder())
        return {instruction: [text for text, _ in near] for instruction, near in found.items()}

    own: dict[str, list[str]] = {}
    if Kind.ALTERNATIVE in kinds:
        _, replaced, _ = split(sample, config.probe.seed)
        made = make_alternatives(
            replaced, corpus, bench.sources()[0], config.generator, bench.store, config.paths.cache,
            embedder=bench.embedder,
        ).by_example  # fmt: skip
        own = {name: [one.instruction for one in mine] for name, mine in made.items()}
    return corrupted(sample, corpus, kinds, config.probe.seed, by_nearness, own)


@dataclass(frozen=True)
class _Preferences:
    """Preferences under one setting by example; those that can't be scored are missing."""

    setting: Setting
    by_id: Mapping[str, float]


def _scored(
    bench: Bench, examples: Sequence[Example], corpus: Sequence[Example]
) -> tuple[list[_Preferences], dict[str, int]]:
    """Every setting on the examples, and how many tokens each output has."""
    found: list[_Preferences] = []
    simple = {n: m for n, m in bench.methods.items() if PromptKind.ALTERNATIVE not in m.needs.kinds}
    others = {n: m for n, m in bench.methods.items() if n not in simple}
    if simple:
        found += _under(bench, simple, examples, {}, "")
    for source in bench.sources() if others else []:
        from tss_lab.alternatives import make_alternatives

        config = bench.config
        made = make_alternatives(
            examples, corpus, source, config.generator, bench.store, config.paths.cache, embedder=bench.embedder
        )
        found += _under(bench, others, examples, made.by_example, source.kind)
    counts_N = bench.model.count_tokens(one.output for one in examples)
    return found, {one.example_id: int(count) for one, count in zip(examples, counts_N, strict=True)}


def _under(
    bench: Bench, methods: Mapping[str, Method], examples: Sequence[Example],
    alternatives: Mapping[str, Sequence[Alternative]], source: str,
) -> list[_Preferences]:  # fmt: skip
    """Preferences under methods that share their alternatives, from one pass."""
    from tss_lab.scoring import compute_likelihoods, plan_pairs

    config = bench.config
    tables: dict[str, Likelihoods] = {}
    for context in sorted({method.needs.direct_context for method in methods.values()}):
        needs = [method.needs for method in methods.values() if method.needs.direct_context == context]
        kinds = frozenset(kind for one in needs for kind in one.kinds)
        pairs = plan_pairs(examples, alternatives, kinds, bench.model.encoder, context)
        done = compute_likelihoods(
            pairs, bench.model.local, bench.model.encoder, config.scoring, config.trainer, bench.store,
            per_token=any(one.per_token for one in needs),
        )  # fmt: skip
        tables[context] = to_likelihoods(done.frame)
    found = []
    for name, method in methods.items():
        evidence = evidence_of(examples, tables[method.needs.direct_context], lambda: bench.model, bench.embedder)
        preference_N = method.preference(score_examples(method, evidence, config.seed))
        by_id = dict(zip(evidence.example_id_N.tolist(), preference_N.tolist(), strict=True))
        found.append(_Preferences(Setting(name, source, _pairs_of(method.needs, alternatives)), by_id))
    return found


def _pairs_of(needs: Needs, alternatives: Mapping[str, Sequence[Alternative]]) -> float:
    """(prompt, output) pairs an example."""
    mean = sum(map(len, alternatives.values())) / len(alternatives) if alternatives else 0.0
    cost = {PromptKind.TRUE: 1.0, PromptKind.UNCONDITIONAL: 1.0, PromptKind.ALTERNATIVE: mean}
    return sum(cost[kind] for kind in needs.kinds)


def _truth(bench: Bench, dataset: Dataset) -> list[Finding]:
    """The settings on rows that say themselves whether their instruction matters; nothing where none does."""
    labelled = [one for one in dataset.examples if LABEL in one.extra]
    if not labelled:
        return []
    by_id, tokens = _scored(bench, labelled, dataset.corpus)
    ids = [one.example_id for one in labelled]
    half_N = seeded_uniform(np.array([one.input or one.example_id for one in labelled], dtype=object), 0, "halves")
    facts = Rows(
        np.array([one.extra[LABEL] == SPECIFIC for one in labelled], dtype=np.bool_),
        np.asarray(half_N >= 0.5),
        np.array([tokens[name] for name in ids], dtype=np.int64),
        np.array([one.category or "" for one in labelled], dtype=object),
        np.array([one.input for one in labelled], dtype=object),
    )
    scored = [Scored(one.setting, _at(one.by_id, ids)) for one in by_id]
    return notice_weak(facts, scored, bench.config.probe.rhos, bench.config.probe.seed)


def _at(by_id: Mapping[str, float], ids: Sequence[str]) -> FloatArray:
    return np.array([by_id.get(name, np.nan) for name in ids], dtype=np.float64)


def _notes(rows: Sequence[ProbeRow], scored: Sequence[Scored]) -> list[str]:
    """What was left out, in sentences."""
    missing = int(np.sum(np.any([np.isnan(one.preference_N) for one in scored], axis=0)))
    return [f"{missing} of {len(rows)} rows can't be scored under every setting and are left out."] if missing else []


def _table(rows: Sequence[ProbeRow], scored: Sequence[Scored], tokens_N: IntArray) -> pl.DataFrame:
    """``probe.parquet``: a row a (row, setting)."""
    facts = pl.DataFrame(
        {
            "example_id": [row.original_id for row in rows],
            "kind": [row.kind.value for row in rows],
            "half": [1 + row.is_second for row in rows],
            "instruction": [row.example.instruction for row in rows],
            "category": [row.example.category for row in rows],
            "n_target_tokens": tokens_N,
        }
    )
    parts = [
        facts.with_columns(
            method=pl.lit(one.setting.method), alternatives=pl.lit(one.setting.source),
            preference=pl.Series(one.preference_N),
        )
        for one in scored
    ]  # fmt: skip
    return pl.concat(parts)
