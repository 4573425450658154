"""IFD as two other projects define it, written from their descriptions: plain transformers, a pair at a time.

``superfiltering`` is the perplexity ratio of Superfiltering, ``cherry`` the loss ratio of Cherry_LLM with Alpaca's
prompt. Both tokenise prompt and output together and cut the whole from the right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from tss_lab.prompts import Template, get_template
from tss_lab.types import Example

ALPACA = get_template("alpaca")
SUPERFILTERING = Template("superfiltering", "{instruction}\n{input}\n", "{instruction}\n", "")
CHERRY = Template(
    "cherry", ALPACA.with_input.removesuffix("\n"), ALPACA.without_input.removesuffix("\n"), "### Response:"
)
"""Alpaca's prompt without a newline after the last header."""
LONGEST = {"superfiltering": 1024, "cherry": 512}
"""Tokens, as the two projects' own commands have them."""
_FEWEST_LEFT = 4  # cherry leaves out a row that has no more tokens left for the output


@dataclass(frozen=True)
class Framed:
    """The ids of the two passes of one row; ``start`` and ``direct_start`` are the first positions that are scored."""

    ids: list[int]
    start: int
    direct_ids: list[int]
    direct_start: int
    num_target: int
    """Tokens of the whole output after the prompt, before anything is cut."""

    @property
    def lost(self) -> int:
        """Tokens of the output that the cut takes from the pass with the prompt."""
        return self.start + self.num_target - max(len(self.ids), self.start)

    @property
    def scored(self) -> tuple[int, int]:
        """Tokens that each pass is a mean over."""
        return max(len(self.ids) - self.start, 0), max(len(self.direct_ids) - self.direct_start, 0)


def render(template: Template, example: Example) -> str:
    form = template.with_input if example.input else template.without_input
    return form.format(instruction=example.instruction, input=example.input)


def superfiltering_ids(tokenizer: Any, example: Example, max_length: int = LONGEST["superfiltering"]) -> Framed:
    """The output alone may be as long as the prompt leaves room for, and one token more (meant for a beginning token).

    A language model's own loss leaves the very first position unscored: the beginning token where the tokenizer has
    one, the output's first token where it hasn't.
    """
    prompt = tokenizer.encode(render(SUPERFILTERING, example))
    whole = tokenizer.encode(render(SUPERFILTERING, example) + example.output)
    room = max_length - min(len(prompt), max_length) + 1
    direct = tokenizer.encode(example.output)[:room]
    return Framed(whole[:max_length], len(prompt), direct, 1, len(whole) - len(prompt))


def cherry_ids(tokenizer: Any, example: Example, max_length: int = LONGEST["cherry"]) -> Framed | None:
    """The output alone stands after the response header, both in what the prompt leaves of the limit, less two tokens.

    None for a row that is left out because the prompt leaves no room.
    """
    prompt = tokenizer.encode(render(CHERRY, example))
    room = max_length - min(len(prompt), max_length) - 2
    if room <= _FEWEST_LEFT:
        return None
    whole = tokenizer.encode(render(CHERRY, example) + example.output)
    header = tokenizer.encode(CHERRY.response_header)
    direct = tokenizer.encode(CHERRY.response_header + example.output)[:room]
    return Framed(whole[:max_length], len(prompt), direct, len(header), len(whole) - len(prompt))


def superfiltering(model: Any, framed: Framed) -> float:
    """Ratio of perplexities; 0 where computing failed, NaN where a pass has nothing to score."""
    if not framed.direct_ids:
        return 0.0
    return math.exp(mean_nll(model, framed.ids, framed.start) - mean_nll(model, framed.direct_ids, framed.direct_start))


def cherry(model: Any, framed: Framed | None) -> float:
    """Ratio of losses; NaN for a row that is left out."""
    if framed is None or 0 in framed.scored:
        return math.nan
    return mean_nll(model, framed.ids, framed.start) / mean_nll(model, framed.direct_ids, framed.direct_start)


@torch.no_grad()
def mean_nll(model: Any, ids: list[int], start: int) -> float:
    """Mean negative log-likelihood of the positions from ``start`` on, in nats; NaN where there is none."""
    first = max(start, 1)
    if len(ids) <= first:
        return math.nan
    positions = torch.arange(first - 1, len(ids) - 1)
    logits = model(torch.tensor([ids]), logits_to_keep=positions).logits[0].float()
    return float(torch.nn.functional.cross_entropy(logits, torch.tensor(ids[first:])))
