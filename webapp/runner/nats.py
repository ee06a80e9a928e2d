"""Scaled mode: jobs come from a JetStream work queue that all runners share (contract 3.6).

A message is acknowledged once its job is final in the journal: from then on the outbox owes the callback. Until then
it is renewed, so that no other runner gets it; when this runner dies, the stream brings it to another one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig
from nats.js.errors import NotFoundError

from recipe import KallaError, read_json
from webapp.errors import ServiceError
from webapp.runner.journal import FINAL
from webapp.runner.log import note
from webapp.runner.supervisor import Supervisor
from webapp.settings import Settings
from webapp.signatures import HEADER, verify

STREAM, SUBJECT, CONSUMER = "KALLA_JOBS", "kalla.jobs", "kalla-runners"
MOST_DELIVERIES = 3
_FETCH_SECONDS, _LOOK_SECONDS, _AGAIN_SECONDS = 1.0, 0.1, 1.0
_BUSY = ("runner.queue_full", "runner.not_ready", "storage.unreachable")
_LOST = (nats.errors.Error, OSError, TimeoutError)


class StreamConsumer:
    """Feeds a supervisor from the stream, on a thread of its own. A lost connection is made again for ever."""

    def __init__(self, settings: Settings, supervisor: Supervisor, ack_seconds: float = 30.0) -> None:
        assert settings.nats_url, "there is no stream without an address"
        self._url, self._secrets = settings.nats_url, settings.callback_secrets
        self._supervisor, self._ack_seconds = supervisor, ack_seconds
        self._open: dict[str, str] = {}  # run -> where its message is answered, on whatever connection
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="kalla-nats", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Acknowledge what is final, give everything else back to the stream, and leave."""
        self._ending.set()
        self._thread.join(10)

    async def _run(self) -> None:
        while not self._ending.is_set():
            try:
                await self._session()
            except _LOST as error:
                note(logging.WARNING, "The job stream cannot be reached.", reason=type(error).__name__)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _session(self) -> None:
        # 0 attempts would mean to try for ever, inside the client and in silence
        client = await nats.connect(
            self._url,
            connect_timeout=5,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0.1,
            error_cb=_quiet,
        )
        try:
            subscription = await self._subscribed(client)
            note(logging.INFO, "The job stream is connected.")
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch(client))
                group.create_task(self._take(subscription))
        except* _LOST as errors:
            raise errors.exceptions[0] from None
        finally:
            await client.close()

    async def _subscribed(self, client: Client) -> JetStreamContext.PullSubscription:
        stream = client.jetstream(timeout=5)
        try:
            await stream.stream_info(STREAM)
        except NotFoundError:
            await stream.add_stream(StreamConfig(name=STREAM, subjects=[SUBJECT], retention=RetentionPolicy.WORK_QUEUE))
        config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=self._ack_seconds, max_deliver=-1)
        return await stream.pull_subscribe(SUBJECT, durable=CONSUMER, stream=STREAM, config=config)

    async def _take(self, subscription: JetStreamContext.PullSubscription) -> None:
        """Ask for one message whenever a job could start at once; the others wait in the stream for free runners."""
        while not self._ending.is_set():
            if self._supervisor.closing or self._supervisor.free < 1:
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            try:
                messages = await subscription.fetch(1, timeout=_FETCH_SECONDS)
            except TimeoutError:
                continue
            for message in messages:
                await self._accept(message)

    async def _accept(self, message: Msg) -> None:
        try:
            body = self._body(message)
        except KallaError as error:
            note(logging.ERROR, "A message of the job stream is dropped.", code=error.code, reason=error.message)
            await message.term()
            return
        try:
            run_id = await asyncio.to_thread(self._submit, body, message.metadata.num_delivered)
        except KallaError as error:
            if error.code in _BUSY:
                await message.nak(delay=_AGAIN_SECONDS)
                return
            note(logging.ERROR, "A job of the stream is dropped.", code=error.code, reason=error.message)
            await message.term()
            return
        self._open[run_id] = message.reply

    def _body(self, message: Msg) -> dict[str, Any]:
        """The job. A signature must have been fresh when the stream took the message, which may have waited long."""
        verify((message.headers or {}).get(HEADER), self._secrets, message.data, message.metadata.timestamp.timestamp())
        body = read_json(message.data, "The job")
        if not isinstance(body, dict):
            raise ServiceError("The job is no JSON object.", code="request.malformed_json")
        return body

    def _submit(self, body: dict[str, Any], deliveries: int) -> str:
        """Journal the job, or the error that ends it. Raises KallaError for one that nobody can be told about."""
        if deliveries > MOST_DELIVERIES:
            sentence = f"The run was given to a runner {MOST_DELIVERIES} times and interrupted each time."
            return self._supervisor.refuse(body, sentence, "job.interrupted")
        try:
            return self._supervisor.submit(body, streamed=True)
        except KallaError as error:
            if error.code in (*_BUSY, "job.conflict"):
                raise
            return self._supervisor.refuse(body, f"{error.message} {error.hint}".strip(), error.code)

    async def _watch(self, client: Client) -> None:
        """Acknowledge finished jobs, renew the others; ends with the session."""
        renewed = 0.0  # at once: a lost connection may have cost some time
        while not self._ending.is_set():
            if client.is_closed:
                raise nats.errors.ConnectionClosedError
            await self._acknowledge(client)
            if time.monotonic() - renewed > self._ack_seconds / 3:
                renewed = time.monotonic()
                for reply in list(self._open.values()):
                    await client.publish(reply, Msg.Ack.Progress)
            await asyncio.sleep(_LOOK_SECONDS)
        await self._acknowledge(client)
        for reply in self._open.values():
            await client.publish(reply, Msg.Ack.Nak)
        await client.flush()

    async def _acknowledge(self, client: Client) -> None:
        for run_id, reply in list(self._open.items()):
            if self._supervisor.status(run_id)["status"] in FINAL:
                await client.publish(reply, Msg.Ack.Ack)
                self._open.pop(run_id, None)


async def _quiet(error: Exception) -> None:
    """The client prints errors by itself, addresses with passwords included; ours are logged."""
