"""Packaging: everything is read from settings.ini. No third-party import, so it also works in build isolation."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(here / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]
EXTRAS = ("cluster", "research", "models", "learn", "tools")
extras = {name: cfg[f"{name}_requirements"].split() for name in EXTRAS}
extras["dev"] = [requirement for name in EXTRAS for requirement in extras[name]]

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    license="Apache-2.0",
    url=cfg["git_url"],
    keywords=cfg["keywords"],
    packages=find_packages(include=["trendflow", "trendflow.*"]),
    package_data={"trendflow": ["assets/*", "assets/**/*", "py.typed"]},
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg["requirements"].split(),
    extras_require=extras,
    entry_points={
        "console_scripts": cfg["console_scripts"].split(),
        "xarray.backends": ["trendflow = trendflow.views.backend:TrendflowBackend"],
        "nbdev": [f"{cfg['lib_name']}={cfg['lib_path']}._modidx:d"],
    },
    zip_safe=False,
)
