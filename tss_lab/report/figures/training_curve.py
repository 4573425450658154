"""The loss over the optimiser's steps."""

from __future__ import annotations

import altair as alt
import numpy as np

from tss_lab.report.charts import Drawing, Ink, categories, values
from tss_lab.report.model import RunReport

SECTION = "training"
ORDER = 10
TITLE = "Training curve"

MAX_POINTS = 400
SMOOTHED_FROM = 20


def draw(report: RunReport, width: int) -> Drawing | None:
    training = report.training
    if training is None or len(training.step_S) < 2:
        return None
    chosen = np.unique(np.linspace(0, len(training.step_S) - 1, min(len(training.step_S), MAX_POINTS)).astype(int))
    colours = {"weighted batch loss": Ink.REST}
    rows = [
        {"step": int(training.step_S[i]), "loss": float(training.loss_S[i]), "what": "weighted batch loss"}
        for i in chosen
    ]
    if len(training.step_S) >= SMOOTHED_FROM:
        window = max(3, len(training.step_S) // 12) | 1
        smooth = np.convolve(training.loss_S, np.ones(window) / window, mode="valid")
        middle = training.step_S[window // 2 : window // 2 + len(smooth)]
        name = f"mean of {window} steps"
        colours[name] = Ink.ACCENT
        rows += [
            {"step": int(middle[i]), "loss": float(smooth[i]), "what": name}
            for i in np.unique(np.linspace(0, len(smooth) - 1, min(len(smooth), MAX_POINTS)).astype(int))
        ]
    else:
        colours["weighted batch loss"] = Ink.ACCENT
    if training.held_out_loss:
        colours["held-out loss"] = Ink.MARK
        rows += [{"step": step, "loss": loss, "what": "held-out loss"} for step, loss in training.held_out_loss]
    chart = (
        alt.Chart(values(rows))
        .mark_line(strokeWidth=1.8, point={"size": 22, "filled": True} if len(chosen) < SMOOTHED_FROM else False)
        .encode(
            x=alt.X(
                "step:Q", title="optimiser step", axis=alt.Axis(grid=False, tickCount=6, tickMinStep=1, format="d")
            ),
            y=alt.Y("loss:Q", title="nats a token", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5)),
            color=alt.Color("what:N", scale=categories(colours)),
        )
        .properties(height=210)
    )
    caption = (
        f"Weighted loss of the first batch {training.loss_S[0]:.3f}, of the last {training.loss_S[-1]:.3f}, after "
        f"{len(training.step_S):,} steps. Batches differ in examples and weights, so single steps go up and down and "
        "these two alone don't tell how much was learnt. The losses here count the "
        "end token, as training does; the held-out measures further down don't."
    )
    return Drawing(chart, caption, f"Line of the weighted training loss of each batch. {caption}")
