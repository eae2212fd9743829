"""What a dashboard must be, before anybody asks a query of it. Each rule names what it refuses."""

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations

from deploy.grafana.names import metrics_in
from deploy.grafana.pages import BUILT_IN, Page, Panel, variables_in
from deploy.grafana.panels import COLUMNS, SOURCE, TAG


def refusals(pages: Sequence[Page], exported: Collection[str]) -> list[str]:
    """Whatever is wrong, with the page and the panel it is wrong with."""
    found = [f"{page.name}: {text}" for page in pages for text in _of_page(page)]
    found += [
        f"{page.name} / {panel.title}: {text}"
        for page in pages
        for panel in page.panels
        for text in (_of_row(panel) if panel.is_row else _of_panel(page, panel, exported))
    ]
    uids = [page.uid for page in pages]
    return found + [f"{page.name}: another dashboard has the uid {page.uid}" for page in pages if uids.count(page.uid) > 1]


def _of_page(page: Page) -> Iterator[str]:
    if not (page.uid and page.title and page.description):
        yield "has no uid, title or description"
    if TAG not in page.tags or not any(link["type"] == "dashboards" and TAG in link["tags"] for link in page.links):
        yield "does not lead to the other dashboards"
    for one, other in combinations(page.panels, 2):
        if one.place.overlaps(other.place):
            yield f"“{one.title}” and “{other.title}” overlap"
        if one.id == other.id:
            yield f"“{one.title}” and “{other.title}” have one id"
    for name, source in page.variable_sources.items():
        if source != SOURCE.uid:
            yield f"the variable {name} asks the datasource {source or 'that happens to be the default'}"
        if not any(name in variables_in(target.expr) for panel in page.panels for target in panel.targets):
            yield f"nothing uses the variable {name}"


def _of_row(row: Panel) -> Iterator[str]:
    if not row.title:
        yield "a row without a title"


def _of_panel(page: Page, panel: Panel, exported: Collection[str]) -> Iterator[str]:
    if not (panel.title and panel.description and panel.unit):
        yield "has no title, description or unit"
    if panel.place.x < 0 or panel.place.x + panel.place.w > COLUMNS or panel.place.w < 1 or panel.place.h < 1:
        yield f"does not stand on the {COLUMNS} columns"
    if not panel.targets:
        yield "asks nothing"
    for source in (panel.source, *(target.source for target in panel.targets)):
        if source != SOURCE.uid:
            yield f"asks the datasource {source or 'that happens to be the default'}"
    for target in panel.targets:
        if unknown := sorted((variables_in(target.expr) | variables_in(target.legend)) - page.variables.keys() - BUILT_IN):
            yield f"{target.ref} uses variables that nothing sets: {', '.join(unknown)}"
        if missing := sorted(metrics_in(target.expr) - set(exported)):
            yield f"{target.ref} asks for what no process exports: {', '.join(missing)}"
