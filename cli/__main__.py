"""`python -m cli ARGS…`: what the launcher `./kibali ARGS…` ends in."""

from cli.app import kibali

kibali(prog_name="kibali")
