"""The public names and their signatures, held against tests/public.txt, which `python tests/test_public.py` writes."""

import argparse
import ast
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import siamese_mnist as sm

SNAPSHOT = Path(__file__).with_name("public.txt")


def lines() -> Iterator[str]:
    """One line for every public name, method and field, with the types as the source has them."""
    for name in sorted(sm.__all__):
        value = getattr(sm, name)
        if inspect.isclass(value):
            yield f"class {name}({', '.join(base.__name__ for base in value.__bases__)})"
            yield from (f"    {line}" for line in members(value))
        elif inspect.isfunction(value):
            yield signature(source(value))
        else:
            yield f"{name}: {type(value).__name__.lstrip('_')}"


def members(kind: type[Any]) -> Iterator[str]:
    """Fields, constructor, methods and properties of a class and of those that it derives from, each once."""
    seen = set()
    for owner in kind.__mro__:
        if not owner.__module__.startswith("siamese_mnist"):
            continue
        for statement in source(owner).body:
            name = getattr(statement, "name", None) or getattr(getattr(statement, "target", None), "id", "_")
            if name in seen or (name.startswith("_") and name != "__init__"):
                continue
            seen.add(name)
            if isinstance(statement, ast.AnnAssign):
                yield ast.unparse(statement)
            elif isinstance(statement, ast.FunctionDef):
                yield "".join(f"@{ast.unparse(each)} " for each in statement.decorator_list) + signature(statement)


def signature(function: ast.FunctionDef) -> str:
    returned = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"{function.name}({ast.unparse(function.args)}){returned}"


def source(value: Any) -> Any:
    return ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]


def test_public_names_are_those_of_the_snapshot():
    """A change here is a change for users: see "What is public" in CONTRIBUTING.md, then write the snapshot anew."""
    assert list(lines()) == SNAPSHOT.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    SNAPSHOT.write_text("\n".join(lines()) + "\n", encoding="utf-8")
