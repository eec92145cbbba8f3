"""Settings of Sphinx for the documentation site. ``scripts/docs`` calls it, on pages it has laid out first."""

from __future__ import annotations

import tallyclip

project = "tallyclip"
author = "The tallyclip authors"
release = version = tallyclip.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
python_use_unqualified_type_names = True
html_theme = "furo"
html_title = "tallyclip"
html_copy_source = False
html_show_sphinx = False
html_static_path: list[str] = []
