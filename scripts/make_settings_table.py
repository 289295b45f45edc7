"""Generate the table of settings in docs/settings.md from signalflow/settings.py.

python scripts/make_settings_table.py
"""

from pathlib import Path

from pydantic import SecretStr

from signalflow.settings import Settings

DOCUMENT = Path(__file__).parents[1] / "docs" / "settings.md"
BEGIN = "<!-- settings: made by scripts/make_settings_table.py -->\n"
END = "<!-- end of settings -->\n"


def render_table() -> str:
    """The table as Markdown: variable, default, description."""
    prefix = Settings.model_config["env_prefix"].upper()
    lines = ["| variable | default | what it is |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        shown = "empty" if default in ("", None) else f"`{default}`"
        lines.append(f"| `{prefix}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def with_table(document: str) -> str:
    """The document with the current table between its two markers."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{render_table()}{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
