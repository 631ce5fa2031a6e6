"""Text from template files, for pages and cards."""

from typing import Any


def render(package: str, name: str, **values: Any) -> str:
    """The text of a template that is shipped in a package.

    Args:
        package: import path of the package whose folder holds the template.
        name: its file name; in a ".html" template every value is escaped, unless it is Markup.
        **values: what the template speaks of; one that it misses is an error.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package, "."),
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name).render(values)
