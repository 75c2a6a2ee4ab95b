"""How docs/ is built: Markdown in, pages of HTML out, no network.

sphinx-build -W -b html docs build/docs
"""

project = "Drive Grade"
project_copyright = "MIT licence"
html_title = project

extensions = ["myst_parser"]
myst_heading_anchors = 3  # so that a link may name a heading
myst_enable_extensions = ["smartquotes"]
exclude_patterns = ["build", "notebooks", "deploy"]

html_theme = "furo"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
pygments_style = "default"
