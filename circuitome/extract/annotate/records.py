"""Records of an annotation: what is finished, layer by layer, in a folder beside the bundle; and the tables made of it."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from circuitome.extract.annotate.curated import join_families
from circuitome.extract.annotate.kinds import SILENT, UNEXPLAINED
from circuitome.extract.annotate.significance import family_significance
from circuitome.extract.wiring import Wiring
from circuitome.graphdb.bundle import Bundle, BundleError
from circuitome.graphdb.bundle_writer import BundleWriter
from circuitome.graphdb.schema import ANNOTATION_PARTS, arrow_schema, parts_done

__all__ = ["SIGNIFICANT", "Records", "write"]

SIGNIFICANT: Final = 0.05
"""Largest q of a pair or family that is put into the graph."""
INVARIANT: Final = math.sqrt(0.5)
"""Least correlation of a neuron's activation with itself under rotation: more than half of its variance stays."""
ATTACHED: Final = "tuning"
"""Folder of the files that go into the bundle: mean responses to every cell of the stimuli, one a layer."""
_SETTING: Final = "setting.json"


@dataclass(frozen=True, slots=True)
class Records:
    """Finished pieces, ``FOLDER/PART/LAYER.json``, each written at once or not at all."""

    folder: Path

    @classmethod
    def open(cls, bundle: Bundle, setting: Mapping[str, Any], parts: Sequence[str]) -> Records:
        """The records of this annotation; those of another one (other weights, twins, seed ...) are thrown away.

        ``parts`` are what the records are for.
        """
        folder = _folder_of(bundle)
        text = json.dumps(setting, sort_keys=True)
        try:
            if folder.exists() and (
                not (folder / _SETTING).is_file() or (folder / _SETTING).read_text() != text
            ):
                shutil.rmtree(folder)
            folder.mkdir(exist_ok=True)
            (folder / _SETTING).write_text(text)
        except OSError as error:
            raise BundleError(
                f"{folder}: cannot be written ({error.strerror}); annotate a bundle in a folder that can"
            ) from error
        records = cls(folder)
        records.put("parts", 0, list(parts))
        return records

    @classmethod
    def discard(cls, bundle: Bundle, setting: Mapping[str, Any]) -> None:
        """Throw away what a run that was killed at its very end left: records for parts that the bundle has."""
        records = cls(_folder_of(bundle))
        file = records.folder / _SETTING
        if not file.is_file() or not records.has("parts", 0):  # killed while it was removing them
            records.remove()
            return
        has = parts_done(bundle.manifest.model)
        if file.read_text() == json.dumps(setting, sort_keys=True) and set(
            records.get("parts", 0)
        ) <= set(has):
            records.remove()

    def _path(self, part: str, layer: int) -> Path:
        return self.folder / part / f"{layer}.json"

    def has(self, part: str, layer: int) -> bool:
        """Whether a piece is finished."""
        return self._path(part, layer).is_file()

    def get(self, part: str, layer: int) -> Any:
        """A finished piece."""
        return json.loads(self._path(part, layer).read_text())

    def put(self, part: str, layer: int, piece: Any) -> None:
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
                f"{path}: cannot be written ({error.strerror}); make room, and do not annotate a bundle twice at once"
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


def _folder_of(bundle: Bundle) -> Path:
    path = bundle.path.resolve()
    return path.parent / f".{path.name}.annotating"


def write(
    bundle: Bundle,
    wiring: Wiring,
    records: Records,
    *,
    parts: Sequence[str],
    twins: int,
    identity: Mapping[str, Any],
) -> Bundle:
    """Put everything that is recorded into the bundle and open it again; ``identity`` goes into its manifest."""
    neurons, layers = bundle.table("Neuron"), bundle.table("Layer")
    found = _Found.of(bundle.model, wiring, records, parts)
    before = parts_done(bundle.manifest.model)
    done = [part for part in ANNOTATION_PARTS if part in (*before, *parts)]
    if "families" in parts:
        done = [
            part for part in done if part != "circuits"
        ]  # those of other families: `circuits` makes them anew
    with BundleWriter.amend(bundle) as writer:
        writer.replace("Neuron", _with(neurons, "Neuron", found.neurons))
        writer.replace("Layer", _with(layers, "Layer", found.layers))
        if "equivariance" in parts or "families" in parts:
            writer.replace(
                "EQUIVARIANT_TO",
                pa.Table.from_pylist(found.pairs, schema=arrow_schema("EQUIVARIANT_TO")),
            )
        if "families" in parts:
            old = [
                row["key"]
                for row in bundle.table("Family").to_pylist()
                if row["source"] == "computed"
            ]
            families = pa.Table.from_pylist(found.families, schema=arrow_schema("Family"))
            members = pa.Table.from_pylist(found.members, schema=arrow_schema("MEMBER_OF"))
            for table, rows in zip(
                ("Family", "MEMBER_OF"),
                join_families(bundle, families, members, instead_of=old),
                strict=True,
            ):
                writer.replace(table, rows)
            writer.replace("FEEDS", arrow_schema("FEEDS").empty_table())
        for name, path in records.kept().items() if "kinds" in parts else ():
            writer.attach(f"tuning/{name}", path)
        model = {"annotated": ",".join(done), "twins": twins, **records.notes()}
        writer.finish(model=model, notes={"annotation": dict(identity)})
    return Bundle.open(bundle.path)


def _with(table: pa.Table, name: str, columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """The table with some columns replaced."""
    for column, values in columns.items():
        field = arrow_schema(name).field(column)
        table = table.set_column(
            table.column_names.index(column),
            field,
            pa.array(list(values), field.type, from_pandas=True),
        )
    return table


@dataclass(slots=True)
class _Found:
    """Columns and rows made of the records."""

    neurons: dict[str, list[Any]]
    layers: dict[str, list[Any]]
    pairs: list[dict[str, Any]]
    families: list[dict[str, Any]]
    members: list[dict[str, Any]]

    @classmethod
    def of(cls, model: str, wiring: Wiring, records: Records, parts: Sequence[str]) -> _Found:
        """Read the records of every layer."""
        found = cls(_neuron_columns(wiring, records, parts), {}, [], [], [])
        turned = "families" if "families" in parts else "equivariance"
        pieces = {
            index: records.get(turned, index)
            for index in range(len(wiring.layers))
            if records.has(turned, index)
        }
        for index, piece in pieces.items():
            found._add_pairs(model, wiring, index, piece["pairs"], "responses")
            if records.has("weights", index):
                found._add_pairs(model, wiring, index, records.get("weights", index), "weights")
        found._add_families(model, wiring, pieces)
        found.layers = _layer_columns(wiring, records, found, pieces)
        return found

    def _add_pairs(
        self,
        model: str,
        wiring: Wiring,
        index: int,
        pairs: Sequence[Mapping[str, Any]],
        evidence: str,
    ) -> None:
        name = f"{model}/{wiring.layers[index].name}"
        for pair in pairs:
            ends = {
                "from": f"{name}:{pair['i']}",
                "to": f"{name}:{pair['j']}",
                "transform": pair["group"],
            }
            own = {field: pair[field] for field in ("amount", "score", "baseline", "p", "q")}
            turn = pair["turn"] if pair["group"] == "hue_rotate" else None
            self.pairs.append({**ends, **own, "turn": turn, "evidence": evidence})

    def _add_families(self, model: str, wiring: Wiring, pieces: Mapping[int, Any]) -> None:
        """Families at q <= 0.05 over all layers and groups that were searched."""
        every = [(index, family) for index, piece in pieces.items() for family in piece["families"]]
        chance = {
            (index, group): np.array(strengths)
            for index, piece in pieces.items()
            for group, strengths in piece["chance"].items()
        }
        strengths = [((index, family["group"]), family["strength"]) for index, family in every]
        numbers: Counter[int] = Counter()
        for (index, family), p, q in zip(
            every, *family_significance(strengths, chance), strict=True
        ):
            if q > SIGNIFICANT:
                continue
            layer = f"{model}/{wiring.layers[index].name}"
            numbers[index] += 1
            key = f"{layer}/f{numbers[index]}"
            own = {field: _number(family[field]) for field in ("group", "closure", "score", "gaps")}
            size = len(family["members"])
            self.families.append(
                {
                    "key": key,
                    "model": model,
                    "layer": layer,
                    **own,
                    "size": size,
                    "p": float(p),
                    "q": float(q),
                    "source": "computed",
                }
            )
            places = zip(family["members"], family["offsets"], family["offset_sd"], strict=True)
            for channel, offset, error in places:
                self.members.append(
                    {
                        "from": f"{layer}:{channel}",
                        "to": key,
                        "offset": offset,
                        "offset_sd": _number(error),
                    }
                )


def _neuron_columns(wiring: Wiring, records: Records, parts: Sequence[str]) -> dict[str, list[Any]]:
    """Every annotated column, in the order of the neurons."""
    columns: dict[str, list[Any]] = {}
    for name, index, values in _pieces(wiring, records, parts):
        column = columns.setdefault(name, [None] * int(wiring.offsets[-1]))
        first = int(wiring.offsets[index])
        column[first : first + len(values)] = [_number(value) for value in values]
    return columns


def _pieces(
    wiring: Wiring, records: Records, parts: Sequence[str]
) -> Iterator[tuple[str, int, Sequence[Any]]]:
    """Column, layer and values, one a neuron."""
    named = {
        "mean_response": "mean",
        "sd_response": "sd",
        "max_response": "maximum",
        "sparsity": "sparsity",
    }
    responses = records.get("responses", 0)
    for index in range(len(wiring.layers)):
        if str(index) in responses:
            for column, name in named.items():
                yield column, index, responses[str(index)][name]
        if "kinds" in parts and records.has("kinds", index):
            for column, values in records.get("kinds", index).items():
                yield column, index, values
        for part in ("equivariance", "families"):
            if part in parts and records.has(part, index):
                for group, values in records.get(part, index)["invariance"].items():
                    if group != "hue_rotate":
                        yield f"invariance_{group}", index, values


def _layer_columns(
    wiring: Wiring, records: Records, found: _Found, pieces: Mapping[int, Any]
) -> dict[str, list[Any]]:
    responses = records.get("responses", 0)
    by_responses = (pair for pair in found.pairs if pair["evidence"] == "responses")
    partners = {key for pair in by_responses for key in (pair["from"], pair["to"])}
    members = {member["from"] for member in found.members}
    per_layer = [
        Counter(key.rpartition(":")[0].partition("/")[2] for key in keys)
        for keys in (partners, members)
    ]
    columns: dict[str, list[Any]] = {"effective_receptive_field": []}
    if found.neurons.get("kind"):
        columns["explained"] = []
    if pieces:
        columns |= {"equivariant": [], "in_families": [], "invariant": []}
    for index, layer in enumerate(wiring.layers):
        first, last = int(wiring.offsets[index]), int(wiring.offsets[index + 1])
        columns["effective_receptive_field"].append(responses.get(str(index), {}).get("field"))
        if "explained" in columns:
            kinds = found.neurons["kind"][first:last]
            told = [kind is not None and kind not in (UNEXPLAINED, SILENT) for kind in kinds]
            columns["explained"].append(
                float(np.mean(told)) if index and kinds[0] is not None else None
            )
        if pieces:
            searched = index in pieces and pieces[index]["searched"]
            for name, counter in zip(("equivariant", "in_families"), per_layer, strict=True):
                columns[name].append(counter[layer.name] / layer.channels if searched else None)
            columns["invariant"].append(
                _invariant(pieces[index]["invariance"]) if index in pieces else None
            )
    return columns


def _invariant(groups: Mapping[str, Sequence[float]]) -> float | None:
    values = np.array(groups.get("rotate", ()), dtype=float)
    return float((values >= INVARIANT).mean()) if values.size else None


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
