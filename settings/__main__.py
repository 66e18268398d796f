"""`python -m settings` writes the generated documents; `--check` only says which are out of date."""

from __future__ import annotations

import sys

from settings.reference import REPOSITORY, documents


def main(arguments: list[str]) -> int:
    """Write the documents, or compare them; the exit status is 1 when a comparison fails."""
    status = 0
    for path, text in documents().items():
        current = path.read_text(encoding="utf-8") if path.exists() else ""
        name = path.relative_to(REPOSITORY)
        if current == text:
            continue
        if "--check" in arguments:
            print(f"{name} is out of date; run: python -m settings")
            status = 1
        else:
            path.write_text(text, encoding="utf-8")
            print(f"{name} written")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
