"""Lines of the log in place of a bar."""

import logging
from types import SimpleNamespace

import pytest

from tss_lab.sft.progress import MOST_LINES, LossLines


@pytest.mark.parametrize(("steps", "first"), [(3, [1, 2, 3]), (120, [1, 3, 6]), (1000, [1, 20, 40])])
def test_a_line_each_so_many_steps(steps, first, monkeypatch, caplog):
    """The first and the last step are among them, and a resumed training counts on."""
    monkeypatch.setattr(logging.getLogger("tss_lab"), "propagate", True)
    lines = LossLines(steps)
    trainer = SimpleNamespace(is_global_zero=True)
    with caplog.at_level(logging.INFO, "tss_lab"):
        for step in range(1, steps + 1):
            module = SimpleNamespace(curve=[{"step": float(step), "loss": 2.0}], seconds=step * 60.0)
            lines.on_train_batch_end(trainer, module, None, None, 0)
    said = [int(record.args[0]) for record in caplog.records]
    assert said[: len(first)] == first
    assert said[-1] == steps
    assert len(said) <= MOST_LINES + 2
    assert (
        caplog.messages[0]
        == {
            3: "step 1 of 3: loss 2.0000, about 2 min left",
            120: "step 1 of 120: loss 2.0000, about 2.0 h left",
            1000: "step 1 of 1000: loss 2.0000, about 16.6 h left",
        }[steps]
    )
