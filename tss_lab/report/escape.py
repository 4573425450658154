"""Text as Markdown and LaTeX show it: whatever it holds, it stays text."""

from __future__ import annotations

import re

_MARKDOWN = re.compile(r"([\\`*_|<\[])")
_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": "$-$", "ρ": r"$\rho$", "Δ": r"$\Delta$",
    "τ": r"$\tau$", "α": r"$\alpha$", "λ": r"$\lambda$", "Σ": r"$\Sigma$", "²": r"$^2$", "·": r"$\cdot$",
    "–": "--", "…": r"\dots{}", "\u00a0": "~", "≥": r"$\geq$", "≤": r"$\leq$", "|": r"\textbar{}",
    "<": r"\textless{}", ">": r"\textgreater{}",
    "[": "{[}",  # LaTeX reads a row that begins with [ as a length
})  # fmt: skip


def markdown(text: str) -> str:
    """One line of GitHub's Markdown."""
    return _MARKDOWN.sub(r"\\\1", re.sub(r"\s+", " ", text))


def latex(text: str) -> str:
    """One line of LaTeX; signs and Greek letters as commands."""
    return re.sub(r"[^\S\u00a0]+", " ", text).translate(_LATEX)
