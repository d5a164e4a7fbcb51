"""The courier between a learner's JupyterLab and the class service.

It sends progress records as they are made, listens to what the instructor sends, carries out orders, and
sends the view while somebody watches. Each of these goes on by itself, also after failures. While the service
is away, everything waits on disk.
"""

import asyncio
import contextlib
import json
import logging
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import accumulate
from typing import Any

from labkit.course import command_log, progress
from labkit.util.errors import LabError
from labkit.workshop.place import orders
from labkit.workshop.place.audience import Audience
from labkit.workshop.place.ledger import ORDERS, Ledger, Received
from labkit.workshop.place.service import Away, Backoff, Event, Refused, Service

POLL_SECONDS = 0.5
_BATCH = 200  # records
_BATCH_CHARACTERS = 400_000  # of JSON; the service takes a megabyte
_COMMANDS = 20  # at once
_DESCRIPTION = 4000  # characters that the service takes
_TICK_NANOSECONDS = 1_000_000_000
_VIEW_COMMANDS = 20
_VIEW_SECONDS = 0.3  # between two views
_AGAIN_SECONDS = 1.0
_LINE_BYTES = 16 * 1024 * 1024  # of a view
_VIEW_COMMAND = (sys.executable, "-m", "labkit.workshop.place.view")
_TROUBLE = (Away, LabError, sqlite3.Error, OSError)

Sent = Callable[[], Awaitable[bool]]
"""Sends what there is; says whether there was something. Raises what _TROUBLE lists."""


class Courier:
    """Works while `run` does. `instructor` is whether this place is an instructor's."""

    def __init__(
        self, service: Service, ledger: Ledger, audience: Audience, log: logging.Logger, *, instructor: bool
    ) -> None:
        self._service, self._ledger, self._audience, self._log = service, ledger, audience, log
        self._instructor = instructor
        self._batch = _BATCH
        self._nothing_new = 0  # the progress file's modification time when all of it had been sent
        self._ordered = asyncio.Event()
        self._ended = asyncio.Event()  # an order has
        self._watched = asyncio.Event()
        self._view_command = _VIEW_COMMAND

    async def run(self) -> None:
        """Do all that a courier does, until this is canceled."""
        works = [self._send_records, self._report, self._listen, self._obey, self._show]
        if self._instructor:
            works.append(self._send_commands)
        await asyncio.gather(*(self._keep_on(work) for work in works))

    async def _keep_on(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do a part of the work. If it fails in a way that nobody expected, the others go on meanwhile."""
        while True:
            try:
                await work()
            except Exception:
                self._log.exception("a part of the workshop's courier failed; it starts again")
            await asyncio.sleep(_AGAIN_SECONDS)

    # -- what is sent -------------------------------------------------------------------------------

    async def send_records(self) -> bool:
        """Send records that the service doesn't have."""
        try:
            changed = progress.file().stat().st_mtime_ns
        except FileNotFoundError:
            return False
        if changed == self._nothing_new:
            return False
        journal = await asyncio.to_thread(progress.identity)
        last = await asyncio.to_thread(self._ledger.acknowledged, journal)
        records = within(await asyncio.to_thread(progress.added, last, self._batch), _BATCH_CHARACTERS)
        if not records:
            # Two changes in one tick of the clock look the same, so a fresh one is looked at again.
            if time.time_ns() - changed > _TICK_NANOSECONDS:
                self._nothing_new = changed
            return False
        end = records[-1]["id"]
        try:
            answer = await self._service.post("records", {"journal": journal, "records": records})
        except Refused as error:
            if len(records) > 1:
                self._batch = len(records) // 2
                return True
            # One that the service will never take must not hold back all others; the learner's file keeps it.
            self._log.warning("the class service doesn't take a record: %s", error)
        else:
            held = answer.get("last") if isinstance(answer, dict) else None
            if not isinstance(held, int) or held < end:
                raise Away(f"records up to {end} were sent, and the service has them up to {held}")
        await asyncio.to_thread(self._ledger.acknowledge, journal, end)
        self._batch = min(2 * self._batch, _BATCH)
        return True

    async def send_commands(self) -> bool:
        """Send an instructor's commands that the service doesn't have."""
        last = await asyncio.to_thread(self._ledger.acknowledged, "commands")
        commands = (await asyncio.to_thread(command_log.commands, last))[:_COMMANDS]
        if not commands:
            return False
        await self._service.post("commands", [_without_id(command) for command in commands])
        await asyncio.to_thread(self._ledger.acknowledge, "commands", commands[-1]["id"])
        return True

    async def report(self) -> None:
        """Tell the service how orders ended, as far as it doesn't know."""
        for order in await asyncio.to_thread(self._ledger.unreported):
            with contextlib.suppress(Refused):  # it was deleted there meanwhile
                await self._service.post("done", {"id": order.id, "ok": order.ok, "text": order.text})
            await asyncio.to_thread(self._ledger.reported, order.id)

    async def _send_records(self) -> None:
        await self._send(self.send_records)

    async def _send_commands(self) -> None:
        await self._send(self.send_commands)

    async def _report(self) -> None:
        backoff = Backoff()
        while True:
            self._ended.clear()
            try:
                await self.report()
                backoff.reset()
                await self._ended.wait()
            except _TROUBLE as error:
                self._log.debug("done: %s", error)
                await asyncio.sleep(backoff.next())

    async def _send(self, send: Sent) -> None:
        backoff = Backoff()
        while True:
            try:
                if not await send():
                    await asyncio.sleep(POLL_SECONDS)
                backoff.reset()
            except _TROUBLE as error:
                self._log.debug("%s: %s", send.__name__, error)
                await asyncio.sleep(backoff.next())

    # -- what comes ---------------------------------------------------------------------------------

    async def _listen(self) -> None:
        backoff = Backoff()
        while True:
            try:
                last = await asyncio.to_thread(self._ledger.last_event)
                async with contextlib.aclosing(self._service.events(last)) as events:
                    async for event in events:
                        backoff.reset()
                        await self.take(event)
            except _TROUBLE as error:
                self._log.debug("inbox: %s", error)
            # Whoever watched may have gone meanwhile; the service says so again when they are still there.
            self._watch([])
            await asyncio.sleep(backoff.next())

    async def take(self, event: Event) -> None:
        """Do what an event asks for. One that came before changes nothing."""
        if event.event in ("watch", "unwatch"):
            self._watch([name for name in str(event.data.get("who", "")).split(", ") if name])
        elif event.id is not None and event.event in ("message", "command", *ORDERS):
            if await asyncio.to_thread(self._ledger.receive, event.id, event.event, event.data):
                self._audience.tell_item(event.id)
                self._ordered.set()
            return
        if event.id is not None:
            await asyncio.to_thread(self._ledger.passed, event.id)

    def _watch(self, watchers: list[str]) -> None:
        self._audience.watched_by(watchers)
        if self._audience.watchers:
            self._watched.set()
        else:
            self._watched.clear()

    # -- orders -------------------------------------------------------------------------------------

    async def _obey(self) -> None:
        while True:
            self._ordered.clear()
            found = await asyncio.to_thread(self._ledger.open_orders)
            for outdated in found[:-1]:
                await self._finish(outdated, False, "A later order took the place of this one.")
            for order in found[-1:]:
                await self._finish(order, *await orders.carry_out(order.event, order.data))
            await self._ordered.wait()

    async def _finish(self, order: Received, ok: bool, text: str) -> None:
        await asyncio.to_thread(self._ledger.finish, order.id, ok, text)
        self._ended.set()
        self._audience.tell_item(order.id)

    # -- the view -----------------------------------------------------------------------------------

    async def _show(self) -> None:
        await self._watched.wait()
        process = await asyncio.create_subprocess_exec(
            *self._view_command,
            stdin=asyncio.subprocess.PIPE,  # it ends with this process, whatever becomes of it
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
        )
        view = _View()
        reading = asyncio.ensure_future(view.read(process))
        try:
            await self._send_views(view, reading)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await orders.end(process)

    async def _send_views(self, view: "_View", reading: "asyncio.Future[None]") -> None:
        """Send the view each time when it has changed, while somebody watches and it's being read."""
        sent: dict[str, Any] | None = None
        while self._watched.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(view.changed.wait(), POLL_SECONDS)
            view.changed.clear()
            last = await asyncio.to_thread(command_log.commands, 0, _VIEW_COMMANDS)
            now = {**view.drawn, "commands": [_in_short(command) for command in last]}
            if now != sent:
                with contextlib.suppress(Away):
                    await self._service.post("view", now)
                    sent = now
            if reading.done():
                return
            await asyncio.sleep(_VIEW_SECONDS)


class _View:
    """The newest line that a process printed."""

    def __init__(self) -> None:
        self.drawn: dict[str, Any] = {"board": "", "text": "The board is being drawn."}
        self.changed = asyncio.Event()

    async def read(self, process: asyncio.subprocess.Process) -> None:
        """Read lines until the process ends."""
        assert process.stdout
        while line := await process.stdout.readline():
            drawn = json.loads(line)
            self.drawn = {**drawn, "text": drawn["text"][:_DESCRIPTION]}
            self.changed.set()
        self.drawn = {"board": "", "text": "The board can't be drawn: the lab doesn't answer."}


def within(records: list[dict[str, Any]], characters: int) -> list[dict[str, Any]]:
    """The first of these records whose JSON has no more than so many characters, but at least one."""
    lengths = accumulate(len(json.dumps(record)) for record in records)
    return records[: max(1, sum(length <= characters for length in lengths))]


def _without_id(command: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in command.items() if name != "id"}


def _in_short(command: dict[str, Any]) -> dict[str, Any]:
    return {name: command[name] for name in ("moment", "node", "command", "code")}
