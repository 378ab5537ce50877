"""Pastes a script into a fake router: the part of RouterOS's language that Kibali writes, read by another's parser.

A script with an error in its syntax does nothing; one that fails on the way leaves done what came before, as RouterOS.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from routeros_lsp.syntax import ast
from routeros_lsp.syntax.parser import parse

from tests.fakes.routeros_machine import Machine
from tests.fakes.routeros_tables import Item
from tests.fakes.routeros_values import POLICIES

Value = Any  # str, int, bool or a list of .ids
_GLOBAL = ("if", "error", "put", "local", "set", "while", "delay", "len", "pick")


class ScriptError(Exception):
    """What the terminal shows in red."""


def paste(machine: Machine, script: str) -> list[str]:
    """By an admin with all rights; what it printed. Raises ScriptError, and Trap for what a menu refuses."""
    result = parse(script)
    if result.diagnostics:
        raise ScriptError("; ".join(found.message for found in result.diagnostics))
    terminal = _Terminal(machine)
    terminal.block(result.script.statements, "")
    return terminal.printed


class _Terminal:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._variables: dict[str, Value] = {}
        self.printed: list[str] = []

    def block(self, statements: Sequence[ast.Statement], menu: str) -> Value:
        value: Value = ""
        for statement in statements:
            value = self._statement(statement, menu)
        return value

    def _statement(self, statement: ast.Statement, menu: str) -> Value:
        first = statement.elements[0]
        if isinstance(first, ast.Brace):
            return self.block(first.body, menu)
        words = []
        for element in statement.elements:
            if not isinstance(element, ast.Word):
                break
            words.append(element.text)
        if statement.prefix == ":" or (words[0] in _GLOBAL and statement.prefix is None):
            return self._global(words[0], statement.elements[1:], menu)
        path = "" if statement.prefix == "/" else menu
        for at, word in enumerate(words):
            if self._machine.tables.menu(path) and word in ("add", "set", "remove", "find", "get", "sign"):
                return self._command(path, word, statement.elements[at + 1 :])
            path = f"{path}/{word}"
        raise ScriptError(f"bad command name {' '.join(words)}")

    def _global(self, name: str, arguments: Sequence[ast.Element], menu: str) -> Value:
        values: Callable[[int], Value] = lambda index: self._value(arguments[index], menu)  # noqa: E731
        blocks = {_name(one): one.value for one in arguments if isinstance(one, ast.Named)}
        match name:
            case "if":
                chosen = blocks.get("do" if values(0) else "else")
                if isinstance(chosen, ast.Brace):
                    self.block(chosen.body, menu)
            case "while":
                body = blocks["do"]
                assert isinstance(body, ast.Brace)
                while values(0):
                    self.block(body.body, menu)
            case "error":
                raise ScriptError(values(0))
            case "put":
                self.printed.append(str(values(0)))
            case "local" | "set":
                self._variables[values(0)] = values(1)
            case "len":
                return len(values(0))
            case "pick":
                begin = int(values(1))
                return values(0)[begin : int(values(2))] if len(arguments) > 2 else values(0)[begin]
        return ""

    def _command(self, path: str, command: str, arguments: Sequence[ast.Element]) -> Value:
        machine = self._machine
        if command == "find":
            return [item[".id"] for item in machine.tables.items(path) if self._found(path, item, arguments)]
        named = {_name(one): self._value(one.value, path) for one in arguments if isinstance(one, ast.Named)}
        others = [self._value(one, path) for one in arguments if not isinstance(one, ast.Named)]
        if command == "get":
            items = machine.tables.items(path)
            item = items[0] if len(others) == 1 else machine.tables.by_number(path, _only(others[0]))
            words = [f"{path}/print"] if len(others) == 1 else [f"{path}/print", f"=.id={item['.id']}"]
            return machine.menus.execute(words, POLICIES).rows[0].get(others[-1], "")
        numbers = [",".join(one) if isinstance(one, list) else str(one) for one in others]
        if others == [[]]:
            return ""  # nothing was found, nothing is to be done
        words = [f"{path}/{command}", *(f"=numbers={number}" for number in numbers)]
        words += [f"={name}={value}" for name, value in named.items()]
        return machine.menus.execute(words, POLICIES).ret or ""

    def _found(self, path: str, item: Item, conditions: Sequence[ast.Element]) -> bool:
        pending = [one for one in conditions if not (isinstance(one, ast.Word) and one.text in ("where", "and"))]
        while pending:
            condition = pending.pop(0)
            if isinstance(condition, ast.Named):
                name, wanted = _name(condition), self._value(condition.value, path)
                wanted = {"yes": "true", "no": "false"}.get(wanted, wanted)
                here = item.get(name.removesuffix("!"), "false" if wanted in ("true", "false") else "")
                if (here == wanted) is name.endswith("!"):
                    return False
            elif isinstance(condition, ast.Word) and condition.text.endswith("~"):
                if not re.search(self._value(pending.pop(0), path), item.get(condition.text[:-1], "")):
                    return False
            else:
                raise ScriptError("a condition that the fake router does not know")
        return True

    def _value(self, expression: Any, menu: str) -> Value:
        match expression:
            case ast.StringLit():
                return _string(expression)
            case ast.Word():
                return expression.text
            case ast.Variable():
                return self._variables[expression.name]
            case ast.Subst():
                return self.block(expression.body, menu)
            case ast.Group():
                (inner,) = expression.exprs
                return self._value(inner, menu)
            case ast.Binary():
                left, right = self._value(expression.left, menu), self._value(expression.right, menu)
                return _OPERATORS[expression.op](left, right)
        raise ScriptError(f"the fake router knows no {type(expression).__name__}")


_OPERATORS: dict[str, Callable[[Value, Value], Value]] = {
    "=": lambda left, right: str(left) == str(right),
    "!=": lambda left, right: str(left) != str(right),
    "<": lambda left, right: int(left) < int(right),
    "+": lambda left, right: int(left) + int(right),
    ".": lambda left, right: f"{left}{right}",
    "and": lambda left, right: left and right,
}


def _string(literal: ast.StringLit) -> str:
    """An escape is a byte, and bytes are UTF-8."""
    octets = b""
    for part in literal.parts:
        assert isinstance(part, ast.TextPart | ast.EscapePart), "a value that RouterOS would take for code"
        octets += part.text.encode("latin-1" if isinstance(part, ast.EscapePart) else "utf-8")
    return octets.decode("utf-8", "surrogateescape")


def _name(named: ast.Named) -> str:
    assert isinstance(named.name, ast.Word)
    return named.name.text


def _only(found: Value) -> str:
    if isinstance(found, list):
        if len(found) != 1:
            raise ScriptError("no such item" if not found else "more than one item")
        return str(found[0])
    return str(found)
