"""Mikrotik-Rate-Limit: `rx/tx rx-burst/tx-burst rx-threshold/tx-threshold rx-time/tx-time priority rx-min/tx-min`.

The router speaks of itself: rx is what it receives, the subscriber's upload. Fields are positional, so a later one
forces the earlier ones to be written.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """A pair of speeds in kbit/s (1k = 1000 bit/s)."""

    upload_kbps: int
    download_kbps: int

    def __str__(self) -> str:
        return f"{self.upload_kbps}k/{self.download_kbps}k"


@dataclass(frozen=True, slots=True)
class Burst:
    """Speed above the limit while the average over `time_s` is below `threshold`."""

    rate: Rate
    threshold: Rate
    time_s: int


def rate_limit(
    upload_kbps: int,
    download_kbps: int,
    *,
    burst: Burst | None = None,
    priority: int | None = None,
    minimum: Rate | None = None,
) -> str:
    """The attribute's value; `priority` 1 (first) to 8."""
    limit = Rate(upload_kbps, download_kbps)
    fields = [str(limit)]
    if burst or priority is not None or minimum:
        # Without a burst the fields stand at the limit itself, which RouterOS reads as "no burst".
        burst = burst or Burst(limit, limit, 1)
        fields += [str(burst.rate), str(burst.threshold), f"{burst.time_s}/{burst.time_s}"]
    if priority is not None or minimum:
        fields.append(str(8 if priority is None else priority))
    if minimum:
        fields.append(str(minimum))
    return " ".join(fields)
