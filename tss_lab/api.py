"""The Python interface: rows in, a frame with scores out. The same settings, store and errors as the command line."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from tss_lab.cli import config_folder
from tss_lab.cli.compose import config_of
from tss_lab.config import RunConfig
from tss_lab.console import quiet, show_log
from tss_lab.data import Dataset, load_examples
from tss_lab.errors import ConfigError, DataError
from tss_lab.evidence import LazyEmbedder, evidence_of
from tss_lab.methods import Budget, Evidence, Needs, build_chooser, build_method, score_examples
from tss_lab.methods import select as select_examples
from tss_lab.models import resolve_model
from tss_lab.models.prompted import PromptedModel
from tss_lab.runs.likelihoods import to_likelihoods
from tss_lab.store import Store
from tss_lab.types import Alternatives, Example, FloatArray, PromptKind

log = logging.getLogger(__name__)

EXAMPLE_ID, SET_ASIDE, NUM_TOKENS = "example_id", "set_aside", "n_target_tokens"


def score(
    rows: Any,
    *,
    model: str = "gemma3_270m",
    methods: Sequence[str] = ("tss_pp",),
    alternatives: Literal["retrieved", "generated", "mixed"] = "retrieved",
    generator: str | None = None,
    k: int = 4,
    overrides: Sequence[str] = (),
    progress: bool = True,
) -> pl.DataFrame:
    """Scores rows by one or more methods; likelihoods are computed once and kept in ``paths.store``.

    Args:
        rows: a list of mappings, a ``datasets.Dataset``, or a polars or pandas frame, with ``instruction``,
            ``output`` and, where there is one, ``input``; other names are mapped by
            ``overrides=["dataset.fields.output=response"]``.
        model: a name of ``conf/model``, a Hub id, or a folder in Hugging Face format.
        methods: names of ``conf/method``.
        alternatives, generator, k: where the alternative instructions come from, and how many an example.
        overrides: further settings by their dotted names, as on the command line.
        progress: whether log lines and bars are shown.

    Returns:
        A row for each row given, in its order: the columns given, then ``example_id`` (String), ``set_aside`` (the
        reason, null for a scored row), ``n_target_tokens`` (tokens of the output), and a Float64 column a method,
        null where the row is set aside. Log-likelihoods behind them are in nats (docs/method.md).

    Raises:
        ConfigError, DataError, ModelError and GeneratorError, with the sentences of the command line.
    """
    if progress:
        show_log()
    else:
        quiet()
    given = _as_dicts(rows)
    _refuse_taken_names(given, methods)
    configs = {name: config_of([*_overrides(model, name, alternatives, generator, k), *overrides]) for name in methods}
    if not configs:
        raise ConfigError("methods=[] names no method; give some, such as methods=['tss_pp']")
    config = next(iter(configs.values()))
    dataset = _dataset(given, config)
    model_here = PromptedModel.of(resolve_model(config.model, config.paths.cache), config.scoring)
    found = _evidence(configs, dataset, model_here)
    return _table(given, dataset, configs, found)


def select(
    table: pl.DataFrame,
    *,
    method: str,
    rho: float,
    budget: Literal["examples", "tokens"] = "examples",
    seed: int = 0,
    overrides: Sequence[str] = (),
) -> pl.DataFrame:
    """The rows that a method keeps of a frame that ``score`` returned, best first, with ``rank`` and ``weight``.

    Args:
        rho: the kept share, in (0, 1], of the scored rows or (``budget="tokens"``) of their target tokens.
        overrides: further settings, such as ``["method.weighting.enabled=true", "choose=top"]``.

    Raises ConfigError for a method without a column, or settings that don't fit.
    """
    if method not in table.columns:
        raise ConfigError(f"the table has no column {method!r}; score it with methods=[{method!r}] first")
    config = config_of([f"method={method}", f"rho={rho}", f"budget={budget}", f"seed={seed}", *overrides])
    scored = table.filter(pl.col(method).is_not_null())
    examples = [Example(name, "", "", "") for name in scored[EXAMPLE_ID]]
    evidence = Evidence(examples, count_target_tokens=lambda: scored[NUM_TOKENS].to_numpy().astype(np.int64))
    selection, _ = select_examples(
        build_method(config.method), build_chooser(config.choose), config.method,
        Budget(config.budget.kind, config.rho), config.seed, evidence, scored[method].to_numpy(),
    )  # fmt: skip
    ranked = scored.with_columns(rank=selection.rank_N, weight=selection.weight_N)
    return ranked.filter(pl.Series(selection.kept_N)).sort("rank")


def _overrides(model: str, method: str, alternatives: str, generator: str | None, k: int) -> list[str]:
    known = (config_folder() / "model" / f"{model}.yaml").is_file()
    found = [
        f"model={model}" if known else f"model.path={json.dumps(model)}",
        f"method={method}",
        "dataset=jsonl",
        "dataset.path=rows",
    ]
    return [
        *found,
        f"alternatives={alternatives}",
        f"alternatives.k={k}",
        *([f"generator={generator}"] if generator else []),
    ]


def _as_dicts(rows: Any) -> list[dict[str, Any]]:
    """Rows of a frame, a data set or an iterable, as mappings."""
    if isinstance(rows, pl.DataFrame):
        return rows.to_dicts()
    if type(rows).__module__.partition(".")[0] == "pandas":
        return [dict(row) for row in rows.to_dict("records")]
    if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
        raise DataError(f"rows are a {type(rows).__name__}; give a list of mappings, a Dataset or a frame")
    found = list(rows)
    wrong = next((number for number, row in enumerate(found, start=1) if not isinstance(row, Mapping)), None)
    if wrong is not None:
        raise DataError(f"row {wrong} is a {type(found[wrong - 1]).__name__}; each row is a mapping with names")
    return [dict(row) for row in found]


def _refuse_taken_names(given: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> None:
    clash = sorted({EXAMPLE_ID, SET_ASIDE, NUM_TOKENS, *methods} & {name for row in given for name in row})
    if clash:
        raise DataError(f"the rows have a column {clash[0]!r} already; rename it, the scores need the name")


def _dataset(given: Sequence[Mapping[str, Any]], config: RunConfig) -> Dataset:
    """The rows through the same reader and checks as a file's; a bad one is set aside, not an error."""
    with tempfile.TemporaryDirectory(prefix="tss_lab-rows-") as scratch:
        path = Path(scratch) / "rows.jsonl"
        with path.open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(row, ensure_ascii=True, default=str) + "\n" for row in given)
        return load_examples(config.dataset.model_copy(update={"path": str(path), "on_bad_row": "skip"}))


def _evidence(configs: Mapping[str, RunConfig], dataset: Dataset, model: PromptedModel) -> dict[str, Evidence]:
    """What each method's score is made of: one pass for all of them, then their own views of it."""
    from tss_lab.alternatives import make_alternatives
    from tss_lab.scoring import compute_likelihoods, plan_pairs

    config = next(iter(configs.values()))
    store = Store(config.paths.store)
    embedder = LazyEmbedder(config, store)
    needs = {name: build_method(config.method).needs for name, config in configs.items()}
    alternatives: Alternatives = {}
    if any(PromptKind.ALTERNATIVE in one.kinds for one in needs.values()):
        alternatives = make_alternatives(
            dataset.examples, dataset.corpus, config.alternatives, config.generator, store, config.paths.cache,
            embedder=embedder,
        ).by_example  # fmt: skip

    def evidence(one: Needs) -> Evidence:
        if not one.kinds:
            return evidence_of(dataset.examples, None, lambda: model, embedder)
        pairs = plan_pairs(dataset.examples, alternatives, one.kinds, model.encoder, one.direct_context)
        done = compute_likelihoods(
            pairs, model.local, model.encoder, config.scoring, config.trainer, store, per_token=one.per_token
        )
        return evidence_of(dataset.examples, to_likelihoods(done.frame), lambda: model, embedder)

    widest = max(needs.values(), key=lambda one: len(one.kinds))
    evidence(widest)  # the model is loaded once, for the method that asks for most
    return {name: evidence(one) for name, one in needs.items()}


def _table(
    given: Sequence[Mapping[str, Any]], dataset: Dataset, configs: Mapping[str, RunConfig],
    evidence: Mapping[str, Evidence],
) -> pl.DataFrame:  # fmt: skip
    names = [row.example_id for row in dataset.rows]
    columns: dict[str, Any] = {
        EXAMPLE_ID: pl.Series(names, dtype=pl.String),
        SET_ASIDE: pl.Series([row.reason for row in dataset.rows], dtype=pl.String),
    }
    first = next(iter(evidence.values()))
    tokens = dict(zip(first.example_id_N, first.num_target_tokens_N.tolist(), strict=True))
    columns[NUM_TOKENS] = pl.Series([tokens.get(name) for name in names], dtype=pl.Int64)
    for name, mine in evidence.items():
        scores_N: FloatArray = score_examples(build_method(configs[name].method), mine, configs[name].seed)
        value = dict(zip(mine.example_id_N, scores_N.tolist(), strict=True))
        columns[name] = pl.Series([value.get(example_id) for example_id in names], dtype=pl.Float64)
    unscored = "it has no alternative instruction, or doesn't fit the length limit"
    scored = pl.any_horizontal(pl.col(name).is_not_null() for name in configs)
    frame = pl.from_dicts(list(given), infer_schema_length=None).with_columns(**columns)
    return frame.with_columns(
        pl.when(pl.col(SET_ASIDE).is_null() & ~scored)
        .then(pl.lit(unscored))
        .otherwise(pl.col(SET_ASIDE))
        .alias(SET_ASIDE)
    )
