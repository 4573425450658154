"""Generator ``transformers``: a chat model in this process.

What requests of a batch have in common is computed once: the beginning that all of them share (the
worked examples), and the prompt of an example whose lines are asked one by one. Sampling draws one
uniform number a token from a stream of the request's own, so that a reply doesn't depend on what else
is asked; batches are cut in a fixed order and yielded whole, so that a resumed run repeats them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tss_lab.alternatives.generator import Reply, Request, Turn, request_seed
from tss_lab.config import GeneratorConfig
from tss_lab.errors import ConfigError, GeneratorError
from tss_lab.models import load_model, load_tokenizer, resolve_model
from tss_lab.models.devices import local_cuda_device
from tss_lab.prompts import ChatFormat

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

_NUCLEUS_CANDIDATES = 1024  # the nucleus nearly always lies within; rows where it doesn't are sorted in full
_COMPACT_BELOW = 0.75  # finished rows are dropped from the batch when so few are left


class TransformersGenerator:
    """See ``Generator``. Weights are loaded at the first ``ask``."""

    def __init__(self, config: GeneratorConfig, cache: Path):
        if config.model is None:
            raise ConfigError(
                f"generator={config.name} has no model; set generator.model.path to a Hub id or a directory"
            )
        self.config = config
        self._local = resolve_model(config.model, cache)
        self._tokenizer = load_tokenizer(self._local.folder)
        if not self._tokenizer.chat_template:
            raise ConfigError(
                f"generator={config.name}: the tokenizer has no chat template, so it is no instruct model; "
                "choose one that is"
            )
        self._chat = ChatFormat(self._tokenizer)
        self._loaded: PreTrainedModel | None = None
        self._line_break: dict[int, bool] = {}

    def identity(self) -> dict[str, Any]:
        """Weights, tokenizer, sampling and seed."""
        return {
            "kind": "transformers",
            **self._local.identity(),
            "dtype": self.config.dtype,
            "temperature": self.config.temperature,
            "top_p": self.config.top_p,
            "max_new_tokens": self.config.max_new_tokens,
            "seed": self.config.seed,
            "sampling_version": 1,
            **({"date": "fixed"} if self._chat.has_date else {}),
        }

    def render(self, request: Request) -> str:
        """The chat template filled in, with the begun reply."""
        return self._chat.render(request.turns) + request.begun

    def ask(self, requests: Sequence[Request]) -> Iterator[list[Reply]]:
        """Batch after batch, short prompts first."""
        for batch in _batches(requests, self.config.batch_size):
            yield self._complete(batch)

    def _model(self) -> PreTrainedModel:
        if self._loaded is None:
            import torch

            device = self.config.device
            if device == "auto":
                device = local_cuda_device() if torch.cuda.is_available() else "cpu"
            log.info("loading generator %s on %s", self.config.name, device)
            self._loaded = load_model(self._local.folder, self.config.dtype, device=device)
        return self._loaded

    def _end_tokens(self, model: PreTrainedModel) -> set[int]:
        ids = model.generation_config.eos_token_id
        ends = set(ids if isinstance(ids, list) else [] if ids is None else [ids])
        own = {self._tokenizer.eos_token_id} if self._tokenizer.eos_token_id is not None else set()
        return ends | own | set(self._chat.end_ids[-1:])

    def _breaks_line(self, token: int) -> bool:
        if token not in self._line_break:
            self._line_break[token] = "\n" in self._tokenizer.decode([token])
        return self._line_break[token]

    def _complete(self, requests: Sequence[Request]) -> list[Reply]:
        """Replies to one batch, in its order."""
        import torch

        model = self._model()
        ends = self._end_tokens(model)
        contexts: dict[tuple[Turn, ...], int] = {}
        context_of_row = [contexts.setdefault(request.turns, len(contexts)) for request in requests]
        ids = [self._chat.prompt_ids(turns) for turns in contexts]
        room = _room(model) - max(map(len, ids))
        forced = [self._chat.special.encode(request.begun) for request in requests]
        if room < max(map(len, forced)) + 1:
            raise GeneratorError(
                f"generator={self.config.name}: a prompt of {max(map(len, ids))} tokens leaves its context no "
                "room; lower generator.max_input_characters"
            )
        uniform = [
            np.random.default_rng(request_seed(request, self.config.seed)).random(self.config.max_new_tokens)
            for request in requests
        ]
        written: list[list[int]] = [[] for _ in requests]
        finished = [False] * len(requests)
        with torch.inference_mode():
            state = _Decoding(model, ids, context_of_row, self.config.max_new_tokens)
            rows = list(range(len(requests)))  # request of each row of the batch
            active = set(rows)
            for step in range(min(room, self.config.max_new_tokens + max(map(len, forced)))):
                positions = [step - len(forced[request]) for request in rows]
                draws = torch.tensor(
                    [
                        uniform[request][min(max(at, 0), self.config.max_new_tokens - 1)]
                        for request, at in zip(rows, positions, strict=True)
                    ]
                )
                sampled = sample(state.logits_BV, draws, self.config.temperature, self.config.top_p).tolist()
                tokens = [
                    forced[request][step] if at < 0 else token
                    for request, at, token in zip(rows, positions, sampled, strict=True)
                ]
                for request, at, token in zip(rows, positions, tokens, strict=True):
                    if request not in active:
                        continue
                    ended = at >= 0 and (token in ends or (requests[request].one_line and self._breaks_line(token)))
                    if at >= 0 and not ended:
                        written[request].append(token)
                    finished[request] = ended
                    if ended or at + 1 >= self.config.max_new_tokens:
                        active.discard(request)
                if not active:
                    break
                if len(active) <= _COMPACT_BELOW * len(rows):
                    kept = [row for row, request in enumerate(rows) if request in active]
                    state.keep(kept)
                    rows, tokens = [rows[row] for row in kept], [tokens[row] for row in kept]
                state.step(tokens)
        return [
            Reply(request, request.begun + self._tokenizer.decode(tokens, skip_special_tokens=True), done)
            for request, tokens, done in zip(requests, written, finished, strict=True)
        ]


class _Decoding:
    """A batch in the middle of generation: key-value cache, mask, positions and the next token's logits."""

    def __init__(
        self, model: PreTrainedModel, ids: Sequence[Sequence[int]], context_of_row: Sequence[int], max_new_tokens: int
    ):
        import torch
        from transformers import DynamicCache

        self.model, self.device = model, model.device
        self.cache = DynamicCache(config=model.config)
        shared = _shared_length(ids, max_new_tokens, _window(model))
        if shared:
            prefix = torch.tensor([ids[0][:shared]], device=self.device)
            model(input_ids=prefix, past_key_values=self.cache, use_cache=True, logits_to_keep=1)
            self.cache.batch_repeat_interleave(len(ids))
        longest = max(map(len, ids)) - shared
        rest = torch.zeros((len(ids), longest), dtype=torch.long, device=self.device)
        self.mask_BT = torch.ones((len(ids), shared + longest), dtype=torch.long, device=self.device)
        for row, context in enumerate(ids):
            padding = longest - (len(context) - shared)
            rest[row, padding:] = torch.tensor(context[shared:], device=self.device)
            self.mask_BT[row, shared : shared + padding] = 0
        positions = (self.mask_BT.cumsum(1) - 1).clamp(min=0)
        out = model(
            input_ids=rest, attention_mask=self.mask_BT, position_ids=positions[:, shared:], past_key_values=self.cache,
            use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        self.logits_BV: torch.Tensor = out.logits[:, -1].float()
        self.next_B = positions[:, -1:] + 1
        if list(context_of_row) != list(range(len(ids))):
            self.keep(context_of_row)

    def keep(self, rows: Sequence[int]) -> None:
        """The batch becomes these of its rows, in this order; a row may come several times."""
        import torch

        chosen = torch.tensor(list(rows), device=self.device)
        self.cache.batch_select_indices(chosen)
        self.mask_BT, self.next_B, self.logits_BV = self.mask_BT[chosen], self.next_B[chosen], self.logits_BV[chosen]

    def step(self, tokens: Sequence[int]) -> None:
        """Appends one token a row and computes the logits of the next."""
        import torch

        ids = torch.tensor(tokens, device=self.device)[:, None]
        self.mask_BT = torch.cat([self.mask_BT, torch.ones_like(ids)], dim=1)
        out = self.model(
            input_ids=ids,
            attention_mask=self.mask_BT,
            position_ids=self.next_B,
            past_key_values=self.cache,
            use_cache=True,
        )
        self.logits_BV = out.logits[:, -1].float()
        self.next_B = self.next_B + 1


def sample(logits_BV: torch.Tensor, uniform_B: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """One token a row, by inverse transform over the nucleus sorted by probability: (B,).

    The nucleus is the smallest set of most probable tokens that holds at least ``top_p``. At
    temperature 0 the most probable token.
    """
    import torch

    if temperature == 0:
        return logits_BV.argmax(dim=-1)
    prob_BV = torch.softmax(logits_BV / temperature, dim=-1)
    num_candidates = min(_NUCLEUS_CANDIDATES, prob_BV.shape[-1])
    top_BC, token_BC = prob_BV.topk(num_candidates, dim=-1)
    if num_candidates < prob_BV.shape[-1] and bool((top_BC.sum(-1) < top_p).any()):
        top_BC, token_BC = prob_BV.sort(dim=-1, descending=True)
    reached_BC = top_BC.double().cumsum(-1)
    nucleus_BC = torch.where(reached_BC - top_BC < top_p, top_BC.double(), 0.0).cumsum(-1)
    threshold_B1 = uniform_B.to(nucleus_BC)[:, None] * nucleus_BC[:, -1:]
    place_B1 = torch.searchsorted(nucleus_BC, threshold_B1, right=True).clamp(max=top_BC.shape[-1] - 1)
    return token_BC.gather(1, place_B1)[:, 0]


def _batches(requests: Sequence[Request], batch_size: int) -> Iterator[list[Request]]:
    """Batches of about ``batch_size`` rows, short prompts first; an example's requests stay together."""
    groups: dict[str, list[Request]] = {}
    for request in requests:
        groups.setdefault(request.example.example_id, []).append(request)
    length = {name: sum(len(content) for _, content in group[0].turns) for name, group in groups.items()}
    batch: list[Request] = []
    for name in sorted(groups, key=lambda name: (length[name], name)):
        batch += groups[name]
        if len(batch) >= batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def _shared_length(ids: Sequence[Sequence[int]], max_new_tokens: int, window: int | None) -> int:
    """How many first tokens all prompts have in common, leaving each at least one of its own.

    0 for a single prompt, and where a sliding window doesn't hold prompt and reply: padding between the
    shared beginning and the rest would then move the window.
    """
    longest = max(map(len, ids))
    if len(ids) == 1 or (window is not None and longest + max_new_tokens > window):
        return 0
    shared = 0
    limit = min(map(len, ids)) - 1
    while shared < limit and all(context[shared] == ids[0][shared] for context in ids):
        shared += 1
    return shared


def _window(model: PreTrainedModel) -> int | None:
    window = getattr(model.config.get_text_config(), "sliding_window", None)
    return int(window) if window else None


def _room(model: PreTrainedModel) -> int:
    return int(getattr(model.config.get_text_config(), "max_position_embeddings", 1 << 20))
