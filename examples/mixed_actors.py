"""An actor on the event loop together with an actor on a thread of its own: one waits, the other one blocks.

Calls of SQLite block, and a connection belongs to one thread: it lives in a `pykka.ThreadingActor`. Fetching is
waiting: that is an `AsyncActor`, which needs no thread. Each kind talks to the other.
"""

import asyncio
import sqlite3

import pykka

from pygents.actors import ActorRef, AsyncActor, Reply

PAGES = {"/": "welcome to the actors", "/about": "we send messages", "/empty": ""}


class Fetcher(AsyncActor):
    """Answers an address with the text that is there."""

    async def on_receive(self, message: str) -> str:
        """Fetch a page; the event loop does other things meanwhile."""
        await asyncio.sleep(0.001)
        return PAGES[message]


class Index(pykka.ThreadingActor):
    """Counts the words of pages, and keeps the counts in a database."""

    def __init__(self, fetcher: ActorRef[Fetcher]) -> None:
        super().__init__()
        self.fetcher = fetcher

    def on_start(self) -> None:
        """Open the database on the thread that is going to use it."""
        self.database = sqlite3.connect(":memory:")
        self.database.execute("CREATE TABLE pages (address TEXT, words INTEGER)")

    def on_stop(self) -> None:
        """Close the database."""
        self.database.close()

    def on_receive(self, message: str) -> int:
        """Index a page and return the number of words in all pages so far."""
        words = len(self.fetcher.ask(message, block=True).split())  # blocks this thread, and nobody else
        self.database.execute("INSERT INTO pages VALUES (?, ?)", (message, words))
        total: int = self.database.execute("SELECT sum(words) FROM pages").fetchone()[0]
        return total


async def main() -> None:
    """Index all pages and stop."""
    fetcher = Fetcher.start()  # on this event loop
    index = Index.start(fetcher)  # on its own thread
    for address in PAGES:
        total = await Reply.wrap(index.ask(address, block=False))  # blocks nobody
        print(f"{address}: {total} words so far")
    for name, ref in ("index", index), ("fetcher", fetcher):
        stopped = await Reply.wrap(ref.stop(block=False))
        print(f"{name} stopped: {stopped}")


asyncio.run(main())
