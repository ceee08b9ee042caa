"""Records of an annotation: what is finished, layer by layer, in a folder beside the bundle."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np

from circuitome.extract.wiring import Wiring
from circuitome.graphdb.bundle import Bundle, BundleError
from circuitome.graphdb.schema import parts_done

__all__ = ["Records", "neuron_columns"]

ATTACHED: Final = "tuning"
"""Folder of the files that go into the bundle: mean responses to every cell of the stimuli, one a
layer.
"""
_SETTING: Final = "setting.json"
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Records:
    """Finished pieces, ``FOLDER/PART/LAYER.json``, each written at once or not at all."""

    folder: Path

    @classmethod
    def open(cls, bundle: Bundle, setting: Mapping[str, object], parts: Sequence[str]) -> Records:
        """The records of this annotation; those of another one (other weights, twins, seed ...) are
        thrown away.

        ``parts`` are what the records are for.
        """
        folder = _folder_of(bundle)
        text = json.dumps(setting, sort_keys=True)
        try:
            if folder.exists() and not _has_setting(folder, text):
                _LOG.warning(_thrown_away(folder, setting))
                shutil.rmtree(folder)
            folder.mkdir(exist_ok=True)
            (folder / _SETTING).write_text(text)
        except OSError as error:
            raise BundleError(
                f"{folder}: cannot be written ({error.strerror}); "
                "annotate a bundle in a folder that can"
            ) from error
        records = cls(folder)
        records.put("parts", 0, list(parts))
        return records

    @classmethod
    def discard(cls, bundle: Bundle, setting: Mapping[str, object]) -> None:
        """Throw away what a run that was killed at its very end left: records for parts that the
        bundle has.
        """
        records = cls(_folder_of(bundle))
        file = records.folder / _SETTING
        if not file.is_file() or not records.has("parts", 0):  # killed while it was removing them
            records.remove()
            return
        has = parts_done(bundle.manifest.model)
        same = _has_setting(records.folder, json.dumps(setting, sort_keys=True))
        if same and set(records.get("parts", 0)) <= set(has):
            records.remove()

    def _path(self, part: str, layer: int) -> Path:
        return self.folder / part / f"{layer}.json"

    def has(self, part: str, layer: int) -> bool:
        """Whether a piece is finished."""
        return self._path(part, layer).is_file()

    def get(self, part: str, layer: int) -> Any:
        """A finished piece."""
        return json.loads(self._path(part, layer).read_text())

    def put(self, part: str, layer: int, piece: object) -> None:
        """Keep a finished piece."""
        self._write(self._path(part, layer), json.dumps(piece).encode())

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        draft = path.with_suffix(".draft")
        try:
            path.parent.mkdir(exist_ok=True)
            draft.write_bytes(content)
            os.replace(draft, path)
        except OSError as error:
            raise BundleError(
                f"{path}: cannot be written ({error.strerror}); make room, "
                "and do not annotate a bundle twice at once"
            ) from error

    def keep(self, name: str, content: bytes) -> None:
        """Keep a file that goes into the bundle as it is."""
        path = self.folder / ATTACHED / name
        self._write(path, content)

    def kept(self) -> dict[str, Path]:
        """Files that go into the bundle, by name."""
        return {path.name: path for path in sorted((self.folder / ATTACHED).glob("*.safetensors"))}

    def note(self, name: str, text: str) -> None:
        """Keep a word about the whole."""
        self.put("notes", 0, {**self.notes(), name: text})

    def notes(self) -> dict[str, str]:
        """What was noted."""
        return self.get("notes", 0) if self.has("notes", 0) else {}

    def remove(self) -> None:
        """Throw everything away."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _has_setting(folder: Path, text: str) -> bool:
    """Whether the records in a folder are of this setting."""
    file = folder / _SETTING
    return file.is_file() and file.read_text() == text


def _thrown_away(folder: Path, setting: Mapping[str, object]) -> str:
    """Says that another unfinished annotation is thrown away, and how that was set."""
    try:
        before = json.loads((folder / _SETTING).read_text())
        other = [f"{name} {before[name]}" for name in setting if before[name] != setting[name]]
    except (OSError, ValueError, KeyError, TypeError):
        other = []
    how = f" with {', '.join(other)}" if other else ""
    return f"{folder}: an unfinished annotation{how} is thrown away; this one begins anew"


def _folder_of(bundle: Bundle) -> Path:
    path = bundle.path.resolve()
    return path.parent / f".{path.name}.annotating"


def neuron_columns(
    wiring: Wiring, layers: Mapping[int, Mapping[str, Sequence[object] | np.ndarray]]
) -> dict[str, list[object]]:
    """Columns in the order of the neurons, from those of some layers; None where a layer has
    none.
    """
    offsets = wiring.offsets.tolist()
    names = chain.from_iterable(layers.values())
    columns: dict[str, list[object]] = {name: [None] * offsets[-1] for name in names}
    for index, own in layers.items():
        for name, values in own.items():
            plain = values.tolist() if isinstance(values, np.ndarray) else values
            columns[name][offsets[index] : offsets[index + 1]] = plain
    return columns
