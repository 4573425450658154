"""The likelihood table: rows of the store, a run's ``likelihoods.parquet``, and dense arrays for the scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from tss_lab.errors import ArtifactError
from tss_lab.types import FloatArray, IntArray, Likelihoods, PromptKind, TokenLikelihoods, TokenPair

COLUMNS = {
    "example_id": pl.String,
    "prompt_kind": pl.String,
    "alternative_index": pl.Int32,
    "loglik": pl.Float64,
    "n_target_tokens": pl.Int32,
    "n_prompt_tokens": pl.Int32,
    "truncated": pl.Boolean,
}
"""The public columns of a run's table, in order; ``token_loglik`` follows where it was asked for."""
TOKENS = pl.List(pl.Float32)
"""The type of ``token_loglik``: a value a target token, in nats."""


def stored_rows(pairs: Sequence[TokenPair], loglik_P: Sequence[float] | FloatArray) -> pl.DataFrame:
    """Rows of the store: ``pair_id`` and the public columns, labelled as the pair was first asked for."""
    labels = labelled(pairs)
    return labels.with_columns(pl.Series("loglik", loglik_P, dtype=pl.Float64)).select("pair_id", *COLUMNS)


def stored_tokens(pairs: Sequence[TokenPair], logprobs: Sequence[FloatArray]) -> pl.DataFrame:
    """Rows of the store's tokens: ``pair_id`` and ``token_loglik``."""
    columns = {"pair_id": [pair.pair_id for pair in pairs], "token_loglik": [row.tolist() for row in logprobs]}
    return pl.DataFrame(columns, schema={"pair_id": pl.String, "token_loglik": TOKENS})


def labelled(pairs: Sequence[TokenPair]) -> pl.DataFrame:
    """The pairs of a plan without their log-likelihoods."""
    schema = {"pair_id": pl.String} | {name: kind for name, kind in COLUMNS.items() if name != "loglik"}
    return pl.DataFrame(
        {
            "pair_id": [pair.pair_id for pair in pairs],
            "example_id": [pair.example_id for pair in pairs],
            "prompt_kind": [pair.kind.value for pair in pairs],
            "alternative_index": [pair.alternative_index for pair in pairs],
            "n_target_tokens": [len(pair.target_ids) for pair in pairs],
            "n_prompt_tokens": [len(pair.prompt_ids) for pair in pairs],
            "truncated": [pair.truncated for pair in pairs],
        },
        schema=schema,
    )


def to_likelihoods(frame: pl.DataFrame) -> Likelihoods:
    """Dense arrays of N examples, in the order of their first rows.

    Raises ArtifactError when an example has a row twice, or targets of different lengths.
    """
    frame = frame.select(*COLUMNS, *(name for name in ("token_loglik",) if name in frame.columns))
    examples = frame.select(pl.col("example_id").unique(maintain_order=True)).with_row_index("row")
    rows = frame.join(examples, on="example_id", how="left")
    keys = rows.select("row", "prompt_kind", "alternative_index")
    if keys.is_duplicated().any():
        twice = rows.filter(keys.is_duplicated())["example_id"][0]
        raise ArtifactError(f"the likelihood table holds a row of example {twice} twice; remove it and run again")
    lengths = rows.group_by("row").agg(pl.col("n_target_tokens").n_unique().alias("kinds")).filter(pl.col("kinds") > 1)
    if len(lengths):
        odd = examples["example_id"][int(lengths["row"][0])]
        raise ArtifactError(f"example {odd} has targets of different lengths in the likelihood table; run again")
    return _dense(examples["example_id"], rows)


def _dense(example_ids: pl.Series, rows: pl.DataFrame) -> Likelihoods:
    num = len(example_ids)
    true_N, unconditional_N = np.full(num, np.nan), np.full(num, np.nan)
    tokens_N = np.zeros(num, dtype=np.int64)
    tokens_N[rows["row"].to_numpy()] = rows["n_target_tokens"].to_numpy()
    for kind, column_N in ((PromptKind.TRUE, true_N), (PromptKind.UNCONDITIONAL, unconditional_N)):
        chosen = rows.filter(pl.col("prompt_kind") == kind.value)
        column_N[chosen["row"].to_numpy()] = chosen["loglik"].to_numpy()
    # Alternatives keep their order, close ranks where an index is missing, and are padded with −inf.
    chosen = rows.filter(pl.col("prompt_kind") == PromptKind.ALTERNATIVE.value).sort("row", "alternative_index")
    row = chosen["row"].to_numpy()
    count_N = np.bincount(row, minlength=num).astype(np.int64)
    first_N = np.cumsum(count_N) - count_N
    alternative_NK = np.full((num, int(count_N.max(initial=0))), -np.inf)
    alternative_NK[row, np.arange(len(row)) - first_N[row]] = chosen["loglik"].to_numpy()
    return Likelihoods(
        example_id_N=np.array(example_ids.to_list(), dtype=object),
        true_loglik_N=true_N,
        alternative_loglik_NK=alternative_NK,
        num_alternatives_N=count_N,
        unconditional_loglik_N=unconditional_N,
        num_target_tokens_N=tokens_N,
        tokens=_by_token(rows, chosen, tokens_N, count_N) if "token_loglik" in rows.columns else None,
    )


def _by_token(
    rows: pl.DataFrame, alternatives: pl.DataFrame, tokens_N: IntArray, count_N: IntArray
) -> TokenLikelihoods:
    """The lists of the table as flat arrays. Raises ArtifactError where a list isn't as long as its target."""
    odd = rows.filter(pl.col("token_loglik").list.len().fill_null(0) != pl.col("n_target_tokens"))
    if len(odd):
        raise ArtifactError(
            f"token_loglik of example {odd['example_id'][0]} doesn't have a value for each target token; run again"
        )
    first_N = np.cumsum(tokens_N) - tokens_N
    total = int(tokens_N.sum())

    def flat(kind: PromptKind) -> FloatArray:
        value_R = np.full(total, np.nan)
        mine = rows.filter(pl.col("prompt_kind") == kind.value).sort("row")
        row = mine["row"].to_numpy()
        value_R[_positions(first_N[row], tokens_N[row])] = mine["token_loglik"].explode().to_numpy()
        return value_R

    alternative_RK = np.full((total, int(count_N.max(initial=0))), -np.inf)
    row = alternatives["row"].to_numpy()
    column = np.arange(len(row)) - (np.cumsum(count_N) - count_N)[row]
    values = alternatives["token_loglik"].explode().to_numpy()
    alternative_RK[_positions(first_N[row], tokens_N[row]), np.repeat(column, tokens_N[row])] = values
    return TokenLikelihoods(first_N, flat(PromptKind.TRUE), alternative_RK, flat(PromptKind.UNCONDITIONAL))


def _positions(first_N: IntArray, count_N: IntArray) -> IntArray:
    """``first`` to ``first + count − 1`` of each, on end."""
    inside = np.arange(int(count_N.sum())) - np.repeat(np.cumsum(count_N) - count_N, count_N)
    return np.asarray(np.repeat(first_N, count_N) + inside, dtype=np.int64)


def iter_likelihoods(paths: Sequence[Path], rows: int = 1_000_000) -> Iterator[Likelihoods]:
    """Reads tables too large for memory: about so many rows at a time, never cutting through an example.

    The rows of an example must stand together, as a run writes them.
    Raises ArtifactError for a file that isn't a likelihood table.
    """
    held: pl.DataFrame | None = None
    for path in paths:
        for piece in _row_groups(path, rows):
            held = piece if held is None else pl.concat([held, piece])
            if len(held) < rows:
                continue
            last = held["example_id"][-1]
            whole = held.filter(pl.col("example_id") != last)
            if len(whole):
                yield to_likelihoods(whole)
            held = held.filter(pl.col("example_id") == last)
    if held is not None and len(held):
        yield to_likelihoods(held)


def _row_groups(path: Path, rows: int) -> Iterator[pl.DataFrame]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        for batch in file.iter_batches(batch_size=rows, columns=list(COLUMNS)):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield frame.cast(COLUMNS)  # type: ignore[arg-type]
    except (pa.ArrowInvalid, pl.exceptions.PolarsError) as error:
        raise ArtifactError(f"{path} is not a likelihood table: {error}") from error
