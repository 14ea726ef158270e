"""How Sphinx builds these pages: `make docs`."""

# ruff: noqa: INP001 - Sphinx reads this file by its path

project = "Sebastian"
author = "The Sebastian authors"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns: list[str] = []
suppress_warnings = ["myst.header"]  # pages may begin anew with a heading of the first level

myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = "Sebastian"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_copy_source = False
html_show_sphinx = False
