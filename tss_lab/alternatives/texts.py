"""The words with which generators are asked. All of them are part of the artefact's identity.

The first two are the prompts of the paper's appendix, word for word; the rest is ours, for small
generators that don't keep the list format on their own.
"""

from __future__ import annotations

PAPER_WITH_INPUT = """Generate exactly {k} distinct task instructions for the input below.

Each instruction must:

- Be answerable using only that input (no external documents).
- Ask for a different type of output than the others.
- Be a single sentence, at most 25 words.

Return a numbered list (1., 2., ...) with one instruction per line.

Do not include any explanations, headers, or extra text."""

PAPER_WITHOUT_INPUT = """\
Given the original task instruction below, generate exactly {k} distinct alternative task instructions \
that do NOT require any extra input text.

Each alternative instruction must:

- Be about the same general topic or domain as the original instruction.
- Ask for a different type of output or perspective (not just a paraphrase).
- Be a single sentence, at most 25 words.

Return a numbered list (1., 2., ...) with one instruction per line.

Do not include any explanations, headers, or extra text."""

USER_WITH_INPUT = "Input:\n\n{input_text}"
USER_WITHOUT_INPUT = "Original instruction:\n\n{original_instruction}"

LINE_WITH_INPUT = "Write one task instruction about the input below, in a single sentence of at most 25 words."
LINE_WITHOUT_INPUT = (
    "Write one new task instruction about the same topic as the original instruction below, in a single sentence of "
    "at most 25 words."
)
BEGIN_WITH = '{user}\n\nBegin with "{begun}".'
"""For generators whose reply can't be begun for them."""

# Worked examples: an input (or an instruction) and what could be asked instead.
EXAMPLES_WITH_INPUT = (
    (
        "The ferry to Skye was cancelled on Sunday because of high winds, and forty passengers spent the night in the "
        "harbour hall.",
        (
            "Summarize the incident in at most eight words.",
            "List every place that the text mentions.",
            "Write a headline about this for a local newspaper.",
            "Translate the text into Spanish.",
            "Explain in one sentence why the passengers had to wait.",
            "Classify the tone of the text as neutral, worried or angry.",
        ),
    ),
    (
        "apples, bread, soap, batteries, milk",
        (
            "Sort the items in alphabetical order.",
            "Name the items that can't be eaten.",
            "Count how many items are on the list.",
            "Write a short note asking a friend to buy these items.",
            "Group the items by the shelf where a shop would keep them.",
            "Replace each item with a cheaper one.",
        ),
    ),
)
EXAMPLES_WITHOUT_INPUT = (
    (
        "Explain how bees make honey.",
        (
            "Write a short poem about a bee collecting nectar.",
            "List five plants that attract bees to a garden.",
            "Compare the work of honey bees with that of bumblebees.",
            "Describe the tools that a beekeeper needs in the first year.",
            "Argue that towns should allow beehives on roofs.",
            "Compose three quiz questions about honey.",
        ),
    ),
    (
        "Give me tips for a first job interview.",
        (
            "Write a polite e-mail that confirms the date of a job interview.",
            "Name ten questions that interviewers often ask.",
            "Describe a job interview that goes wrong in a funny way.",
            "Outline a one-hour workshop on job interviews for students.",
            "Explain why companies hold several rounds of interviews.",
            "Compare interviews on the phone with interviews in person.",
        ),
    ),
)

# The same for one line at a time. Short, because every request carries them.
LINE_EXAMPLES_WITH_INPUT = (
    (
        "The ferry to Skye was cancelled on Sunday because of high winds.",
        "Name the day on which the ferry did not sail.",
    ),
    ("apples, bread, soap, batteries", "Sort these items in alphabetical order."),
    ("My sister repairs old clocks in a shop near the harbour.", "Explain what the sister does for a living."),
)
LINE_EXAMPLES_WITHOUT_INPUT = (
    ("Explain how bees make honey.", "List five plants that attract bees to a garden."),
    ("Give me tips for a first job interview.", "Write a polite e-mail that confirms the date of a job interview."),
    ("What is the capital of Peru?", "Describe a walk through the old town of Lima."),
)

# How a line may begin. Every one fits any input (or topic); no two ask for the same kind of output.
BEGINNINGS_WITH_INPUT = (
    "Summarize the",
    "Translate this into",
    "List the",
    "Rewrite this as",
    "Explain why",
    "Classify the",
    "Write a title for",
    "Extract the",
    "Count the",
    "Write a question about",
    "Describe the",
    "Identify the",
    "Continue this with",
    "Name the",
    "Simplify this",
    "Decide whether",
    "Find the most important",
    "Turn this into",
    "Give the opposite of",
    "Compare the",
)
BEGINNINGS_WITHOUT_INPUT = (
    "Write a short story about",
    "List five",
    "Explain why",
    "Compare",
    "Describe",
    "Write a poem about",
    "Give three reasons",
    "Outline",
    "Argue that",
    "Define",
    "Suggest",
    "Write a dialogue about",
    "Summarize the history of",
    "Write a quiz question about",
    "Name the",
    "Write a headline about",
    "Plan",
    "Give an example of",
    "Discuss whether",
    "Write a letter about",
)
