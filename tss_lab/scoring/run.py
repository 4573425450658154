"""One likelihood pass: what the store lacks is computed, and the plan's whole table handed back.

Torch and Lightning are imported only when something is missing.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from tss_lab.config import ScoringConfig, TrainerConfig
from tss_lab.errors import ArtifactError
from tss_lab.models import LocalModel
from tss_lab.models.devices import accelerator, check_devices, num_processes
from tss_lab.prompts import PromptEncoder
from tss_lab.provenance import global_rank, versions
from tss_lab.runs.likelihoods import COLUMNS, labelled
from tss_lab.scoring.plan import Plan
from tss_lab.statistics import spearman
from tss_lab.store import Artifact, Store
from tss_lab.types import TokenPair

if TYPE_CHECKING:
    from tss_lab.scoring.module import ScoringModule

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LikelihoodRun:
    """The likelihoods of a plan, and what it took to have them.

    ``frame`` has ``pair_id`` and the public columns, a row a pair of the plan in its order.
    ``num_tokens`` counts tokens that went through the model, shared prefixes once. Values of a pass
    that wasn't needed are None.
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
    self_check_difference: float | None = None
    float32_rank_correlation: float | None = None

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
            "float32_rank_correlation": self.float32_rank_correlation,
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
) -> LikelihoodRun:
    """The likelihoods of all pairs of ``plan``: those in the store are read, the others computed and stored.

    Every process of a distributed run calls it with the same plan, and all of them meet in the pass,
    even when nothing is missing. Raises ArtifactError when pairs are missing and ``may_compute`` is
    false, ModelError for a model that gives no finite number.
    """
    artifact = store.artifact("likelihoods", likelihood_identity(local_model, encoder, scoring))
    pairs = list({pair.pair_id: pair for pair in reversed(plan.pairs)}.values())[::-1]
    started = time.perf_counter()
    several = num_processes(trainer) > 1
    module: ScoringModule | None = None
    if global_rank() > 0:
        module = _computed(artifact, local_model, scoring, trainer, pairs, [])
        num_due = len(module.due)
    elif (num_due := len(_missing(artifact, pairs))) or several:
        if num_due and not may_compute:
            raise ArtifactError(
                f"{num_due} of {len(pairs)} log-likelihoods are not in {artifact.folder}; add likelihoods to stages"
            )
        with artifact.lock():
            due = _missing(artifact, pairs)  # another run may have computed some while we waited
            num_due = len(due)
            if due or several:
                module = _computed(artifact, local_model, scoring, trainer, pairs, due)
                _write_manifest(artifact)
    seconds = time.perf_counter() - started
    run = LikelihoodRun(
        _joined(artifact, plan.pairs), artifact.fingerprint, len(pairs) - num_due, num_due, seconds, **_facts(module)
    )
    log.info(
        "%d likelihoods: %d from the store, %d computed in %.1f s", len(pairs), len(pairs) - num_due, num_due, seconds
    )
    return run


def _missing(artifact: Artifact, pairs: Sequence[TokenPair]) -> list[int]:
    """Indices of the pairs that the store doesn't hold."""
    asked = pl.DataFrame({"pair_id": [pair.pair_id for pair in pairs]}, schema={"pair_id": pl.String}).with_row_index()
    stored = artifact.scan()
    if stored is None:
        return list(range(len(pairs)))
    found = asked.lazy().join(stored.select("pair_id"), on="pair_id", how="anti").collect(engine="streaming")
    return sorted(found["index"].to_list())


def _joined(artifact: Artifact, pairs: Sequence[TokenPair]) -> pl.DataFrame:
    """The plan's rows with their log-likelihoods, in the plan's order."""
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
    return frame.select("pair_id", *COLUMNS)


def _computed(
    artifact: Artifact,
    local_model: LocalModel,
    scoring: ScoringConfig,
    trainer: TrainerConfig,
    pairs: list[TokenPair],
    due: list[int],
) -> ScoringModule:
    """Runs the pass over the due pairs; they are in the store when it returns."""
    import pytorch_lightning
    from pytorch_lightning.callbacks import RichProgressBar

    from tss_lab.scoring.module import ScoringModule
    from tss_lab.scoring.writer import LikelihoodWriter

    check_devices(trainer)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.accelerators.cuda").setLevel(logging.WARNING)
    module = ScoringModule(local_model.folder, scoring, pairs, due)
    writer = LikelihoodWriter(artifact, scoring.pairs_per_shard)
    shown = sys.stderr.isatty()
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
        runner.predict(module, return_predictions=False)
    runner.strategy.barrier()  # a rank without a pack is here at once; the table is whole when all are
    if module.due and scoring.dtype != "float32" and runner.is_global_zero:
        module.float32_rank_correlation = _against_float32(artifact, module, str(runner.strategy.root_device))
    return module


def _against_float32(artifact: Artifact, module: ScoringModule, device: str, sample: int = 64) -> float:
    """Rank correlation of the computed log-likelihoods with float32 ones, over evenly spaced due pairs."""
    from tss_lab.engine.score import score_pairs
    from tss_lab.models import load_model

    due = module.due[:: max(1, -(-len(module.due) // sample))]
    chosen = [module.pairs[index] for index in due]
    exact, _ = score_pairs(load_model(module.folder, "float32", device=device), chosen, module.scoring)
    found = spearman(_joined(artifact, chosen)["loglik"].to_numpy(), exact)
    log.info("%s against float32 on %d pairs: rank correlation %.4f", module.scoring.dtype, len(chosen), found)
    return found


def _facts(module: ScoringModule | None) -> dict[str, Any]:
    if module is None or module.scorer is None:
        return {}
    return {
        "engine": module.scorer.engine,
        "num_forwards": module.scorer.num_forwards,
        "num_tokens": module.cost.num_tokens if module.cost else None,
        "flops": module.cost.flops if module.cost else None,
        "self_check_difference": module.self_check_difference,
        "float32_rank_correlation": module.float32_rank_correlation,
    }


def _write_manifest(artifact: Artifact) -> None:
    stored = artifact.scan()
    rows = 0 if stored is None else int(stored.select(pl.len()).collect().item())
    artifact.write_manifest(complete=True, counts={"rows": rows}, versions=versions())
