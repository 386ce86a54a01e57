"""How a damaged file is spoken of: by name and byte."""

from pathlib import Path


def damaged(path: Path, offset: int, fact: str, remedy: str = "take the file from the original again") -> ValueError:
    """The error for a file that cannot be used, on one line."""
    return ValueError(f"{path}, byte {offset}: {fact}; {remedy}")


def read_bytes(path: Path) -> bytes:
    """A file's content.  ValueError, naming it, where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); see that it is a file one may read") from None


def shown(raw: bytes | str, longest: int = 40) -> str:
    """Strange content, fit for a message of one line."""
    text = raw if isinstance(raw, str) else raw.decode("ascii", "backslashreplace")
    return repr(text if len(text) <= longest else text[:longest] + "...")
