"""Options that several commands share, so that they are called and explained alike everywhere."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.console import default_workers

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file with settings; --set overrides it.", show_default=False)
]
Overrides = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override one setting, dotted; may be repeated.")
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers", "-j", min=1, default_factory=default_workers, help="Processes; the output does not depend on it."
    ),
]
MaxRejected = Annotated[
    float, typer.Option("--max-rejected", min=0.0, max=1.0, help="Exit 3 when a larger share of the records was unreadable.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would be done, and stop.")]
RunDir = Annotated[str, typer.Argument(metavar="RUN", help="The run's folder.", show_default=False)]
Out = Annotated[
    str, typer.Option("--out", "-o", metavar="RUN", help="The run's folder; made when missing.", show_default=False)
]
