"""The cards: one page to print, with an address, a QR code, a name, and a code for everyone.

Codes are stored as hashes, so the page is the only place where they can be read. It's kept in a file that
only its owner can read, and read again when somebody is added.
"""

import html
import io
import re
from collections.abc import Mapping, Sequence
from importlib import resources

import segno

from labkit.workshop.roster import Person

_CARD = re.compile(r'<article class="card" data-login="([a-z0-9-]+)" data-code="([^"]*)">')
_MADE_HERE = (
    "Your browser will say that the connection is not private, because this workshop signs its own "
    "certificate. "
    "Choose <b>Advanced</b>, then <b>Proceed</b> (Firefox: <b>Accept the Risk and Continue</b>)."
)
_OWN = "Your browser should show no warning. If it does, ask your instructor before you go on."


def page(
    people: Sequence[Person], codes: Mapping[str, str], *, url: str, fingerprint: str, own: bool, title: str
) -> str:
    """The page with a card for everyone whose code is known, in the order of `people`.

    `fingerprint` is the certificate's, and `own` says that it's the user's and not made here.
    """
    drawing = _qr(url)
    cards = [
        _card(each, codes[each.login], url, drawing, _OWN if own else _MADE_HERE)
        for each in people
        if each.login in codes
    ]
    style = resources.files("labkit.workshop").joinpath("cards.css").read_text()
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{html.escape(title)}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            f"<h1>{html.escape(title)}</h1>",
            '<p class="note">Print this page, and cut it into cards. Whoever has a card can log in as the '
            "person on it, so don't send the page around.</p>",
            ""
            if own
            else f'<p class="note">The certificate\'s SHA-256 fingerprint: <code>{fingerprint}</code></p>',
            "<main>",
            *cards,
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def read(text: str) -> dict[str, str]:
    """The codes on a page of cards, by login."""
    return {login: html.unescape(code) for login, code in _CARD.findall(text)}


def _card(person: Person, code: str, url: str, drawing: str, warning: str) -> str:
    return f"""<article class="card" data-login="{person.login}" data-code="{html.escape(code)}">
<div class="qr">{drawing}</div>
<h2>{html.escape(person.name)}</h2>
<dl>
<dt>Address</dt><dd>{html.escape(url)}</dd>
<dt>Name</dt><dd>{html.escape(person.login)}</dd>
<dt>Code</dt><dd class="code">{html.escape(code)}</dd>
</dl>
<p>{warning}</p>
</article>"""


def _qr(url: str) -> str:
    """The address as a QR code, drawn in SVG."""
    drawn = io.BytesIO()
    segno.make(url, micro=False).save(
        drawn, kind="svg", xmldecl=False, svgns=False, title=f"QR code of {url}", scale=3
    )
    return drawn.getvalue().decode().strip()
