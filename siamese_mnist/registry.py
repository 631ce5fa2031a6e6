"""Named parts: registered where they are defined, listed, and extended by pip packages through entry points."""

import difflib
import inspect
import math
import pkgutil
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, get_type_hints

from siamese_mnist.errors import UsageError

T = TypeVar("T")
D = TypeVar("D")


BUILT_IN = "built in"
"""Origin of the parts of this library."""


class UnknownPartError(UsageError):
    """A name that no registered part has; the message suggests the nearest ones.

    Attributes:
        kind: of the part, such as "head".
        name: that is unknown.
    """

    def __init__(self, message: str, kind: str = "", name: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.name = name


class Described(ABC):
    """A part that is a value, not a class: it says itself what it is."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """One line for `siamese-mnist list`."""


@dataclass(frozen=True)
class Part(Generic[T]):
    """One registered part.

    Attributes:
        name: the name it is asked for by.
        value: the registered object: a class, a function or a settings object.
        origin: "built in", or the distribution and version of the package that adds it.
        summary: first line of its docstring.
    """

    name: str
    value: T
    origin: str
    summary: str


@dataclass(frozen=True)
class Home:
    """Where the built-in parts of a registry are defined, and their names, which are known without importing it.

    Attributes:
        module: registers them when it is imported.
        names: of the parts, in the order of their registration, with blanks between.
    """

    module: str
    names: str


class Registry(Generic[T]):
    """Parts of one kind by name.

    Args:
        kind: singular noun for messages, such as "head".
        group: entry-point group through which other packages add parts.
        base: what every part derives from or is an instance of: one class or several, each itself or as "module:name";
            None takes any callable.
        home: where the built-in parts are, if they are not to be imported before one is asked for.

    Example:
        >>> colours: Registry[type[object]] = Registry("colour", "example.colours")
        >>> colours.add("red", object, summary="A warm one.")
        >>> list(colours)
        ['red']
        >>> colours["rad"]
        Traceback (most recent call last):
        ...
        siamese_mnist.registry.UnknownPartError: unknown colour 'rad'; did you mean 'red'? Known colours: red.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        base: type | str | tuple[type | str, ...] | None = None,
        *,
        home: Home | None = None,
    ) -> None:
        self.kind = kind
        self.group = group
        self.home = home
        self._wanted = base if isinstance(base, tuple) else (base,) if base else ()
        self._plural = group.rpartition(".")[2]
        self.broken: dict[str, str] = {}
        self._parts: dict[str, Part[T]] = {}
        self._plugins_loaded = False

    def register(self, name: str, *, summary: str | None = None) -> Callable[[D], D]:
        """Decorator that registers the decorated object under `name`.

        Raises:
            ValueError: if the name is taken.
        """

        def add(value: D) -> D:
            self.add(name, value, summary=summary)  # type: ignore[arg-type]
            return value

        return add

    def add(self, name: str, value: T, *, origin: str = BUILT_IN, summary: str | None = None) -> None:
        """Registers `value` under `name`.

        Raises:
            ValueError: if the name is taken.
            TypeError: if `value` is not what a part of this kind has to be.
        """
        if name in self._parts:
            raise ValueError(f"{self.kind} {name!r} is registered already, by {self._parts[name].origin}")
        self._check(name, value)
        if summary is None:
            own = value.summary if isinstance(value, Described) else inspect.getdoc(value) or ""
            summary = own.partition("\n")[0]
        self._parts[name] = Part(name, value, origin, summary)

    def __getitem__(self, name: str) -> T:
        return self.part(name).value

    def __contains__(self, name: object) -> bool:
        self._load_plugins()
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        self._load_plugins()
        return iter(self._parts)

    def __len__(self) -> int:
        self._load_plugins()
        return len(self._parts)

    def parts(self) -> list[Part[T]]:
        """All parts, built-in ones first, in the order of their registration."""
        self._load_plugins()
        return list(self._parts.values())

    def part(self, name: str) -> Part[T]:
        """The part called `name`.

        Raises:
            UnknownPartError: if there is none; the message suggests near names and lists the known ones.
        """
        if name not in self._parts:
            self.check_name(name)
            self._load_built_in()
        if name not in self._parts:
            self._load_plugins()
        if name not in self._parts:
            raise self._unknown(name, self._parts)
        return self._parts[name]

    def check_name(self, name: str) -> None:
        """Checks that a part is called `name`, without importing any that is not there yet.

        Raises:
            UnknownPartError: if there is none; see `part`.
        """
        if name in self._parts or (self.home and name in self.home.names.split()):
            return  # without a search for what is installed
        if name not in (names := self.names()):
            raise self._unknown(name, names)

    def names(self) -> list[str]:
        """Names of all parts and of what other packages announce, without importing any that is not there yet."""
        built_in = self.home.names.split() if self.home else []
        announced = [entry.name for entry in entry_points(group=self.group) if entry.name not in self.broken]
        return list(dict.fromkeys((*built_in, *self._parts, *announced)))

    def _unknown(self, name: str, names: Iterable[str]) -> UnknownPartError:
        known = list(names)
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
        broken = f" Not loaded: {'; '.join(f'{k} ({v})' for k, v in self.broken.items())}." if self.broken else ""
        message = f"unknown {self.kind} {name!r}{hint} Known {self._plural}: {', '.join(known)}.{broken}"
        return UnknownPartError(message, self.kind, name)

    def check_options(self, name: str, options: Iterable[str]) -> None:
        """Checks that the part called `name` has these options.

        Raises:
            UsageError: if it has not; the message suggests the nearest and lists the known ones.
        """
        known = options_of(self[name])
        for option in options:
            if option not in known:
                near = difflib.get_close_matches(option, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else "."
                has = f"Its options: {', '.join(known)}." if known else "It has none."
                raise UsageError(f"{self.kind} {name!r} has no option {option!r}{hint} {has}")

    def make(self, name: str, options: Mapping[str, Any], **given: Any) -> Any:
        """Calls the part called `name` with `given` arguments and a user's `options`.

        Raises:
            UnknownPartError: if there is no such part.
            UsageError: if it has no such option, or refuses its value.
        """
        factory: Any = self[name]
        self.check_options(name, options)
        try:
            return factory(**given, **options)
        except TypeError as error:
            raise UsageError(f"{self.kind} {name!r} refuses {dict(options)}: {error}") from error

    def _check(self, name: str, value: Any) -> None:
        bases = tuple(pkgutil.resolve_name(base) if isinstance(base, str) else base for base in self._wanted)
        fits = (inspect.isclass(value) and issubclass(value, bases)) or isinstance(value, bases)
        if bases and not fits:
            wanted = " or ".join(f"{base.__module__}.{base.__qualname__}" for base in bases)
            raise TypeError(f"{self.kind} {name!r} must derive from {wanted}, got {value!r}")
        if inspect.isclass(value) and inspect.isabstract(value):
            raise TypeError(f"{self.kind} {name!r} is abstract: {value!r} leaves methods of its base open")
        if not bases and not callable(value):
            raise TypeError(f"{self.kind} {name!r} must be callable, got {value!r}")

    def _load_built_in(self) -> None:
        if self.home:
            import_module(self.home.module)

    def _load_plugins(self) -> None:
        self._load_built_in()
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        for entry in entry_points(group=self.group):
            origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
            try:
                self.add(entry.name, entry.load(), origin=origin)
            # A plugin's import can raise anything; whatever it is must not take the other parts down.
            except (Exception, SystemExit) as error:
                self.broken[entry.name] = f"{origin}: {type(error).__name__}: {error}".partition("\n")[0]


class Factory(ABC):
    """A part that is made by an object instead of a class, which then says itself which options it has."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Its options with their defaults."""

    def space(self) -> Mapping[str, "Range"]:
        """Options that a study tunes, with their ranges, while all others are at their defaults."""
        return {}

    @abstractmethod
    def __call__(self, **arguments: Any) -> Any:
        """Makes the part."""


@dataclass(frozen=True)
class Range:
    """Numbers among which a study chooses: whole ones if both ends are whole numbers.

    A part declares what of it is worth tuning at the option itself: `margin: Annotated[float, Range(0.01, 0.5)] = 0.1`.

    Attributes:
        low: the least.
        high: the greatest, more than `low`.

    Raises:
        ValueError: if the ends are not finite, or not in order.

    Example:
        >>> Range(1e-4, 1e-2).log, str(Range.parse("16..128"))
        (True, '16..128')
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"a range is two finite numbers, the lower first, got {self}")

    @classmethod
    def parse(cls, text: str) -> "Range":
        """The range written "low..high".

        Raises:
            UsageError: if it is none.
        """
        try:
            low, high = text.split("..")
            numbers = (
                (int(low), int(high)) if _WHOLE.fullmatch(low) and _WHOLE.fullmatch(high) else map(float, (low, high))
            )
            return cls(*numbers)
        except ValueError as error:
            raise UsageError(f"a range is written low..high, such as 1e-4..1e-2, got {text!r}") from error

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}"

    @property
    def log(self) -> bool:
        """Whether every ratio is equally likely, not every difference: ends above 0 and at least tenfold apart."""
        return self.low > 0 and self.high >= 10 * self.low

    @property
    def whole(self) -> bool:
        """Whether it is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


_WHOLE = re.compile(r"[+-]?\d+")


def space_of(factory: Any) -> dict[str, Range]:
    """Options of a part that a study tunes unless told otherwise, with their ranges.

    They are declared at the options, see `Range`, or what a `Factory` says.
    """
    if isinstance(factory, Factory):
        return dict(factory.space())
    try:
        hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory, include_extras=True)
    except NameError:  # of names that are known to a type checker only
        return {}
    return {
        name: mark
        for name, hint in hints.items()
        for mark in getattr(hint, "__metadata__", ())
        if isinstance(mark, Range)
    }


def options_of(factory: Any) -> dict[str, Any]:
    """Options that a user may set on a part, with their defaults.

    They are its keyword-only parameters that have a default, or what a `Factory` says.
    """
    if isinstance(factory, Factory):
        return factory.options()
    return {
        name: parameter.default
        for name, parameter in inspect.signature(factory).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is not parameter.empty
    }


def parse_options(texts: Sequence[str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Options written as "name=value", each value read as the type of the option's default.

    Unknown names stay text; the registry refuses them with a suggestion when the part is made.

    Args:
        texts: such as ["blocks=3", "residual=false"].
        defaults: the part's options with their defaults, see `options_of`.

    Raises:
        UsageError: if a text has no "=", or a value is not of the option's type.

    Example:
        >>> parse_options(["blocks=3", "residual=false"], {"blocks": 2, "residual": True})
        {'blocks': 3, 'residual': False}
    """
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"options are written name=value, got {text!r}")
        options[name] = _read(name, value, defaults.get(name, ""))
    return options


def _read(name: str, value: str, default: Any) -> Any:
    if isinstance(default, bool):
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if value.lower() not in words:
            raise UsageError(f"option {name} must be true or false, got {value!r}")
        return words[value.lower()]
    if isinstance(default, int | float):
        # The default of a real number is often written as an integer, so a fraction is taken for both.
        for kind in (int, float):
            try:
                number = kind(value)
            except ValueError:
                continue
            if math.isfinite(number):
                return number
        raise UsageError(f"option {name} must be a finite number, got {value!r}")
    if default is None:
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
        return {"none": None, "true": True, "false": False}.get(value.lower(), value)
    return value
