"""Publications as differences (fossil), applied by the stock Python SDK: above all text that is not ASCII."""

import asyncio
import os
import random
import time

import pytest
from centrifuge import DeltaType
from conftest import Link
from sdk import client, said, soon, subscribe, take

CONFIG = """
[channels]
history_size = 300
delta = "always"

[namespaces.long]
delta = "always"
compaction = true

[namespaces.off]
"""

SEED = int(os.environ.get("SEED", time.time()))
LETTERS = {
    "cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "chinese": "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能",
    "emoji": "😀😁😂😃😄😅😆😇😈😉😊😋🐦🐧🐨",
    "mixed": 'aé€😀бß中z\\"\n',
}


def story_of(letters, edits):
    """A document, and what becomes of it edit by edit."""
    roll = random.Random(SEED)
    text = [roll.choice(letters) for _ in range(300)]
    states = []
    for number in range(edits):
        at = roll.randrange(len(text))
        text[at : at + roll.randrange(3)] = [roll.choice(letters) for _ in range(roll.randrange(3))]
        states.append({"number": number, "text": "".join(text)})
    return states


@pytest.mark.parametrize("letters", LETTERS)
def test_text_arrives_as_it_was_edit_by_edit(shared, name, letters):
    async def story():
        ana = client(shared.websocket_url)
        _, events = await subscribe(ana, name, delta=DeltaType.FOSSIL)
        states = story_of(LETTERS[letters], 60)
        for state in states:
            shared.publish(name, state)
        assert await take(events.publications, len(states)) == states, f"SEED={SEED}"
        assert not ana.events.disconnected.done()
        await ana.disconnect()

    asyncio.run(story())


def test_after_a_cut_what_was_missed_is_recovered_and_the_chain_goes_on(shared, name):
    async def story():
        link = await Link(shared.port).open()
        ana = client(link.websocket_url)
        _, events = await subscribe(ana, name, delta=DeltaType.FOSSIL)
        await soon(events.subscribed.get())
        states = story_of(LETTERS["mixed"], 60)
        for state in states[:10]:
            shared.publish(name, state)
        assert await take(events.publications, 10) == states[:10]
        link.cut()
        for state in states[10:50]:
            shared.publish(name, state)
        link.restore()
        assert (await soon(events.subscribed.get())).recovered
        for state in states[50:]:
            shared.publish(name, state)
        assert await take(events.publications, 50) == states[10:], f"SEED={SEED}"
        await ana.disconnect()

    asyncio.run(story())


def test_what_passes_by_the_history_does_not_disturb_the_chain(shared, name):
    async def story():
        ana = client(shared.websocket_url)
        _, events = await subscribe(ana, name, delta=DeltaType.FOSSIL)
        values = [f"{word} " * 30 for word in ("первый", "второй", "третий", "четвёртый", "пятый")]
        for index, value in enumerate(values):
            shared.publish(name, value, skip_history=index % 2 == 1)
        assert await take(events.publications, 5) == values
        await ana.disconnect()

    asyncio.run(story())


@pytest.mark.parametrize("namespace", ["long:", "off:"])
def test_with_compaction_and_where_there_are_none(shared, name, namespace):
    async def story():
        ana = client(shared.websocket_url)
        channel = namespace + name
        mine, events = await subscribe(ana, channel, delta=DeltaType.FOSSIL)
        states = story_of(LETTERS["mixed"], 20)
        for state in states:
            await mine.publish(said(state))
        assert await take(events.publications, 20) == states
        await ana.disconnect()

    asyncio.run(story())
