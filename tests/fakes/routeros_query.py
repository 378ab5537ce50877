"""The `?` words of a print: a little machine with a stack of truths, one for each item.

`?name` has it, `?-name` has it not, `?name=x` and `?=name=x`, `?<name=x`, `?>name=x`, and `?#` with operators: `&` `|`
`!`, an index pushes a copy of that value, `.` does nothing. What is left must all be true.
"""

from collections.abc import Mapping, Sequence

from tests.fakes.routeros_values import Trap


def matches(item: Mapping[str, str], queries: Sequence[str]) -> bool:
    stack: list[bool] = []
    for query in queries:
        word = query[1:]
        if word.startswith("#"):
            _operate(stack, word[1:])
        else:
            stack.append(_test(item, word))
    return all(stack)


def _test(item: Mapping[str, str], word: str) -> bool:
    if word.startswith("-"):
        return word[1:] not in item
    how, word = (word[0], word[1:]) if word[:1] in ("=", "<", ">") else ("=", word)
    name, equals, value = word.partition("=")
    if not equals:
        return name in item
    if name not in item:
        return False
    value = {"yes": "true", "no": "false"}.get(value, value) if item[name] in ("true", "false") else value
    if how == "=":
        return item[name] == value
    return _less(item[name], value) if how == "<" else _less(value, item[name])


def _less(left: str, right: str) -> bool:
    if left.isdigit() and right.isdigit():
        return int(left) < int(right)
    return left < right


def _operate(stack: list[bool], operators: str) -> None:
    number = ""
    for operator in operators + ".":
        if operator.isdigit():
            number += operator
            continue
        if number:
            stack.append(stack[-1 - int(number)])
            number = ""
        if operator == "!":
            stack.append(not stack.pop())
        elif operator in "&|":
            right, left = stack.pop(), stack.pop()
            stack.append(left and right if operator == "&" else left or right)
        elif operator != ".":
            raise Trap("bad query", category=5)
