"""The environment that must be set before mem0 is imported: no telemetry, no model hub, files in a temporary folder."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

FOLDER = Path(tempfile.mkdtemp(prefix="mem0-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)

os.environ.update(
    MEM0_TELEMETRY="False",
    MEM0_DIR=str(FOLDER),
    HF_HUB_OFFLINE="1",
    FASTEMBED_CACHE_PATH=str(Path(__file__).parent / ".bm25"),
    OPENAI_API_KEY="unused",
)


def config(qdrant, collection, embedder, history, dims=256):
    """The configuration of a Memory: vectors from a local endpoint, a language model that is never called."""
    return {
        "vector_store": {
            "provider": "qdrant",
            "config": {"url": qdrant, "collection_name": collection, "embedding_model_dims": dims},
        },
        "embedder": {
            "provider": "openai",
            "config": {"model": "static", "openai_base_url": embedder, "api_key": "unused", "embedding_dims": dims},
        },
        "llm": {"provider": "openai", "config": {"api_key": "unused", "openai_base_url": "http://127.0.0.1:9/v1"}},
        "history_db_path": history or str(FOLDER / "history.db"),
    }
