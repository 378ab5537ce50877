"""Holding a conversation with a fake router without a connection between: for tests of what is said, not of how."""

from tasks.routeros_dialogue import Answer, Conversation, Sentence, T
from tasks.routeros_traps import refusal
from tests.fakes.routeros_machine import Machine
from tests.fakes.routeros_values import POLICIES, Trap


def ask(machine: Machine, conversation: Conversation[T], said: list[Sentence] | None = None) -> T:
    """What it comes to, with all rights. Its sentences are added to `said`."""
    said = [] if said is None else said
    try:
        words = next(conversation)
        while True:
            said.append(words)
            try:
                result = machine.menus.execute(words, POLICIES)
            except Trap as trap:
                words = conversation.throw(refusal("router", words, trap.messages))
            else:
                words = conversation.send(Answer([dict(row) for row in result.rows], result.ret))
    except StopIteration as end:
        value: T = end.value
        return value
