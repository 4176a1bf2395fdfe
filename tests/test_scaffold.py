"""`make new` writes a notebook that keeps the rules of form and fails until it is filled."""
from __future__ import annotations

import new_component
import pytest
import test_hygiene as hygiene
from notebooks import NBS, Cell, Notebook, notebooks


def scaffold(kind: str) -> Notebook:
    "The notebook that `make new KIND=… NAME=my_thing` would write."
    path = NBS / new_component.KINDS[kind][0] / "my_thing.ipynb"
    made = new_component.cells(new_component.text(kind, "my_thing"))
    return Notebook(path, [Cell(c["cell_type"], "".join(c["source"]), [], i) for i, c in enumerate(made)])


@pytest.mark.parametrize("kind", new_component.KINDS)
def test_form(kind: str) -> None:
    nb = scaffold(kind)
    rules = (hygiene.one_word, hygiene.heading, hygiene.imports_alone, hygiene.small_cells, hygiene.lessons, hygiene.good_manners)
    assert not [fault for rule in rules for fault in rule(nb)]


def test_no_page_still_says_what_only_the_template_says() -> None:
    template = ("One line: what it measures.", "Two to five sentences:", 'source="paper, standard or code"', "what the number means, 0 such", "when it holds", "What the value is, in one line.",
                "Why it is computed this way.", "State the fact that the next cell shows.", "One lesson for each reason")
    text = "".join(new_component.text(kind, "my_thing") for kind in new_component.KINDS)
    assert all(t in text for t in template)
    assert not [(nb.name, t) for nb in notebooks() for c in nb.cells for t in template if t in c.source]


@pytest.mark.parametrize("kind", new_component.KINDS)
def test_it_fails_until_it_is_filled(kind: str, fresh_registry: dict) -> None:
    from trendflow.core.checks import check_component
    names: dict = {"__name__": "scaffold"}
    for cell in scaffold(kind).cells:
        if cell.exported: exec(compile(cell.code, "my_thing", "exec"), names)
    with pytest.raises(AssertionError, match="fill in _measure"): check_component(names["my_thing"])
    framed = kind in ("core", "visual")
    names["_measure"] = lambda given, gain: names["np"].full(len(given), gain, "float32") if framed else gain
    with pytest.raises(AssertionError, match="nothing_to_measure"): check_component(names["my_thing"])      # the declared reason is still a lie
