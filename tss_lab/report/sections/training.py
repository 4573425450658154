"""Fine-tuning: what it was, and the loss over the optimiser's steps."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from tss_lab.report.charts import Drawing, Ink, categories, figure, values
from tss_lab.report.numbers import number
from tss_lab.report.parts import Facts, Section, section
from tss_lab.runs import Run, Training
from tss_lab.types import FloatArray, IntArray

ORDER = 60

_MAX_POINTS = 400
_SMOOTHED_FROM = 20
_MOST_TICKS = 6
_BATCH_LOSS, _HELD_OUT_LOSS = "weighted batch loss", "held-out loss"


def training(run: Run) -> Section | None:
    done = run.training
    if done is None:
        return None
    drawn = figure("training_curve", "Training curve", lambda width: _curve(done))
    return section("training", "Training", "Fine-tuning on what was kept.", [_facts(run, done), drawn])


def _facts(run: Run, done: Training) -> Facts | None:
    sft = run.config.sft
    return Facts.known([
        ("Optimiser steps", number(int(done.step_S[-1]) if len(done.step_S) else 0)),
        ("Training examples", number(run.metrics.get("sft/examples"), 0)),
        ("Target tokens seen", number(run.metrics.get("sft/target_tokens"), 0)),
        ("learning rate", str(sft.learning_rate)),
        ("schedule", f"{sft.schedule}, warm-up {sft.warmup_ratio:.0%}"),
        ("examples a step", str(sft.batch_size)),
        ("reused", "yes, this very training was finished before" if done.reused else "no"),
    ])  # fmt: skip


def _curve(done: Training) -> Drawing | None:
    if len(done.step_S) < 2:
        return None
    is_smoothed = len(done.step_S) >= _SMOOTHED_FROM
    colours = {_BATCH_LOSS: Ink.REST if is_smoothed else Ink.ACCENT}
    rows = _points(_BATCH_LOSS, done.step_S, done.loss_S)
    if is_smoothed:
        window = max(3, len(done.step_S) // 12) | 1
        smooth_S = np.convolve(done.loss_S, np.ones(window) / window, mode="valid")
        name = f"mean of {window} steps"
        colours[name] = Ink.ACCENT
        rows += _points(name, done.step_S[window // 2 : window // 2 + len(smooth_S)], smooth_S)
    if done.held_out_loss:
        colours[_HELD_OUT_LOSS] = Ink.MARK
        rows += [{"step": step, "loss": loss, "what": _HELD_OUT_LOSS} for step, loss in done.held_out_loss]
    chart = (
        alt.Chart(values(rows))
        .mark_line(strokeWidth=1.8, point=False if is_smoothed else {"size": 22, "filled": True})
        .encode(
            x=alt.X("step:Q", title="optimiser step", axis=_step_axis([row["step"] for row in rows])),
            y=alt.Y("loss:Q", title="nats a token", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5)),
            color=alt.Color("what:N", scale=categories(colours)),
        )
        .properties(height=210)
    )
    caption = (
        f"Weighted loss of the first batch {done.loss_S[0]:.3f}, of the last {done.loss_S[-1]:.3f}, after "
        f"{len(done.step_S):,} steps. Batches differ in examples and weights, so single steps go up and down and "
        "these two alone don't tell how much was learnt. The losses here count the "
        "end token, as training does; the held-out measures further down don't."
    )
    return Drawing(chart, caption, f"Line of the weighted training loss of each batch. {caption}")


def _points(what: str, step_S: IntArray, loss_S: FloatArray) -> list[dict[str, Any]]:
    """A dot a step; of a long training as many as a screen can show."""
    chosen = np.unique(np.linspace(0, len(step_S) - 1, min(len(step_S), _MAX_POINTS)).astype(int))
    return [{"step": int(step_S[i]), "loss": float(loss_S[i]), "what": what} for i in chosen]


def _step_axis(steps: list[int]) -> alt.Axis:
    """Whole steps only: a short training has a tick each."""
    first, last = min(steps), max(steps)
    if last - first <= _MOST_TICKS:
        return alt.Axis(grid=False, format="d", values=list(range(first, last + 1)))
    return alt.Axis(grid=False, format="d", tickCount=_MOST_TICKS, tickMinStep=1)
