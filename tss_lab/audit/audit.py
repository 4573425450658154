"""What a selection keeps against what it drops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tss_lab.audit.languages import NOT_TOLD, languages
from tss_lab.audit.properties import NO, properties
from tss_lab.config import AuditConfig
from tss_lab.methods import Evidence
from tss_lab.methods.order import rank_by, seeded_uniform
from tss_lab.runs.audits import Audit, Overlap, Shift
from tss_lab.statistics import auc, holm, interval, share_difference, wilson_interval
from tss_lab.types import BoolArray, FloatArray, IntArray, Selection


def audit_selection(
    evidence: Evidence, selection: Selection, config: AuditConfig, seed: int, *, in_tokens: bool
) -> Audit:
    """The audit of a selection from N examples, in the evidence's order; nothing is compared where nothing is dropped.

    Args:
        seed: of the sample, the clusters and ties.
        in_tokens: whether outputs are as long as their tokens (which may need the model's tokenizer), or as their
            characters.
    """
    kept_N, sample = selection.kept_N, _sample(selection, config.max_rows, seed)
    kept_S = kept_N[sample]
    shared = {"rows": len(evidence), "kept": selection.num_kept, "compared": len(sample)}
    if kept_S.all() or not kept_S.any():
        reason = "every row is kept, so there is nothing to compare with" if kept_N.all() else "too few rows"
        return Audit(**shared, compared_kept=int(kept_S.sum()), languages={}, longer=None, longer_bounds=None,
                     shifts=(), overlaps=(), left_out={"all properties": reason})  # fmt: skip
    length_N, unit = _lengths(evidence, in_tokens)
    embedding_ND = _EMBEDDINGS[config.clusters](evidence)
    mine = [evidence.examples[index] for index in sample]
    language_S = languages(mine, config.language_confidence)
    values, left_out = properties(
        mine, language_S, length_N[sample], unit, None if embedding_ND is None else embedding_ND[sample], config, seed
    )
    longer = auc(length_N[sample], kept_S)
    low, high = interval(longer)
    return Audit(
        **shared,
        compared_kept=int(kept_S.sum()),
        languages=_shares(language_S, kept_S),
        longer=longer.value,
        longer_bounds=(max(low, 0.0), min(high, 1.0)) if np.isfinite(low) else None,
        shifts=shifts(values, kept_S),
        overlaps=tuple(
            overlap(name, value_N, selection, seed) for name, value_N in _references(evidence, length_N).items()
        ),
        left_out=left_out,
    )


_EMBEDDINGS: Mapping[str, Callable[[Evidence], FloatArray | None]] = {
    "auto": lambda evidence: evidence.known_embeddings(),
    "always": lambda evidence: evidence.embedding_ND,
    "never": lambda evidence: None,
}


def _lengths(evidence: Evidence, in_tokens: bool) -> tuple[IntArray, str]:
    if in_tokens:
        return evidence.num_target_tokens_N, "tokens"
    return np.array([len(one.output) for one in evidence.examples], dtype=np.int64), "characters"


def _references(evidence: Evidence, length_N: IntArray) -> dict[str, FloatArray]:
    """What a simple rule would have kept: the rows of the highest value."""
    found = {"the longest outputs": length_N.astype(np.float64)}
    if evidence.table is not None and np.isfinite(evidence.table.true_mean_loglik_N).all():
        found["the lowest perplexity"] = evidence.table.true_mean_loglik_N
    return found


def shifts(values: Mapping[str, Sequence[str]], kept_N: BoolArray) -> tuple[Shift, ...]:
    """Each value of each property among the kept and the dropped rows, the largest difference first.

    ``values`` holds a value a row; rows without one (``NO``) count in no value, and in every total.
    """
    from scipy.stats import fisher_exact

    num_kept, num_dropped = int(kept_N.sum()), int((~kept_N).sum())
    counted = []
    for name, value_N in values.items():
        among_kept = Counter(value for value, is_kept in zip(value_N, kept_N, strict=True) if is_kept)
        counted += [
            (name, one, among_kept[one], total - among_kept[one])
            for one, total in Counter(value_N).items()
            if one != NO
        ]
    p_T = [
        float(fisher_exact([[kept, num_kept - kept], [dropped, num_dropped - dropped]]).pvalue)
        for _, _, kept, dropped in counted
    ]
    found = []
    for (name, one, kept, dropped), p, p_holm in zip(counted, p_T, holm(p_T), strict=True):
        difference, low, high = share_difference((kept, num_kept), (dropped, num_dropped))
        keeps = wilson_interval(kept, kept + dropped)
        found.append(
            Shift(name, one, kept, dropped, kept / num_kept, dropped / num_dropped, difference, (low, high),
                  kept / (kept + dropped), keeps, p, float(p_holm))
        )  # fmt: skip
    return tuple(sorted(found, key=lambda one: (-abs(one.difference), one.property, one.value)))


def overlap(reference: str, value_N: FloatArray, selection: Selection, seed: int) -> Overlap:
    """How many of the kept rows are also among as many rows of the highest value; ties are drawn."""
    from scipy.stats import hypergeom

    num, kept = len(value_N), selection.num_kept
    is_highest_N = rank_by(value_N, selection.example_id_N, seed) < kept
    draws = hypergeom(num, kept, kept)
    return Overlap(
        reference, int((is_highest_N & selection.kept_N).sum()), kept * kept / num,
        (int(draws.ppf(0.025)), int(draws.ppf(0.975))),
    )  # fmt: skip


def _sample(selection: Selection, most: int, seed: int) -> IntArray:
    """At most so many rows, drawn by their ids."""
    if len(selection.example_id_N) <= most:
        return np.arange(len(selection.example_id_N))
    return np.sort(np.argsort(seeded_uniform(selection.example_id_N, seed, "audit"), kind="stable")[:most])


def _shares(language_N: Sequence[str], kept_N: BoolArray) -> dict[str, float]:
    counts = Counter(code for code, is_kept in zip(language_N, kept_N, strict=True) if is_kept and code != NOT_TOLD)
    return {code: count / int(kept_N.sum()) for code, count in counts.most_common()}
