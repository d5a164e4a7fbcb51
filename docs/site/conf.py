"""Sphinx's settings for the static website: the chapters as they are committed, and the pages in docs/.

`./lab docs` builds it. The source folder is the project's root, so links between pages stay as they are.
"""

from docutils import nodes
from sphinx.application import Sphinx

project = "Swarm Lab"
html_title = "Swarm Lab"
root_doc = "docs/site/index"
include_patterns = [
    "docs/site/index.md",
    "docs/*.md",
    "docs/facts/*.md",
    "notebooks/*.ipynb",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "bench/RESULTS.md",
]
extensions = ["myst_nb"]
nb_execution_mode = "off"  # the outputs are committed, and tests keep them true
nb_merge_streams = True
myst_heading_anchors = 4
html_theme = "furo"  # light and dark, by the reader's choice
html_copy_source = False
html_show_copyright = False

_GLOSSARY = "docs/glossary"


def name_languages(_app: Sphinx, page: nodes.document) -> None:
    """Cells that run on nodes are shell scripts, and errors are no tracebacks of Python's."""
    for block in page.findall(nodes.literal_block):
        if block.astext().startswith("%%on"):
            block["language"] = "bash"
        elif block.get("language") == "ipythontb":
            block["language"] = "text"


def link_terms(app: Sphinx, page: nodes.document, name: str) -> None:
    """Link each term that a chapter defines, and sets in italics, to its entry in the glossary."""
    if not name.startswith("notebooks/"):
        return
    entries = app.env.get_doctree(_GLOSSARY).findall(nodes.section)
    known = {entry[0].astext(): entry["ids"][0] for entry in entries}
    for term in list(page.findall(nodes.emphasis)):
        text = term.astext()
        if place := known.get(text if text.isupper() else text.lower()):
            target = f"{app.builder.get_relative_uri(name, _GLOSSARY)}#{place}"
            term.replace_self(nodes.reference("", "", term.deepcopy(), internal=True, refuri=target))


def setup(app: Sphinx) -> None:
    """Connect the two steps above; Sphinx calls this."""
    app.connect("doctree-read", name_languages)
    app.connect("doctree-resolved", link_terms)
