"""Small bundles, made by hand."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

from labkit.bundle.manifest import IMAGES, MANIFEST, Digest, Manifest, this_platform, this_python
from labkit.images import builder
from labkit.topology import topology

Members = dict[str, bytes] | list[tuple[str, bytes]]

IMAGE_LIST = gzip.compress(b"images" * 1000)
PROJECT = {
    "swarm-lab/lab": b"#!/bin/sh\n",
    "swarm-lab/pyproject.toml": b"[project]\n",
    "swarm-lab/labkit/lab.py": b"'''A lab.'''\n",
    "swarm-lab/notebooks/01.ipynb": b"{}",
}
MEMBERS = {**PROJECT, "wheels/a-1-py3-none-any.whl": b"a wheel", "images.tar.gz": IMAGE_LIST}


def content_tags() -> list[str]:
    return sorted(builder.content_tags(topology.load().images))


def manifest_of(members: dict[str, bytes], **changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "labkit": "0.1.0",
        "created": "2025-01-01T00:00:00+00:00",
        "architecture": "amd64",
        "platform": this_platform(),
        "glibc": "",
        "pythons": [this_python()],
        "images": content_tags(),
        "members": {
            name: Digest(len(content), hashlib.sha256(content).hexdigest())
            for name, content in members.items()
        },
    }
    return Manifest(**{**fields, **changes})


def write(file: Path, members: Members) -> Path:
    file.write_bytes(tar(members))
    return file


def tar(members: Members) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return written.getvalue()


def bundle(file: Path, archive: bytes = IMAGE_LIST, **changes: Any) -> Path:
    """A small bundle that is whole, with an archive of images; `changes` go to its manifest."""
    members = {**MEMBERS, IMAGES: archive}
    return write(file, {**members, MANIFEST: manifest_of(members, **changes).to_json()})


# -- with a virtual machine -----------------------------------------------------------------------------


def disks(version: str = "") -> dict[str, bytes]:
    """What machines start from, in an image: by default this labkit's."""
    names = {name: name.encode() * 50_000 for name in ("kernel", "initrd", "system.qcow2", "data.qcow2")}
    return {
        f"machine/{name}": content
        for name, content in {**names, "id": (version or builder.content_tag("machine")).encode()}.items()
    }


def saved(*layers: bytes) -> bytes:
    """An archive of images as `docker save` of Docker 24 and older writes it, gzipped, with these layers."""
    members = {"cf.json": b'{"history": []}', "manifest.json": b'[{"Layers": []}]', "repositories": b"{}"}
    for number, layer in enumerate(layers):
        described = {"VERSION": b"1.0", "json": b'{"id": ""}', "layer.tar": layer}
        members |= {f"{number:064x}/{name}": content for name, content in described.items()}
    return gzip.compress(tar(members))


def saved_as_blobs(*layers: bytes) -> bytes:
    """The same as newer ones write it: by the OCI's image layout."""
    members = {"manifest.json": b'[{"Layers": []}]', "index.json": b"{}", "oci-layout": b"{}"}
    for content in (*layers, b'{"history": []}'):
        members[f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"] = content
    return gzip.compress(tar(dict(sorted(members.items()))))


def machine_bundle(file: Path, archive: bytes | None = None, **changes: Any) -> Path:
    """A small bundle with a virtual machine, by default a whole one in an archive as `saved` makes it."""
    fields = {"images": [*content_tags(), builder.content_tag("machine")], "machine": 1000, **changes}
    return bundle(file, saved(tar(disks())) if archive is None else archive, **fields)
