"""A group of commands whose first word need not be a command: `curate evaluate MODEL` is `curate evaluate run MODEL`."""

from typing import Any

import typer

HELP = ("-h", "--help")


def with_default(command: str) -> type[typer.core.TyperGroup]:
    """The group's class; `command` is put in front where none is named."""

    class WithDefault(typer.core.TyperGroup):
        """A group with a default command."""

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # typer does not export its base's context
            """Puts the default command in front where none is named."""
            if args and args[0] not in self.commands and args[0] not in HELP:
                args = [command, *args]
            return super().parse_args(ctx, args)

    return WithDefault
