"""Which (prompt, target) pairs a method needs, as ids: no model yet, only its tokenizer."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tss_lab.errors import ConfigError, DataError
from tss_lab.prompts import PromptEncoder, pair_id
from tss_lab.types import Alternative, Alternatives, Example, PromptKind, SetAside, TokenPair

IfdContext = Literal["bos", "response_header"]

_MERGE_SAMPLE = 2000


@dataclass(frozen=True)
class Plan:
    """All pairs of a run in the order of its examples, identical ones included.

    ``merge_rate`` is the share of examples whose ids would differ if prompt and output were tokenised
    together, over ``num_merge_checked`` evenly spaced examples; None where no prompt is asked for.
    """

    pairs: list[TokenPair]
    set_aside: list[SetAside]
    num_examples: int
    merge_rate: float | None
    num_merge_checked: int

    @property
    def num_truncated(self) -> int:
        """Pairs that were cut to the length limit."""
        return sum(pair.truncated for pair in self.pairs)

    @property
    def num_tokens(self) -> int:
        """Tokens of all pairs, prompt and target, each pair by itself."""
        return sum(len(pair.prompt_ids) + len(pair.target_ids) for pair in self.pairs)

    @property
    def num_target_tokens(self) -> int:
        return sum(len(pair.target_ids) for pair in self.pairs)

    @property
    def num_distinct(self) -> int:
        """Pairs that differ in their ids; each of these is computed once."""
        return len({pair.pair_id for pair in self.pairs})

    def as_dict(self) -> dict[str, Any]:
        """Flat counts for ``run.json`` and ``metrics.json``."""
        return {
            "pairs": len(self.pairs),
            "distinct_pairs": self.num_distinct,
            "examples": self.num_examples,
            "examples_set_aside": len(self.set_aside),
            "pairs_truncated": self.num_truncated,
            "tokens": self.num_tokens,
            "target_tokens": self.num_target_tokens,
            "merge_rate": self.merge_rate,
            "merge_rate_examples": self.num_merge_checked,
        }


def plan_pairs(
    examples: Sequence[Example],
    alternatives: Alternatives,
    kinds: frozenset[PromptKind],
    encoder: PromptEncoder,
    ifd_context: IfdContext = "bos",
) -> Plan:
    """The pairs that ``kinds`` ask for; an example that can't be scored is set aside with its reason.

    Args:
        alternatives: by ``example_id``; read only where ``kinds`` holds ALTERNATIVE.
        ifd_context: what stands before Y in ℓ(Y): the beginning token, or the template's response header.

    Raises ConfigError where ℓ(Y) is asked for and the tokenizer or the template has nothing to begin it with.
    """
    context = _unconditional_context(encoder, ifd_context) if PromptKind.UNCONDITIONAL in kinds else []
    pairs: list[TokenPair] = []
    set_aside: list[SetAside] = []
    for example in examples:
        others = alternatives.get(example.example_id, ()) if PromptKind.ALTERNATIVE in kinds else ()
        if PromptKind.ALTERNATIVE in kinds and not others:
            set_aside.append(_put_aside(example, "it has no alternative instruction"))
            continue
        try:
            pairs += _pairs_of(example, others, kinds, encoder, context)
        except DataError as error:
            set_aside.append(_put_aside(example, str(error)))
    step = max(1, -(-len(examples) // _MERGE_SAMPLE))
    checked = examples[::step] if kinds - {PromptKind.UNCONDITIONAL} else []
    merged = sum(encoder.merges_across_boundary(e.instruction, e.input, e.output) for e in checked)
    return Plan(pairs, set_aside, len(examples), merged / len(checked) if checked else None, len(checked))


def _put_aside(example: Example, reason: str) -> SetAside:
    return SetAside(f"example {example.example_id}", reason, example_id=example.example_id)


def _unconditional_context(encoder: PromptEncoder, ifd_context: IfdContext) -> list[int]:
    if ifd_context == "bos":
        return encoder.unconditional_ids()
    header = encoder.template.response_header
    if not header:
        raise ConfigError(
            f"the ifd setting direct_context=response_header needs a template with a response header, and "
            f"scoring.template={encoder.template.name} has none; take direct_context=bos"
        )
    return encoder.bos_ids + encoder.encode(header)


def _pairs_of(
    example: Example,
    others: Sequence[Alternative],
    kinds: frozenset[PromptKind],
    encoder: PromptEncoder,
    context: list[int],
) -> list[TokenPair]:
    """The pairs of one example: all with the same target ids."""
    asked = [(PromptKind.TRUE, -1, example.instruction)]
    asked += [(PromptKind.ALTERNATIVE, other.alternative_index, other.instruction) for other in others]
    encoded = encoder.encode_example([text for _, _, text in asked], example.input, example.output)
    target = array("i", encoded.target_ids)
    cut_target = any(encoded.truncated) and len(encoder.encode(example.output)) > len(target)

    def pair(kind: PromptKind, index: int, prompt: Sequence[int], truncated: bool) -> TokenPair:
        ids = array("i", prompt)
        return TokenPair(pair_id(ids, target), example.example_id, kind, index, ids, target, truncated)

    pairs = [
        pair(kind, index, prompt, cut)
        for (kind, index, _), prompt, cut in zip(asked, encoded.prompt_ids, encoded.truncated, strict=True)
        if kind in kinds
    ]
    if PromptKind.UNCONDITIONAL in kinds:
        pairs.append(pair(PromptKind.UNCONDITIONAL, -1, context, cut_target))
    return pairs
