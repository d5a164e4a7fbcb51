"""Certificates of the tests' own, made by openssl: each signs itself, as those of small engines do."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificate:
    """The files of a certificate and its key, in PEM."""

    file: Path
    key: Path


def self_signed(folder: Path, name: str, address: str = "127.0.0.1") -> Certificate:
    """Make `name`.pem and `name`-key.pem for an IP address; a server and a client may use it."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    made = Certificate(folder / f"{name}.pem", folder / f"{name}-key.pem")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    about = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{address}"]
    files = ["-out", str(made.file), "-keyout", str(made.key)]
    subprocess.run(["openssl", "req", "-x509", *kind, *about, *files], check=True, capture_output=True)
    return made


def signed_by(authority: Certificate, folder: Path, name: str, host: str) -> Certificate:
    """Make `name`.pem and `name`-key.pem for a server of that name, signed by an authority."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}-key.pem")
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    extensions.write_text(f"subjectAltName=DNS:{host}\n")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}"]
    signer = ["-CA", authority.file, "-CAkey", authority.key, "-CAcreateserial", "-days", "1"]
    for command in (
        ["openssl", "req", *kind, "-out", request, "-keyout", made.key],
        ["openssl", "x509", "-req", "-in", request, *signer, "-extfile", extensions, "-out", made.file],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return made


def client_folder(folder: Path, server: Certificate, own: Certificate) -> Path:
    """Make what DOCKER_CERT_PATH names: the server's certificate as CA, the client's own and its key."""
    folder.mkdir()
    shutil.copy(server.file, folder / "ca.pem")
    shutil.copy(own.file, folder / "cert.pem")
    shutil.copy(own.key, folder / "key.pem")
    return folder
