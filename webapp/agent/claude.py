"""The driver that asks the model: one streamed request a step, through the anthropic SDK.

Busy and failing servers are asked again within bounds; whatever fails in the end becomes a sentence for the person.
"""

from __future__ import annotations

import contextlib
import logging
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, get_args

import anthropic
from anthropic.types import ModelParam

from recipe import KallaError, read_json
from webapp.agent.driver import END, LENGTH, REFUSED, TOOLS, DriverError, Emit, Step, ToolCall, View
from webapp.agent.history import messages_of
from webapp.agent.prompts import system_prompt
from webapp.agent.specs import ToolSpec
from webapp.settings import Settings

log = logging.getLogger(__name__)

MOST_TOKENS = 4096
MOST_ATTEMPTS = 4
MOST_WAIT = 20.0
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 60.0
_BUSY = (408, 409, 429, 500, 502, 503, 504, 529)
_ENDINGS = {"tool_use": TOOLS, "max_tokens": LENGTH, "model_context_window_exceeded": LENGTH, "refusal": REFUSED}
_SONNET = re.compile(r"claude-sonnet-(\d+)(?:-(\d{1,2}))?")
_FALLBACK = "claude-sonnet-5"
_MOST_RAW = 2000
Record = Callable[[str, Mapping[str, Any]], None]


@lru_cache(maxsize=1)
def default_model() -> str:
    """The newest Sonnet alias that the installed SDK names."""
    named = [name for literal in get_args(ModelParam) for name in get_args(literal)]
    found = [(int(m[1]), int(m[2] or 0), name) for name in named if (m := _SONNET.fullmatch(name))]
    return max(found)[2] if found else _FALLBACK


def model_of(settings: Settings) -> str:
    """The model that the settings name, or the default one."""
    return settings.anthropic_model or default_model()


def client_of(settings: Settings) -> anthropic.Anthropic:
    """A client that asks once; asking again is decided here. Proxies of the environment are used."""
    assert settings.anthropic_api_key is not None, "without a key nobody comes here"
    return anthropic.Anthropic(
        api_key=settings.anthropic_api_key,
        base_url=settings.anthropic_base_url,
        max_retries=0,
        timeout=anthropic.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
    )


@dataclass
class ClaudeDriver:
    """Leads a conversation through the model. ``record`` keeps what is sent, before it is sent."""

    settings: Settings
    record: Record
    wait: Callable[[float], None] = time.sleep
    name: str = "claude"

    def step(self, view: View, emit: Emit) -> Step:
        """One answer of the model. Raises DriverError, TurnStopped."""
        request = {
            "model": model_of(self.settings),
            "system": [{"type": "text", "text": system_prompt(), "cache_control": {"type": "ephemeral"}}],
            "messages": messages_of(view),
            "tools": [_tool(spec) for spec in view.tools],
        }
        session_id = view.session.session_id
        with contextlib.closing(client_of(self.settings)) as client:
            answer = ask_patiently(
                client,
                {**request, "max_tokens": MOST_TOKENS},
                view.seconds_left,
                emit,
                self.wait,
                lambda: self.record(session_id, request),
            )
        return answer.step()


def ask_patiently(
    client: anthropic.Anthropic,
    request: Mapping[str, Any],
    seconds: float,
    emit: Emit = lambda piece: None,
    wait: Callable[[float], None] = time.sleep,
    before: Callable[[], None] = lambda: None,
) -> Answer:
    """The answer; busy and failing servers are asked again, ``MOST_ATTEMPTS`` times within ``seconds``. A person who
    has seen the beginning of an answer does not see it begin again. ``before`` is called before each attempt.

    Raises DriverError, and what ``emit`` raises.
    """
    ends = time.monotonic() + seconds
    heard: list[str] = []
    for attempt in range(1, MOST_ATTEMPTS + 1):
        is_quiet = bool(heard)

        def pass_on(piece: str, is_quiet: bool = is_quiet) -> None:
            heard.extend([piece] if piece else [])
            emit("" if is_quiet else piece)

        try:
            before()
            return ask(client, request, pass_on, ends)
        except (anthropic.APIError, BrokenAnswer) as error:
            pause = _pause(error, attempt)
            if not _is_passing(error) or attempt == MOST_ATTEMPTS or time.monotonic() + pause >= ends:
                log.warning("the model failed: %s", type(error).__name__, extra={"attempts": attempt})
                raise DriverError(in_words(error)) from None
        wait(pause)
    raise AssertionError("the last attempt returns or raises")


def _tool(spec: ToolSpec) -> dict[str, Any]:
    return {"name": spec.name, "description": spec.description, "input_schema": spec.schema()}


# --- one request ---------------------------------------------------------------------------------------


class BrokenAnswer(Exception):
    """The stream ended before the answer did."""


@dataclass
class Answer:
    """An answer while it arrives."""

    texts: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    ending: str | None = None
    _blocks: dict[int, _Block] = field(default_factory=dict)

    def step(self) -> Step:
        """What it comes to. Calls count even when the answer was cut off: whole ones can be done."""
        ending = _ENDINGS.get(self.ending or "", END)
        if ending == REFUSED:
            return Step("".join(self.texts), (), REFUSED)
        return Step("".join(self.texts), tuple(self.calls), ending if not self.calls or ending == LENGTH else TOOLS)

    def take(self, event: Any, emit: Emit) -> None:
        """One event of the stream."""
        emit("")  # whoever wants to stop is heard at every event
        if event.type == "content_block_start":
            self._blocks[event.index] = _Block(event.content_block)
        elif event.type == "content_block_delta":
            self._delta(self._blocks[event.index], event.delta, emit)
        elif event.type == "content_block_stop":
            self._close(self._blocks.pop(event.index))
        elif event.type == "message_delta":
            self.ending = event.delta.stop_reason or self.ending

    def _delta(self, block: _Block, delta: Any, emit: Emit) -> None:
        if delta.type == "text_delta":
            self.texts.append(delta.text)
            emit(delta.text)
        elif delta.type == "input_json_delta":
            block.raw.append(delta.partial_json)

    def _close(self, block: _Block) -> None:
        if block.kind == "tool_use":
            given, problem = read_input("".join(block.raw))
            self.calls.append(ToolCall(block.id, block.name, given, problem))
        elif block.kind == "text" and self.texts and not self.texts[-1].endswith("\n"):
            self.texts.append("")


class _Block:
    """A block of an answer that is not complete yet."""

    def __init__(self, begun: Any) -> None:
        self.kind: str = begun.type
        self.id: str = getattr(begun, "id", "")
        self.name: str = getattr(begun, "name", "")
        self.raw: list[str] = []


def read_input(raw: str) -> tuple[dict[str, Any], str]:
    """A tool's input with exact numbers; and what is wrong with a text that is none, for the model to mend.

    >>> read_input('{"limit": 0.1}')
    ({'limit': Decimal('0.1')}, '')
    """
    try:
        found = read_json(raw or "{}", "The input")
    except KallaError as error:
        return {
            "unreadable": raw[:_MOST_RAW]
        }, f"The input of this call is no JSON: {error.message} Send it again, whole."
    if not isinstance(found, dict):
        return {"unreadable": raw[:_MOST_RAW]}, "The input of this call is no JSON object. Send an object."
    return found, ""


def ask(client: anthropic.Anthropic, request: Mapping[str, Any], emit: Emit, ends: float) -> Answer:
    """Send a request and read its stream. Raises anthropic.APIError, BrokenAnswer, and what ``emit`` raises."""
    answer = Answer()
    silence = max(1.0, min(SILENCE_SECONDS, ends - time.monotonic()))
    timeout = anthropic.Timeout(silence, connect=min(CONNECT_SECONDS, silence))
    stream = client.messages.create(**request, stream=True, timeout=timeout)
    with stream:
        for event in _events(stream):
            answer.take(event, emit)
    if answer.ending is None:
        raise BrokenAnswer
    return answer


def _events(stream: anthropic.Stream[Any]) -> Iterator[Any]:
    """The events; a connection that breaks in between is one kind of error, whatever the transport calls it."""
    try:
        yield from stream
    except (anthropic.APIError, GeneratorExit):
        raise
    except (OSError, ValueError, KeyError) as error:
        raise BrokenAnswer from error
    except Exception as error:
        # The SDK lets errors of its transport through while a stream is read; they have no common public base.
        if type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2", "h11"):
            raise BrokenAnswer from error
        raise


# --- failures ------------------------------------------------------------------------------------------


def _status(error: Exception) -> int | None:
    if isinstance(error, anthropic.APIStatusError):
        kind = error.body.get("error", {}).get("type") if isinstance(error.body, dict) else None
        return 529 if kind == "overloaded_error" else error.status_code
    return None


def _is_passing(error: Exception) -> bool:
    """Whether asking again may help."""
    status = _status(error)
    if status is None:
        return isinstance(error, BrokenAnswer | anthropic.APIConnectionError)
    # An error in the middle of a stream comes with the status 200 that the stream began with.
    return status in _BUSY or status == 200


def _pause(error: Exception, attempt: int) -> float:
    """Seconds before asking again: what the server says, else twice as long each time."""
    said = error.response.headers.get("retry-after") if isinstance(error, anthropic.APIStatusError) else None
    if said is not None and said.isdecimal():
        return min(MOST_WAIT, float(said))
    return min(MOST_WAIT, 0.5 * 2.0 ** (attempt - 1)) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, no secret


def in_words(error: Exception) -> str:
    """What failed, for people; nothing of the request or the key is repeated."""
    status = _status(error)
    if isinstance(error, anthropic.APITimeoutError):
        return "The model did not answer in time. Nothing is lost; write “go on” to try again."
    if status is None:
        return "The connection to the model failed. Nothing is lost; write “go on” to try again."
    if status in (401, 403):
        return "The model's provider refused the access key. Whoever runs Kalla has to check ANTHROPIC_API_KEY."
    if status == 404:
        return "The model's provider does not know the model. Whoever runs Kalla has to check ANTHROPIC_MODEL."
    if status == 429:
        return "The model's provider takes no more requests at this moment. Wait a minute, then write “go on”."
    if status == 529:
        return "The model is overloaded at this moment. Wait a minute, then write “go on”."
    if status == 413:
        return "This conversation has grown too long for the model. Start a new one."
    if status in _BUSY or status == 200:
        return "The model's provider has a fault at this moment. Wait a minute, then write “go on”."
    return f"The model refused the request (status {status}). Nothing is lost; try it in other words."
