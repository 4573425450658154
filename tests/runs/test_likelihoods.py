"""From rows to dense arrays, whole or piece by piece."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tss_lab.errors import ArtifactError
from tss_lab.runs.likelihoods import COLUMNS, iter_likelihoods, to_likelihoods

ROWS = [
    ("b", "true", -1, -1.0, 3),
    ("b", "alternative", 2, -4.0, 3),
    ("b", "alternative", 0, -2.0, 3),
    ("a", "unconditional", -1, -9.0, 5),
    ("a", "true", -1, -5.0, 5),
]


def frame_of(rows) -> pl.DataFrame:
    names = ["example_id", "prompt_kind", "alternative_index", "loglik", "n_target_tokens"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    return frame.with_columns(n_prompt_tokens=7, truncated=False).cast(pl.Schema(COLUMNS))


def test_rows_become_arrays():
    """By hand: first appearance orders, gaps between alternatives close, −inf pads, NaN is what nobody asked for."""
    found = to_likelihoods(frame_of(ROWS))
    assert found.example_id_N.tolist() == ["b", "a"]
    assert found.true_loglik_N.tolist() == [-1.0, -5.0]
    assert found.alternative_loglik_NK.tolist() == [[-2.0, -4.0], [-np.inf, -np.inf]]
    assert found.num_alternatives_N.tolist() == [2, 0]
    assert np.isnan(found.unconditional_loglik_N[0])
    assert found.unconditional_loglik_N[1] == -9.0
    assert found.num_target_tokens_N.tolist() == [3, 5]


def test_a_row_twice_is_refused():
    with pytest.raises(ArtifactError, match="example b twice"):
        to_likelihoods(frame_of([*ROWS, ROWS[0]]))


def test_targets_of_different_lengths_are_refused():
    with pytest.raises(ArtifactError, match="different lengths"):
        to_likelihoods(frame_of([*ROWS, ("a", "alternative", 0, -1.0, 4)]))


def test_an_empty_table_is_no_examples():
    assert len(to_likelihoods(frame_of([]))) == 0


@settings(deadline=None, max_examples=40)
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=12), rows=st.integers(1, 9), cut=st.integers(0, 12))
def test_pieces_make_the_whole(tmp_path_factory, sizes, rows, cut):
    """Whatever the piece size and wherever one file ends, no example is cut in two."""
    table = frame_of([(f"e{i}", "alternative", k, -float(i + k), 3) for i, n in enumerate(sizes) for k in range(n)])
    folder = tmp_path_factory.mktemp("pieces")
    table[:cut].write_parquet(folder / "1.parquet")
    table[cut:].write_parquet(folder / "2.parquet")
    pieces = list(iter_likelihoods([folder / "1.parquet", folder / "2.parquet"], rows))
    whole = to_likelihoods(table)
    assert [i for piece in pieces for i in piece.example_id_N] == whole.example_id_N.tolist()
    sums = [float(row[np.isfinite(row)].sum()) for piece in pieces for row in piece.alternative_loglik_NK]
    assert sums == [float(row[np.isfinite(row)].sum()) for row in whole.alternative_loglik_NK]


def test_a_foreign_file_is_named(tmp_path):
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(ArtifactError, match=r"other\.parquet"):
        list(iter_likelihoods([tmp_path / "other.parquet"]))
