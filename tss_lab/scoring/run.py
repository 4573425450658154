"""One likelihood pass: what the store lacks is computed, and the plan's whole table handed back.

Torch and Lightning are imported only when something is missing.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from tss_lab.config import ScoringConfig, TrainerConfig
from tss_lab.errors import ArtifactError
from tss_lab.models import LocalModel
from tss_lab.models.devices import accelerator, check_devices, num_processes
from tss_lab.prompts import PromptEncoder
from tss_lab.provenance import global_rank, versions
from tss_lab.runs.likelihoods import COLUMNS, TOKENS, labelled
from tss_lab.scoring.plan import Plan
from tss_lab.scoring.quality import (
    Quality,
    against_float32,
    noted_qualities,
    quality_of,
    sample_name,
    sample_of,
    with_quality,
)
from tss_lab.scoring.turn import Turn
from tss_lab.store import Artifact, Store
from tss_lab.types import TokenPair

if TYPE_CHECKING:
    from tss_lab.engine.self_check import SelfCheck
    from tss_lab.scoring.module import ScoringModule

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LikelihoodRun:
    """The likelihoods of a plan, and what it took to have them.

    ``frame`` has ``pair_id`` and the public columns, a row a pair of the plan in its order.
    ``num_tokens`` counts tokens that went through the model, shared prefixes once. Values of a pass
    that wasn't needed are None. ``self_check`` compares a few pairs with the plain path; ``quality`` is what
    the store knows of a low precision, from this pass or an earlier one.
    """

    frame: pl.DataFrame
    fingerprint: str
    num_resumed: int
    num_computed: int
    seconds: float
    engine: str | None = None
    num_forwards: int = 0
    num_tokens: int | None = None
    flops: float | None = None
    self_check: SelfCheck | None = None
    quality: Quality | None = None

    @property
    def self_check_difference(self) -> float | None:
        """The largest distance of a log-likelihood from the plain path's, in nats."""
        return None if self.self_check is None else self.self_check.difference

    @property
    def float32_rank_correlation(self) -> float | None:
        return None if self.quality is None else self.quality.float32_rank_correlation

    def as_dict(self) -> dict[str, Any]:
        """Flat numbers for ``run.json`` and ``metrics.json``."""
        per_second = None if self.num_tokens is None or not self.seconds else self.num_tokens / self.seconds
        return {
            "fingerprint": self.fingerprint,
            "pairs_resumed": self.num_resumed,
            "pairs_computed": self.num_computed,
            "seconds": self.seconds,
            "engine": self.engine,
            "forward_passes": self.num_forwards,
            "tree_tokens": self.num_tokens,
            "tree_tokens_per_second": per_second,
            "flops": self.flops,
            "self_check_max_difference": self.self_check_difference,
            "self_check_max_difference_per_token": None if self.self_check is None else self.self_check.per_token,
            "self_check_tolerance_per_token": None if self.self_check is None else self.self_check.tolerance,
            "float32_rank_correlation": self.float32_rank_correlation,
            "float32_rank_correlation_pairs": None if self.quality is None else self.quality.float32_pairs,
        }


def likelihood_identity(local_model: LocalModel, encoder: PromptEncoder, scoring: ScoringConfig) -> dict[str, Any]:
    """All that determines the number of a pair: weights, tokenizer, template, token rule, limit, precision."""
    return {**local_model.identity(), **encoder.identity(), "dtype": scoring.dtype}


def compute_likelihoods(
    plan: Plan,
    local_model: LocalModel,
    encoder: PromptEncoder,
    scoring: ScoringConfig,
    trainer: TrainerConfig,
    store: Store,
    *,
    may_compute: bool = True,
    per_token: bool = False,
) -> LikelihoodRun:
    """The likelihoods of all pairs of ``plan``: those in the store are read, the others computed and stored.

    Args:
        per_token: whether the frame also has ``token_loglik``, the log-likelihood of each target token. Pairs of
            which the store knows the sum alone are computed again for it.

    Every process of a distributed run calls it with the same plan, and all of them meet in the pass,
    even when nothing is missing. Raises ArtifactError when pairs are missing and ``may_compute`` is
    false, ModelError for a model that gives no finite number.
    """
    identity = likelihood_identity(local_model, encoder, scoring)
    artifact = store.artifact("likelihoods", identity)
    tokens = store.artifact("token_likelihoods", identity) if per_token else None
    pairs = list({pair.pair_id: pair for pair in reversed(plan.pairs)}.values())[::-1]
    started = time.perf_counter()
    leads = global_rank() == 0
    turn = Turn(artifact, pairs, tokens)
    num_due = len(turn.lacking()[0]) if leads else 0
    if num_due and not may_compute:
        raise ArtifactError(
            f"{num_due} of {len(pairs)} log-likelihoods are not in {artifact.folder}; add likelihoods to stages"
        )
    unmeasured = may_compute and scoring.dtype != "float32" and bool(pairs) and quality_of(artifact, pairs) is None
    facts: dict[str, Any] = {}
    if num_due or unmeasured or num_processes(trainer) > 1:
        if per_token and leads:
            log.info("token by token: %.1f MB in the store for all pairs", plan.num_target_tokens * 4 / 1e6)
        with closing(turn):
            module, device = _computed(turn, local_model, scoring, trainer)
            num_due, facts = len(module.due), _facts(module)
            if leads:
                _write_manifest(artifact, noted_qualities(artifact))
                if tokens is not None:
                    _write_manifest(tokens, {})
                if scoring.dtype != "float32" and (num_due or unmeasured):
                    _measure(artifact, local_model, scoring, pairs, device)
    seconds = time.perf_counter() - started
    run = LikelihoodRun(
        _joined(artifact, plan.pairs, tokens), artifact.fingerprint, len(pairs) - num_due, num_due, seconds,
        quality=quality_of(artifact, pairs), **facts,
    )  # fmt: skip
    log.info(
        "%d likelihoods: %d from the store, %d computed in %.1f s", len(pairs), len(pairs) - num_due, num_due, seconds
    )
    return run


def _joined(artifact: Artifact, pairs: Sequence[TokenPair], tokens: Artifact | None = None) -> pl.DataFrame:
    """The plan's rows with their log-likelihoods and, from ``tokens``, those of their tokens, in the plan's order."""
    asked = labelled(pairs)
    stored = artifact.scan()
    if stored is None:
        if len(asked):
            raise ArtifactError(f"{artifact.folder} holds no likelihoods; run again to compute them")
        return asked.with_columns(pl.lit(None, dtype=pl.Float64).alias("loglik")).select("pair_id", *COLUMNS)
    known = stored.select("pair_id", "loglik").unique("pair_id")
    frame = asked.lazy().join(known, on="pair_id", how="left", maintain_order="left").collect()
    if frame["loglik"].null_count():
        raise ArtifactError(f"{frame['loglik'].null_count()} likelihoods vanished from {artifact.folder}; run again")
    frame = frame.select("pair_id", *COLUMNS)
    return frame if tokens is None else _with_tokens(frame, tokens)


def _with_tokens(frame: pl.DataFrame, tokens: Artifact) -> pl.DataFrame:
    stored = tokens.scan()
    if stored is None:
        return frame.with_columns(pl.lit(None, dtype=TOKENS).alias("token_loglik"))
    known = stored.unique("pair_id")
    found = frame.lazy().join(known, on="pair_id", how="left", maintain_order="left").collect()
    if found["token_loglik"].null_count():
        raise ArtifactError(
            f"{found['token_loglik'].null_count()} pairs' tokens vanished from {tokens.folder}; run again"
        )
    return found


def _computed(
    turn: Turn, local_model: LocalModel, scoring: ScoringConfig, trainer: TrainerConfig
) -> tuple[ScoringModule, str]:
    """Runs the pass over what is due; it is in the store when this returns, and the model is gone.

    Returns the module and the device that it ran on.
    """
    import pytorch_lightning
    from pytorch_lightning.callbacks import RichProgressBar

    from tss_lab.scoring.module import ScoringModule
    from tss_lab.scoring.writer import LikelihoodWriter

    check_devices(trainer)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.accelerators.cuda").setLevel(logging.WARNING)
    module = ScoringModule(local_model.folder, scoring, list(turn.pairs), turn)
    writer = LikelihoodWriter(turn, scoring.pairs_per_shard)
    shown = sys.stderr.isatty() and log.isEnabledFor(logging.INFO)  # who wants no lines wants no bar
    runner = pytorch_lightning.Trainer(
        accelerator=accelerator(trainer),
        devices=trainer.devices,
        num_nodes=trainer.num_nodes,
        strategy="ddp" if trainer.strategy == "fsdp" else trainer.strategy,
        precision="32-true",  # the model keeps the precision it was loaded in: no autocast
        callbacks=[writer, RichProgressBar()] if shown else [writer],
        enable_progress_bar=shown,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    with warnings.catch_warnings():
        # A batch is a pack of indices already; Lightning looks for a sampler and says that it found none.
        warnings.filterwarnings("ignore", message="Couldn't infer the batch indices")
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        warnings.filterwarnings("ignore", message=".*treespec.*")  # Lightning's own use of torch
        try:
            runner.predict(module, return_predictions=False)
        finally:
            module.release()
    runner.strategy.barrier()  # a rank without a pack is here at once; the table is whole when all are
    return module, str(runner.strategy.root_device)


def _write_manifest(artifact: Artifact, qualities: Mapping[str, Quality]) -> None:
    """What the artefact holds now, and what is known of its precision."""
    stored = artifact.scan()
    rows = 0 if stored is None else int(stored.select(pl.len()).collect().item())
    noted = {name: asdict(quality) for name, quality in qualities.items()}
    artifact.write_manifest(complete=True, counts={"rows": rows}, versions=versions(), quality=noted)


def _measure(
    artifact: Artifact, local_model: LocalModel, scoring: ScoringConfig, pairs: Sequence[TokenPair], device: str
) -> None:
    """Compares a low precision with float32 over a sample of the plan, and notes it in the manifest."""
    sample = sample_of(pairs)
    name, noted = sample_name(sample), noted_qualities(artifact)
    # Noted beforehand: should the system kill us for the memory, the next run doesn't try again.
    _write_manifest(artifact, with_quality(noted, name, Quality(None, len(sample), "the comparison didn't end")))
    loglik_P = _joined(artifact, sample)["loglik"].to_numpy()
    found = against_float32(local_model.folder, scoring, sample, loglik_P, device)
    _write_manifest(artifact, with_quality(noted, name, found))


def _facts(module: ScoringModule) -> dict[str, Any]:
    if module.scorer is None:
        return {}
    return {
        "engine": module.scorer.engine,
        "num_forwards": module.scorer.num_forwards,
        "num_tokens": module.cost.num_tokens if module.cost else None,
        "flops": module.cost.flops if module.cost else None,
        "self_check": module.scorer.checked,
    }
