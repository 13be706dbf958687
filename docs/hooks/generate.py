"""Pages that are generated when the site is built: the CLI from its help, the API from its docstrings, the navigation."""

import pkgutil
from pathlib import Path

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOMS = ("curate", "train", "pipelines")
SECTIONS = {
    "tutorial": "Tutorial",
    "how-to": "How-to",
    "explanation": "Explanation",
    "reference": "Reference",
    "benchmarks": "Benchmarks",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated reference pages."""
    files.append(File.generated(config, "reference/cli.md", content=cli_page()))
    for name, modules in api_rooms().items():
        body = "\n\n".join(f"::: {module}" for module in modules)
        files.append(File.generated(config, f"reference/api/{name}.md", content=f"# {name}\n\n{body}\n"))
    config.nav = navigation(files)
    return files


def cli_page() -> str:
    """Every command with its help, as Markdown."""
    from pipelines.cli import app

    group = typer.main.get_command(app)
    pages = [_command_page(group, "curate")]
    pages += [_command_page(command, f"curate {name}") for name, command in sorted(group.commands.items())]
    return "# The command line\n\n" + "\n".join(pages)


def _command_page(command: object, path: str) -> str:
    text = f"## {path}\n\n```text\n{_help_of(path)}\n```\n"
    inner = getattr(command, "commands", {}) if path != "curate" else {}
    return text + "".join(f"\n### {path} {name}\n\n```text\n{_help_of(f'{path} {name}')}\n```\n" for name in inner)


def _help_of(path: str) -> str:
    from typer.testing import CliRunner

    from pipelines.cli import app

    result = CliRunner(env={"TERMINAL_WIDTH": "110", "COLUMNS": "110", "NO_COLOR": "1"}).invoke(
        app, [*path.split()[1:], "--help"]
    )
    assert result.exit_code == 0, f"{path} --help: {result.output}"
    return "\n".join(line.rstrip() for line in result.output.strip("\n").splitlines())


def api_rooms() -> dict[str, list[str]]:
    """Modules by page: each room of curate, its ground floor, train and pipelines."""
    rooms: dict[str, list[str]] = {}
    for package in ROOMS:
        for module in pkgutil.walk_packages([package], f"{package}."):
            parts = module.name.split(".")
            if "__main__" in parts:
                continue
            room = ".".join(parts[:2]) if len(parts) > 2 or module.ispkg else package
            rooms.setdefault(room, []).append(module.name)
    return rooms


def navigation(files: Files) -> list[dict[str, object]]:
    """Sections in the order in which a newcomer reads, pages by name inside them."""
    pages = sorted(file.src_uri for file in files.documentation_pages())
    nav: list[dict[str, object]] = [{"Shotcraft": "index.md"}]
    for folder, title in SECTIONS.items():
        inside: list[object] = [page for page in pages if page.startswith(f"{folder}/") and "/api/" not in page]
        if folder == "benchmarks":
            inside = [page for page in ("benchmarks.md",) if page in pages] + inside
        if folder == "reference":
            inside.append({"API": [page for page in pages if "/api/" in page]})
        if inside:
            nav.append({title: inside})
    nav += [{"Decisions": page} for page in pages if page == "decisions.md"]
    nav += [{"Changes": page} for page in pages if page == "changelog.md"]
    return nav


assert Path("mkdocs.yml").exists(), "mkdocs runs at the project's root"
