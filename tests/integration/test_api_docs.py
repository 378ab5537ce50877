"""/openapi.json and /docs, as a browser without a token gets them."""

import re

from api.app import ROUTES
from api.openapi import document
from settings import Settings
from tests.integration.api_server import api_of


def test_the_document_and_its_viewer_need_no_token_and_nothing_from_elsewhere(settings: Settings) -> None:
    with api_of(settings) as api:
        assert api.http.get("/openapi.json").json() == document(ROUTES)
        page = api.http.get("/docs")
        policy = dict(each.strip().split(" ", 1) for each in page.headers["content-security-policy"].split(";"))
        assert (policy["default-src"], policy["script-src"], policy["connect-src"]) == ("'none'", "'self'", "'self'")
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "//" not in page.text, "it names another host"
        sources = re.findall(r'(?:src|spec-url|href)="([^"]+)"', page.text)
        assert {"/docs/rapidoc.js", "/openapi.json"} == set(sources)
        for source in sources:
            assert api.http.get(source).status_code == 200
        assert api.http.get("/docs/rapidoc.js").headers["content-type"].startswith("text/javascript")
