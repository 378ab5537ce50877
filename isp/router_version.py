"""RouterOS versions: `6.49.18 (long-term)`, `7.1beta6`, `7.16.2`; they compare as they were released."""

import re
from dataclasses import dataclass

_FORM = re.compile(r"(\d+)\.(\d+)(?:\.(\d+)|(alpha|beta|rc)(\d*))?(?:\s*\(.*\))?", re.ASCII)
_STAGES = ("alpha", "beta", "rc", "")


@dataclass(frozen=True, slots=True, order=True)
class RouterVersion:
    major: int
    minor: int
    stage: int = _STAGES.index("")
    """Index of alpha, beta, rc or a release."""
    number: int = 0
    """Of the release, or of the alpha, beta or rc."""

    @classmethod
    def parse(cls, text: str) -> "RouterVersion":
        """From what /system/resource calls `version`. Raises ValueError."""
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"not a RouterOS version: {text[:40]!r}")
        major, minor, release, stage, number = found.groups()
        return cls(int(major), int(minor), _STAGES.index(stage or ""), int(release or number or 0))

    def __str__(self) -> str:
        stage = _STAGES[self.stage]
        tail = f"{stage}{self.number or ''}" if stage else f".{self.number}" if self.number else ""
        return f"{self.major}.{self.minor}{tail}"
