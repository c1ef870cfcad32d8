"""A TLS context from what a web configuration file says, with certificates that were read and tried."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from costmeter.config.textfile import content, reason
from costmeter.config.webgrammar import Tls
from costmeter.config.yamlfile import Fault, Place

_MAX_PEM_BYTES = 1_000_000
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_ENCRYPTED = (b"ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED")
#: Who asks for a certificate and does not look at it need not ask. A certificate that is required is verified, also
#: where the format would take any: Python's TLS cannot do less.
_VERIFY = {
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAnyClientCert": ssl.CERT_REQUIRED,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


@dataclass(frozen=True, slots=True)
class Pem:
    """A text of PEM, where it was named, and how it is called in a fault."""

    place: Place
    name: str
    text: bytes


def files(tls: Tls, folder: str) -> tuple[str, ...]:
    """The files that a context is made of; relative names are of the folder."""
    sources = (tls.certificate, tls.key, tls.authorities)
    return tuple(os.path.join(folder, text) for _, is_file, text in filter(None, sources) if is_file)


def context(tls: Tls, folder: str) -> tuple[ssl.SSLContext | None, tuple[Fault, ...]]:
    """A context for servers; None with faults."""
    faults: list[Fault] = []
    certificate = _pem(tls.certificate, "cert", folder, faults)
    key = _pem(tls.key, "key", folder, faults)
    authorities = _pem(tls.authorities, "client_ca", folder, faults)
    if key is not None and any(mark in key.text for mark in _ENCRYPTED):
        said = "the key has a passphrase; take it off:  openssl pkey -in KEY -out PLAIN"
        faults.append(Fault(key.place, f"{key.name}: {said}"))
    if faults or certificate is None or key is None:
        return None, tuple(faults)
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version, made.maximum_version = _VERSIONS[tls.lowest], _VERSIONS[tls.highest]
    made.set_alpn_protocols(["http/1.1"])
    if not tls.is_servers_choice:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    _choose(made, tls, faults)
    _certify(made, certificate, key, faults)
    if authorities is not None:
        _trust(made, authorities, faults)
    made.verify_mode = _VERIFY.get(tls.client_auth, ssl.CERT_NONE)
    return (None if faults else made), tuple(faults)


def _choose(made: ssl.SSLContext, tls: Tls, faults: list[Fault]) -> None:
    """The suites and curves that are named."""
    try:
        if tls.suites:
            made.set_ciphers(":".join(tls.suites))
        if len(tls.curves) == 1:
            made.set_ecdh_curve(tls.curves[0])
        elif tls.curves and hasattr(made, "set_groups"):  # of Python 3.15; before, several are left to OpenSSL
            made.set_groups(":".join(tls.curves))
    except (ssl.SSLError, ValueError) as problem:
        faults.append(Fault(tls.place, f"tls_server_config: OpenSSL refuses the suites or curves: {_said(problem)}"))


def _certify(made: ssl.SSLContext, certificate: Pem, key: Pem, faults: list[Fault]) -> None:
    try:
        with _named(certificate.text) as cert_file, _named(key.text) as key_file:
            made.load_cert_chain(cert_file, key_file, password="")  # never asks on a terminal
    except (ssl.SSLError, OSError) as problem:
        said = _said(problem)
        if said == "key values mismatch":
            said = "the key is not this certificate's"
        faults.append(Fault(certificate.place, f"{certificate.name} and {key.name}: cannot be used: {said}"))


def _trust(made: ssl.SSLContext, authorities: Pem, faults: list[Fault]) -> None:
    try:
        made.load_verify_locations(cadata=authorities.text.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError) as problem:
        faults.append(Fault(authorities.place, f"{authorities.name}: no certificates in it: {_said(problem)}"))
    else:
        if not made.cert_store_stats()["x509_ca"]:
            advice = "name the file of the authority that signs your clients"
            faults.append(Fault(authorities.place, f"{authorities.name}: no authority's certificate in it; {advice}"))


def _pem(source: tuple[Place, bool, str] | None, name: str, folder: str, faults: list[Fault]) -> Pem | None:
    """What is to be used as a certificate or a key: the text itself, or the content of the file."""
    if source is None:
        return None
    place, is_file, text = source
    if not is_file:
        return Pem(place, name, text.encode())
    path = os.path.join(folder, text)
    try:
        return Pem(place, f"{name}_file", content(path, _MAX_PEM_BYTES))
    except (OSError, ValueError) as problem:
        faults.append(Fault(place, f"{name}_file: {path} cannot be read: {reason(problem)}"))
        return None


@contextmanager
def _named(text: bytes) -> Iterator[str]:
    """A file in memory with this content: OpenSSL reads files only, and these have been read already."""
    descriptor = os.memfd_create("costmeter-pem", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(text)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        with suppress(OSError):
            os.close(descriptor)


def _said(problem: Exception) -> str:
    """OpenSSL's reason in words, without its file names and line numbers."""
    why = getattr(problem, "reason", None) or getattr(problem, "strerror", None) or str(problem)
    return why.replace("_", " ").lower()
