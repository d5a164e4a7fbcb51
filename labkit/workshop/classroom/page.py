"""The class page itself: one HTML file, its styles, and its scripts, all from this package."""

import html
from pathlib import Path

from tornado.web import HTTPError, RequestHandler, StaticFileHandler

from labkit.workshop.classroom.handlers import Handler
from labkit.workshop.classroom.instructors import Instructor

STATIC = Path(__file__).parent / "static"


class Page(Instructor):
    """`GET /`: the page, for instructors; anybody else goes to the hub's login."""

    def get(self) -> None:
        text = (STATIC / "page.html").read_text(encoding="utf-8")
        self.set_header("Content-Type", "text/html; charset=utf-8")
        token: bytes = self.xsrf_token
        self.finish(text.replace("{{xsrf}}", html.escape(token.decode())))

    def unknown(self) -> None:
        RequestHandler.redirect(self, self.hub_login())


class Static(StaticFileHandler, Handler):
    """The page's styles and scripts, which hold nothing about anybody."""

    def set_extra_headers(self, _: str) -> None:
        self.set_header("Cache-Control", "no-cache")

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        if Path(absolute_path).suffix not in (".css", ".js", ".svg"):
            raise HTTPError(404)
        return super().validate_absolute_path(root, absolute_path)


class Missing(Handler):
    """Any other path."""

    def prepare(self) -> None:
        raise HTTPError(404)


ROUTES: list[tuple[str, type[RequestHandler], dict[str, str]]] = [
    ("", Page, {}),
    (r"static/([\w.-]+)", Static, {"path": str(STATIC)}),
]
