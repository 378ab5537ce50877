"""What processes have used so far: seconds of processor time, bytes of memory."""

import os
from pathlib import Path

from cli.instance.processes import parent_of, pids

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int, *, with_ended_children: bool = False) -> float:
    """Of all its threads; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15] if with_ended_children else fields[11:13])) / _TICKS_PER_S


def family_cpu_seconds(parent: int) -> float:
    """Of a process, its children, and those of them that have ended."""
    living = sum(cpu_seconds(pid) for pid in pids() if parent_of(pid) == parent)
    return cpu_seconds(parent, with_ended_children=True) + living


def machine_busy_seconds() -> float:
    """Of all processors together, by whatever they are kept busy, time stolen by a hypervisor included."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = Path("/proc/stat").read_text("ascii").split()[1:9]
    return sum(map(int, (user, nice, system, irq, softirq, steal))) / _TICKS_PER_S


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
