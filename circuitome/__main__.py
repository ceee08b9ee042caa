"""``python -m circuitome`` is the command line program."""

from __future__ import annotations

from circuitome.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
