"""The command reference docs/commands.md, made from the command-line program itself.

python docs/commands.py

`--print` shows the page and leaves the file alone.
"""

import argparse
import enum
import inspect
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import typer
from siamese_mnist_cli.app import app
from typer.models import ArgumentInfo, OptionInfo

PAGE = Path(__file__).with_suffix(".md")
INTRODUCTION = """# Command reference

Made from the program by `python docs/commands.py`; `--help` says the same in a terminal. `siamese-mnist` and
`python -m siamese_mnist_cli` are one program. `siamese-mnist --version` prints its version, and `siamese-mnist
--install-completion` teaches the shell its commands and the names of parts.

Results go to stdout, progress and warnings to stderr. With `--json`, stdout holds JSON and nothing else. An option that
says *Repeatable* may be given several times.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | stdout was closed early, or a defect of this program, with a traceback |
| 2 | something in the call or in a file is wrong; one line on stderr names it and the mend |
| 130 | interrupted with Ctrl-C; finished runs are kept, nothing else was written |
"""
WORDS = {str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "PATH"}


class Parameter(NamedTuple):
    """One argument or option as the page shows it."""

    name: str  # of the Python parameter
    info: ArgumentInfo | OptionInfo
    kind: Any  # the type of one value
    repeated: bool
    default: Any  # inspect.Parameter.empty where a value is required


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([INTRODUCTION, *_of_app(app, app.info.name or "siamese-mnist")])


def _of_app(program: typer.Typer, name: str) -> Iterator[str]:
    for command in program.registered_commands:
        assert command.callback is not None
        own = command.name or command.callback.__name__.replace("_", "-")
        yield from _of_command(f"{name} {own}", command.callback)
    for group in program.registered_groups:
        assert group.typer_instance is not None
        yield from _of_app(group.typer_instance, f"{name} {group.name or group.typer_instance.info.name}")


def _of_command(name: str, function: Any) -> Iterator[str]:
    parameters = list(_parameters(function))
    arguments = [each for each in parameters if isinstance(each.info, ArgumentInfo)]
    yield f"## {name}\n\n{inspect.getdoc(function)}\n"
    yield f"```text\n{' '.join([name, '[OPTIONS]', *map(_usage, arguments)])}\n```\n"
    panels: dict[str, list[Parameter]] = {"Arguments": arguments, "Options": []}
    for each in parameters:
        if each not in arguments and not each.info.hidden:
            panels.setdefault(each.info.rich_help_panel or "Options", []).append(each)
    for panel, members in panels.items():
        if members:
            yield f"**{panel}**\n"
            yield "\n".join(map(_entry, members)) + "\n"


def _parameters(function: Any) -> Iterator[Parameter]:
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = hints[name]
        info = next(
            (each for each in get_args(annotation)[1:] if isinstance(each, ArgumentInfo | OptionInfo)),
            typer.Argument() if parameter.default is parameter.empty else typer.Option(),
        )
        kind = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
        if get_origin(kind) in (Union, UnionType):
            (kind,) = (each for each in get_args(kind) if each is not type(None))
        repeated = get_origin(kind) is list
        yield Parameter(name, info, get_args(kind)[0] if repeated else kind, repeated, parameter.default)


def _entry(each: Parameter) -> str:
    shown = _usage(each) if isinstance(each.info, ArgumentInfo) else _option(each)
    return f"- `{shown}`<br>\n  " + " ".join(
        part for part in (each.info.help or "", _limits(each), _default(each)) if part
    )


def _usage(each: Parameter) -> str:
    name = (each.info.metavar or each.name.removesuffix("_")).upper()
    if each.repeated:
        name += "..."
    return name if each.default is inspect.Parameter.empty else f"[{name}]"


def _option(each: Parameter) -> str:
    long = each.name.replace("_", "-")
    # Inside Annotated, Typer takes the first name for the default.
    given = (each.info.default, *(each.info.param_decls or ()))
    names = [name for name in given if isinstance(name, str) and name.startswith("-")]
    if each.kind is bool:
        return ", ".join(names or [f"--{long}/--no-{long}"]).replace("/", " / ")
    return f"{', '.join(names or [f'--{long}'])} {each.info.metavar or _word(each.kind)}"


def _word(kind: Any) -> str:
    if inspect.isclass(kind) and issubclass(kind, enum.Enum):
        return "|".join(str(each.value) for each in kind)
    return WORDS.get(kind, getattr(kind, "__name__", str(kind)).upper())


def _limits(each: Parameter) -> str:
    low, high = each.info.min, each.info.max
    said = []
    if low is not None and high is not None:
        said.append(f"{low} to {high}.")
    elif low is not None:
        said.append(f"At least {low}.")
    elif high is not None:
        said.append(f"At most {high}.")
    if each.repeated and isinstance(each.info, OptionInfo):
        said.append("Repeatable.")
    return " ".join(said)


def _default(each: Parameter) -> str:
    shown, default = each.info.show_default, each.default
    if isinstance(shown, str):
        return f"*Default: {shown}.*"
    if default is inspect.Parameter.empty:
        return "*Required.*" if isinstance(each.info, OptionInfo) else ""
    if not shown or default is None or default is False or default == []:
        return ""
    if default is True:
        return f"*Default: `{_option(each).partition(' / ')[0]}`.*"
    return f"*Default: `{default.value if isinstance(default, enum.Enum) else default}`.*"


def main() -> None:
    """Writes the page by way of a temporary file, or prints it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--print", action="store_true", help="print the page instead of writing it")
    if parser.parse_args().print:
        print(page(), end="")
        return
    with tempfile.NamedTemporaryFile("w", dir=PAGE.parent, suffix=".part", delete=False) as file:
        file.write(page())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(PAGE)


if __name__ == "__main__":
    main()
