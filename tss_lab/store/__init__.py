"""Write-once artefacts, named by a fingerprint of all that determines their content."""

from tss_lab.store.artifact import FORMAT_VERSION, MANIFEST, Artifact, Store
from tss_lab.store.files import file_sha256, fingerprint, parquet_bytes, sync_folder, write_atomic, write_json

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST",
    "Artifact",
    "Store",
    "file_sha256",
    "fingerprint",
    "parquet_bytes",
    "sync_folder",
    "write_atomic",
    "write_json",
]
