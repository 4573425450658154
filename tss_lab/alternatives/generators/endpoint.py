"""Generator ``endpoint``: any server with an OpenAI-compatible chat API.

Requests run concurrently. Time-outs, dropped connections, 408, 409, 429 and 5xx are tried again with
growing pauses (the client does that, and keeps to a Retry-After); what fails for good stops the run with
all replies so far kept. A request that the server calls bad counts as refused, and the others go on.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tss_lab.alternatives.generators.base import Reply, Request, request_seed
from tss_lab.alternatives.texts import BEGIN_WITH
from tss_lab.config import GeneratorConfig
from tss_lab.errors import ConfigError, GeneratorError

if TYPE_CHECKING:
    from openai import OpenAI

_REFUSALS = (400, 413, 422)
_REFUSALS_IN_A_ROW = 8  # so many without one good reply: the fault is in the settings, not in the requests


class EndpointGenerator:
    """See ``Generator``. The key comes from the environment and goes into the request's header only."""

    def __init__(self, config: GeneratorConfig, cache: Path):
        for name in ("base_url", "model_name"):
            if not getattr(config, name):
                raise ConfigError(f"generator=endpoint needs generator.{name}; give both base_url and model_name")
        if config.ask == "begun":
            raise ConfigError(
                "generator.ask=begun can't be had from an endpoint, where replies can't be begun; "
                "take examples or line_by_line"
            )
        self.config = config
        self._pace = _Pace(config.requests_per_minute)
        self._client: OpenAI | None = None

    def identity(self) -> dict[str, Any]:
        """The model's name there (not the address), sampling and seed; what the server runs is in its hands."""
        return {
            "kind": "endpoint",
            "generator": self.config.name,
            "model_name": self.config.model_name,
            "temperature": self.config.temperature,
            "top_p": self.config.top_p,
            "max_new_tokens": self.config.max_new_tokens,
            "extra_body": self.config.extra_body,
            "seed": self.config.seed,
        }

    def render(self, request: Request) -> str:
        """The messages as JSON."""
        return json.dumps(_messages(request), ensure_ascii=False, indent=1)

    def ask(self, requests: Sequence[Request]) -> Iterator[list[Reply]]:
        """Replies as they come, ``concurrency`` requests in flight."""
        self._client = self._client or self._connect()
        queue = iter(requests)
        failure: GeneratorError | None = None
        # Refusals wait for a good reply: a run of them is the settings' fault and not recorded against the examples.
        held_back: list[Reply] = []
        with ThreadPoolExecutor(self.config.concurrency) as pool:
            running: set[Future[Reply]] = set()
            while True:
                while failure is None and len(running) < self.config.concurrency and (request := next(queue, None)):
                    running.add(pool.submit(self._reply, request))
                if not running:
                    break
                done, running = wait(running, return_when=FIRST_COMPLETED)
                replies = []
                for future in done:
                    try:
                        replies.append(future.result())
                    except GeneratorError as error:
                        failure = failure or error
                held_back += [reply for reply in replies if reply.refused]
                if good := [reply for reply in replies if not reply.refused]:
                    yield good if failure else [*held_back, *good]
                    held_back.clear()
                elif len(held_back) >= _REFUSALS_IN_A_ROW and failure is None:
                    failure = GeneratorError(
                        f"{self.config.base_url} refuses every request ({held_back[-1].refused}); "
                        "check generator.model_name and the sampling settings"
                    )
        if failure is not None:
            raise failure
        if held_back:
            yield held_back

    def _connect(self) -> OpenAI:
        try:
            from openai import OpenAI
        except ImportError as error:
            raise ConfigError(
                "generator=endpoint needs the openai client: pip install -e '.[endpoint]' in the checkout of tss_lab"
            ) from error
        return OpenAI(
            base_url=self.config.base_url,
            api_key=os.environ.get(self.config.api_key_env or "") or "none",
            timeout=self.config.timeout_seconds,
            max_retries=self.config.request_retries,
        )

    def _reply(self, request: Request) -> Reply:
        import openai

        assert self._client is not None
        self._pace.wait()
        try:
            answer = self._client.chat.completions.create(
                model=str(self.config.model_name),
                messages=_messages(request),
                temperature=self.config.temperature,
                top_p=self.config.top_p,
                max_tokens=self.config.max_new_tokens,
                seed=request_seed(request, self.config.seed) % 2**31,
                extra_body=self.config.extra_body or None,
            )
        except openai.APIStatusError as error:
            if error.status_code in _REFUSALS:
                return Reply(request, "", refused=f"status {error.status_code}: {_one_line(error.message)}")
            raise GeneratorError(
                self._why(f"status {error.status_code}: {_one_line(error.message)}", error.status_code)
            ) from error
        except openai.APIError as error:  # time-outs and connections that break or can't be made
            raise GeneratorError(self._why(_one_line(error.message or type(error).__name__), None)) from error
        choices = getattr(answer, "choices", None)
        if not choices or choices[0].message is None:
            raise GeneratorError(self._why("it answers, but not with a chat completion", None))
        return Reply(request, choices[0].message.content or "", finished=choices[0].finish_reason != "length")

    def _why(self, what: str, status: int | None) -> str:
        key = (
            f"check the key in the environment variable {self.config.api_key_env}"
            if self.config.api_key_env
            else "set generator.api_key_env to the name of the environment variable that holds its key"
        )
        remedy = {
            401: key,
            403: key,
            404: "check generator.base_url (it ends in /v1 as a rule) and generator.model_name",
            429: "set generator.requests_per_minute, or lower generator.concurrency",
        }.get(status or 0, "check that the server runs, or raise generator.timeout_seconds")
        return (
            f"endpoint {self.config.base_url} failed for good after {self.config.request_retries} retries ({what}); "
            f"{remedy}, and run again: replies so far are kept"
        )


class _Pace:
    """At most so many requests a minute, evenly spaced."""

    def __init__(self, per_minute: int | None):
        self._gap = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._gap
        time.sleep(start - now)


def _messages(request: Request) -> list[dict[str, str]]:
    messages = [{"role": role, "content": content} for role, content in request.turns]
    if request.begun:  # the API has no way to begin a reply, so the user's turn asks for it
        last = messages[-1]
        messages[-1] = {"role": last["role"], "content": BEGIN_WITH.format(user=last["content"], begun=request.begun)}
    return messages


def _one_line(text: str) -> str:
    return " ".join(str(text).split())[:200]


build = EndpointGenerator
