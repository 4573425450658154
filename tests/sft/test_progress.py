"""Lines of the log in place of a bar."""

from types import SimpleNamespace

import pytest

from tss_lab.sft import progress


@pytest.mark.parametrize(
    ("steps", "first", "left"), [(3, [1, 2, 3], "2 min"), (120, [1, 3, 6], "2.0 h"), (1001, [1, 21, 42], "16.7 h")]
)
def test_a_line_each_so_many_steps(steps, first, left, monkeypatch):
    """The first and the last step are among them; the time left is that of the steps so far."""
    said = []
    monkeypatch.setattr(progress.log, "info", lambda text, *values: said.append((values[0], text % values)))
    lines = progress.LossLines(steps)
    for step in range(1, steps + 1):
        module = SimpleNamespace(curve=[{"step": float(step), "loss": 2.0}], seconds=step * 60.0)
        lines.on_train_batch_end(SimpleNamespace(is_global_zero=True), module, None, None, 0)
    assert [step for step, _ in said[:3]] == first
    assert said[0][1] == f"step 1 of {steps}: loss 2.0000, about {left} left"
    assert said[-1][1] == f"step {steps} of {steps}: loss 2.0000, about 0 s left"
    assert len(said) <= progress.MOST_LINES + 2
