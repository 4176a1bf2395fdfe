"""Pages that nobody writes: all components out of their declarations, all commands out of the command line."""
from __future__ import annotations

import importlib.util
from collections.abc import Iterable

from notebooks import notebooks

FAMILIES = {"visual": "Visual", "audio": "Audio", "text": "Text"}


def table(head: tuple[str, ...], rows: Iterable[tuple]) -> str:
    "A markdown table."
    lines = [" | ".join(str(x).replace("|", "\\|").replace("\n", " ") for x in row) for row in [head, ("---",) * len(head), *rows]]
    return "\n".join(f"| {line} |" for line in lines)


def code(words: Iterable[str]) -> str: return ", ".join(f"`{w}`" for w in words)


def components() -> str:
    "The page of all components: one line each, then the whole declaration of each."
    from trendflow.core import contract, registry
    from trendflow.core.axes import AXES
    found, pages = registry.discover(), {nb.stem: nb.page.removesuffix(".html") + ".ipynb" for nb in notebooks() if nb.is_component}
    text = ["# Components", "> Every component that this version has, as its declaration says it.",
            f"{len(found)} components. `axis` is where their numbers live; `cost` is the class of time that a run grants. "
            "A component that is empty says why with one of its own reasons or, like every other, because an input or the sound is missing."]
    for family, title in FAMILIES.items():
        own = [c for c in found.values() if c.family == family]
        if not own: continue
        rows = [(f"[`{c.id}`](#{c.id})", c.doc.rstrip("."), code(dict.fromkeys([*(a.dims[0] if a.dims and a.dims[0] in AXES else "video" for a in c.outputs), *c.opens])),
                 len(c.outputs), code(c.empty) or "no", code(c.model_keys(c.config)) or "none", f"`{c.cost}`") for c in own]
        text += [f"## {title}", table(("component", "what it measures", "axis", "arrays", "empty", "models", "cost"), rows)]
    text.append("## Declarations")
    for c in found.values():
        where = f"[The page of {c.id}]({pages[c.id]}) shows how it is computed." if c.id in pages else f"From `{c.fn.__module__}`."
        text += [f"### {c.id}", f"Modality: {c.family}. {where}", contract.table(c)]
    return "\n\n".join(text) + "\n"


def flat(root) -> dict:
    "All commands by name; those of a group as `group command`."
    alone = {name: c for name, c in root.commands.items() if not hasattr(c, "commands")}
    return alone | {f"{name} {inner}": c for name, group in root.commands.items() for inner, c in getattr(group, "commands", {}).items()}


def commands() -> str:
    "The page of all commands with their arguments and options."
    import typer
    from trendflow.app.cli import app
    root = typer.main.get_command(app)
    text = ["# Commands", "> What the shell command `trendflow` can do. `trendflow COMMAND --help` says the same.",
            "Exit codes: 0 ok, 1 failed, 2 usage, 10 skipped."]
    for name, command in sorted(flat(root).items()):
        rows = []
        for parameter in command.params:
            option = parameter.param_type_name == "option"
            names = code([*parameter.opts, *parameter.secondary_opts] if option else [parameter.name.upper()])
            default = "" if parameter.default in (None, (), []) or callable(parameter.default) else f"`{parameter.default}`"
            rows.append((names, getattr(parameter, "help", None) or "", "needed" if parameter.required else default))
        text += [f"## {name}", (command.help or "").strip(), table(("argument or option", "what", "default"), rows) if rows else ""]
    return "\n\n".join(t for t in text if t) + "\n"


def profiles() -> str:
    "The page of the shipped profiles: what each is for, what it runs, which models it needs."
    from trendflow.kit.models import lock
    from trendflow.run.profile import settle_profile, shipped
    text = ["# Profiles", "> Which components run, with which settings. A file of your own extends one of these.",
            "```yaml\nextends: default\ncomponents:\n  shot_quality: null          # leave one out\n  core_object_detections: {sampling: {target: 60}}\n```"]
    for name, doc in shipped().items():
        p = settle_profile(name)
        rows = [(f"[`{n}`](components.md#{n})", c.doc.rstrip("."), "yes" if p.required[n] else "no", code(c.model_keys(p.configs[n])) or "none")
                for n, c in sorted(p.contracts.items(), key=lambda kv: (list(FAMILIES).index(kv[1].family), kv[0]))]
        text += [f"## {name}", doc, table(("component", "what it measures", "required", "models"), rows)]
        if p.plan.roles: text.append("Roles: " + ", ".join(f"`{r}` by `{by}`" for r, by in p.plan.roles.items()) + ".")
        sizes = [lock()[k].size / 1e6 for k in p.models]
        text.append(f"{len(sizes)} models, {sum(sizes):.0f} MB: `trendflow models pull --profile {name}`." if sizes else "No models.")
    return "\n\n".join(text) + "\n"


def exists(module: str) -> bool:
    "Whether the package has a module yet."
    try: return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError: return False


def pages() -> dict[str, tuple[str, str]]:
    "File name → title and text."
    made = {}
    if exists("trendflow.core.registry"): made["components.md"] = ("Components", components())
    if exists("trendflow.run.profile"): made["profiles.md"] = ("Profiles", profiles())
    if exists("trendflow.app.cli"): made["commands.md"] = ("Commands", commands())
    return made
