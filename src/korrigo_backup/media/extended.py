"""Extended attributes of files and directories, among them the ACLs: read, given, and named where they cannot be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_THE_MACHINE = (
    "security.selinux",
    "security.ima",
    "security.evm",
    "security.SMACK64",
    "security.apparmor",
    "trusted.overlay.",
)
"""Labels that a running system gives by its own policy: those of another machine or time would be wrong."""

DEFAULT_ACL = "system.posix_acl_default"


def read_extended(descriptor: int) -> dict[str, bytes]:
    """Return the extended attributes of an open file or directory; none where the file system has none."""
    try:
        names = os.listxattr(descriptor)
    except (AttributeError, OSError):
        return {}
    found = {}
    for name in names:
        if not name.startswith(_OF_THE_MACHINE):
            try:
                found[name] = os.getxattr(descriptor, name)
            except OSError:
                continue  # removed since, or of a kind that this user may list and not read
    return found


def give_extended(descriptor: int, extended: Mapping[str, bytes]) -> list[str]:
    """Set extended attributes and return the names of those that the file system or a missing right refuses."""
    refused = []
    for name, value in extended.items():
        try:
            os.setxattr(descriptor, name, value)
        except (AttributeError, OSError):
            refused.append(name)
    return refused


def forget_default_acl(descriptor: int) -> None:
    """Remove the ACL that new files in a directory would inherit."""
    try:
        os.removexattr(descriptor, DEFAULT_ACL)
    except (AttributeError, OSError):
        return
