"""Tables on the terminal whose cells are never cut: a topic or an id is copied into the next command."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

_WIDER_THAN_ANY_ROW = 10_000


def whole_table(*columns: str) -> "Table":
    """A table without lines. Its rows are as wide as they must be, and the terminal wraps them."""
    from rich.table import Table

    table = Table(box=None)
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ignore")
    return table


def print_whole(what: "Table | str") -> None:
    """Print a table, or a text in its place, without regard to the width of the terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if isinstance(what, Table):
        needed = console.measure(what, options=console.options.update(width=_WIDER_THAN_ANY_ROW)).maximum
        console = Console(width=max(console.width, needed))
    console.print(what, soft_wrap=True)
