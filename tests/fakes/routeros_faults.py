"""What a fake router does wrong on purpose."""

from dataclasses import dataclass
from typing import Literal

How = Literal["hang", "late", "drop", "drop_after", "cut", "drip", "trap", "fatal", "garbage", "reboot"]
"""
hang        never answers
late        answers after `seconds`
drop        ends the connection and does nothing
drop_after  does it, and ends the connection without an answer
cut         does it, and ends the connection in the middle of the answer
drip        does it, and sends a byte every `seconds`
trap        refuses in the words `words`
fatal       ends the connection in the words `words`
garbage     sends what is no API
reboot      goes down, and is up again after `seconds`
"""


@dataclass(slots=True)
class Fault:
    at: str
    """Beginning of the command word; empty for every one."""
    how: How
    after: int = 0
    """How many such sentences go well before."""
    times: int | None = 1
    """None: for ever."""
    seconds: float = 0.05
    words: str = "failure: std failure: timeout (13)"


class Faults(list[Fault]):
    def next(self, command: str) -> Fault | None:
        """The one that meets this sentence, counted as met."""
        for fault in self:
            if not command.startswith(fault.at) or fault.times == 0:
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
            return fault
        return None
