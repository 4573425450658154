"""Prompts: how they read, and the one place where a (prompt, target) becomes token ids.

Scoring, training and generation all go through here, so that the ids a model is scored on are the ids it
is trained on and meets in use (docs/method.md, Tokens).
"""

from tss_lab.prompts.chat import ChatFormat
from tss_lab.prompts.encode import EncodedExample, PromptEncoder, pair_id
from tss_lab.prompts.special import SpecialTokens
from tss_lab.prompts.templates import TEMPLATES, Template, get_template

__all__ = [
    "TEMPLATES",
    "ChatFormat",
    "EncodedExample",
    "PromptEncoder",
    "SpecialTokens",
    "Template",
    "get_template",
    "pair_id",
]
