"""The endpoint generator against a server on loopback that does what servers do: answer, refuse, stall, die."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.alternatives.conftest import alternatives_config, example
from tss_lab.alternatives import make_alternatives
from tss_lab.alternatives.generators.endpoint import EndpointGenerator
from tss_lab.config import GeneratorConfig
from tss_lab.errors import ConfigError, GeneratorError
from tss_lab.store import Store

pytest.importorskip("openai")
EXAMPLES = [example(number) for number in range(6)]
LINES = "1. List the items.\n2. Count the words.\n3. Name the topic.\n4. Write a title."
Answer = tuple[int, Any]  # status, body; a status of 0 drops the connection


def completion(content: str | None, reason: str = "stop") -> Answer:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return 200, {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}


class Server:
    """Answers each request with ``answer(how many came before, request)`` and keeps what it was sent."""

    def __init__(self) -> None:
        self.answer: Callable[[int, dict[str, Any]], Answer] = lambda *_: completion(LINES)
        self.seen: list[dict[str, Any]] = []
        self.at_a_time = self.most_at_a_time = 0
        lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with lock:
                    number = len(server.seen)
                    server.seen.append({**request, "authorization": self.headers["authorization"]})
                    server.at_a_time += 1
                    server.most_at_a_time = max(server.most_at_a_time, server.at_a_time)
                status, body = server.answer(number, request)
                with lock:
                    server.at_a_time -= 1
                if status == 0:
                    self.connection.close()
                    return
                payload = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json" if not isinstance(body, str) else "text/html")
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.02)
    running = Server()
    yield running
    running.close()


def endpoint(server: Server, **changes: Any) -> GeneratorConfig:
    settings = {
        "name": "endpoint", "kind": "endpoint", "base_url": server.url, "model_name": "m", "request_retries": 2,
        "concurrency": 3, "timeout_seconds": 5,
    }  # fmt: skip
    return GeneratorConfig.model_validate({**settings, **changes})


def run(folder: Path, config: GeneratorConfig, **changes: Any) -> Any:
    return make_alternatives(EXAMPLES, EXAMPLES, alternatives_config(**changes), config, Store(folder), folder)


def test_what_is_sent(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")

    three_at_a_time = threading.Barrier(3)

    def together(*_: Any) -> Answer:
        three_at_a_time.wait(timeout=60)
        return completion(LINES)

    server.answer = together
    made = run(tmp_path, endpoint(server, api_key_env="MY_KEY", temperature=0.3, extra_body={"top_k": 5}))
    assert made.counts["generated"] == 24
    assert len(server.seen) == 6
    request = next(sent for sent in server.seen if "Input 1." in sent["messages"][-1]["content"])
    assert request["messages"][0]["role"] == "system"
    assert request["messages"][0]["content"].startswith("Generate exactly 4 distinct task instructions")
    assert (request["model"], request["temperature"], request["top_k"]) == ("m", 0.3, 5)
    assert request["authorization"] == "Bearer sk-secret"
    assert len({sent["seed"] for sent in server.seen}) == 6
    assert 1 < server.most_at_a_time <= 3
    assert not any(b"sk-secret" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_line_by_line_asks_for_the_beginning_in_the_users_turn(server: Server, tmp_path: Path) -> None:
    server.answer = lambda number, request: completion(
        f"{request['messages'][-1]['content'].split(chr(34))[-2]} item {number}."
    )
    made = run(tmp_path, endpoint(server, ask="line_by_line"))
    assert made.counts["generated"] == 24
    assert all('Begin with "' in sent["messages"][-1]["content"] for sent in server.seen)


@pytest.mark.parametrize(
    "fault", [(429, {"error": {"message": "slow down"}}), (500, {"error": "oops"}), (503, "<html>"), (0, "")]
)
def test_a_passing_fault_is_tried_again(server: Server, tmp_path: Path, fault: Answer) -> None:
    counts: Counter[str] = Counter()

    def first_time_bad(_: int, request: dict[str, Any]) -> Answer:
        key = json.dumps(request["messages"])
        counts[key] += 1
        return fault if counts[key] == 1 else completion(LINES)

    server.answer = first_time_bad
    made = run(tmp_path, endpoint(server))
    assert made.counts["generated"] == 24
    assert len(server.seen) == 12


def test_one_that_stalls_is_tried_again(server: Server, tmp_path: Path) -> None:
    first: list[Any] = []
    tried_again = threading.Event()

    def stalls(number: int, request: dict[str, Any]) -> Answer:
        if number == 0:
            first.append(request["messages"])
            tried_again.wait(timeout=60)
        elif request["messages"] in first:
            tried_again.set()
        return completion(LINES)

    server.answer = stalls
    made = run(tmp_path, endpoint(server, timeout_seconds=1.0))
    assert made.counts["generated"] == 24
    assert tried_again.is_set()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ((429, {"error": {"message": "slow down"}}), "status 429.*slow down.*generator.requests_per_minute"),
        ((500, {"error": {"message": "oops"}}), "status 500.*check that the server runs"),
        ((0, ""), "Connection error.*check that the server runs"),
        ((401, {"error": {"message": "no key"}}), "status 401.*set generator.api_key_env"),
        ((404, {"error": {"message": "no model"}}), "status 404.*generator.base_url .* and generator.model_name"),
        ((200, "<html>a proxy's page</html>"), "not with a chat completion"),
        ((200, {"id": "x", "choices": []}), "not with a chat completion"),
    ],
)
def test_one_that_dies_half_way_keeps_what_came(server: Server, tmp_path: Path, fault: Answer, words: str) -> None:
    server.answer = lambda number, _: completion(LINES) if number < 3 else fault
    config = endpoint(server, concurrency=1, request_retries=1)
    with pytest.raises(
        GeneratorError, match=f"endpoint {server.url} failed for good.*{words}.*replies so far are kept"
    ):
        run(tmp_path, config)
    server.seen.clear()
    server.answer = lambda *_: completion(LINES)
    made = run(tmp_path, config)
    assert (made.counts["generated"], made.counts["resumed_examples"], len(server.seen)) == (24, 3, 3)


def test_a_refused_request_costs_its_example_only(server: Server, tmp_path: Path, bag_of_words: object) -> None:
    def too_long(_: int, request: dict[str, Any]) -> Answer:
        refused = "Input 1." in request["messages"][-1]["content"]
        return (400, {"error": {"message": "too many tokens"}}) if refused else completion(LINES)

    server.answer = too_long
    made = run(tmp_path, endpoint(server, concurrency=1))
    assert (made.counts["generated"], made.counts["filled_from_retrieval"]) == (20, 4)
    assert made.counts["rejected"]["request refused"] == 1


def test_one_that_refuses_everything_stops_the_run_and_costs_no_example(server: Server, tmp_path: Path) -> None:
    server.answer = lambda *_: (400, {"error": {"message": "unknown field seed"}})
    with pytest.raises(GeneratorError, match=r"refuses every request .*unknown field seed"):
        run(tmp_path, endpoint(server, ask="line_by_line"))
    server.answer = lambda number, request: completion(
        f"{request['messages'][-1]['content'].split(chr(34))[-2]} item {number}."
    )
    assert run(tmp_path, endpoint(server, ask="line_by_line")).counts["generated"] == 24


def test_replies_of_no_use_are_asked_again_and_end(server: Server, tmp_path: Path, bag_of_words: object) -> None:
    replies = ["", None, "I'm sorry, but I can't.", "1. Summarize"]
    server.answer = lambda number, _: completion(replies[number % 4])
    made = run(tmp_path, endpoint(server, retries=2))
    assert made.counts["generated"] == 0
    assert made.counts["requests"] == 18
    assert made.counts["filled_from_retrieval"] == 24


def test_the_rate_limit_spaces_requests(server: Server, tmp_path: Path) -> None:
    times: list[float] = []

    def note(*_: Any) -> Answer:
        times.append(time.monotonic())
        return completion(LINES)

    server.answer = note
    run(tmp_path, endpoint(server, requests_per_minute=600))
    assert max(times) - min(times) >= 5 * 0.1 * 0.9


def test_settings_that_do_not_go_together(tmp_path: Path) -> None:
    base = {"name": "e", "kind": "endpoint", "base_url": "http://127.0.0.1:1/v1", "model_name": "m"}
    for changes, words in (
        ({"base_url": None}, "needs generator.base_url"),
        ({"model_name": None}, "needs generator.model_name"),
        ({"ask": "begun"}, "take examples or line_by_line"),
    ):
        with pytest.raises(ConfigError, match=words):
            EndpointGenerator(GeneratorConfig.model_validate({**base, **changes}), tmp_path)
