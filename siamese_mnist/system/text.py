"""Text of other hands, safe to show."""


def printable(text: str) -> str:
    r"""A text without control characters or halves of letters: these are written as escapes, such as `\x1b`."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode() for letter in text
    )
