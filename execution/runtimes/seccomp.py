"""Calls into the kernel that no model needs and that attackers like: a small deny list, as the kernel's own bytes.

Each call in the list answers EPERM. The filter is plain classic BPF: load architecture, refuse foreign ones, load the
call's number, compare. Unknown machines get no filter (docs/sandbox.md says so).
"""

from __future__ import annotations

import errno
import platform
import struct
from typing import Final

# linux/audit.h
ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# name: (x86_64, aarch64), from the kernel's tables
CALLS: Final = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "syslog": (103, 116),
    "quotactl": (179, 60),
}
LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
RETURN: Final = 0x06  # BPF_RET | BPF_K
ALLOW: Final = 0x7FFF0000
JUMP_SET: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
KILL: Final = 0x80000000
UNKNOWN: Final = 0x00050000 | errno.ENOSYS
REFUSE: Final = 0x00050000 | errno.EPERM
NEW_USER: Final = 0x10000000  # CLONE_NEWUSER
CLONE: Final = {"x86_64": 56, "aarch64": 220}
CLONE3: Final = 435
FIRST_ARGUMENT: Final = 16  # its low half, on these little-endian machines
X32_BIT: Final = 0x40000000


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def deny_list(machine: str | None = None) -> bytes:
    """The filter for this machine, or nothing where the numbers are not known."""
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        return b""
    numbers = [pair[0 if machine == "x86_64" else 1] for pair in CALLS.values()]
    steps = [_step(LOAD, 4), _step(JUMP_EQUAL, ARCHITECTURES[machine], 1, 0), _step(RETURN, KILL), _step(LOAD, 0)]
    if machine == "x86_64":
        # The x32 numbers would go round the list.
        steps += [_step(JUMP_AT_LEAST, X32_BIT, 0, 1), _step(RETURN, REFUSE)]
    for number in numbers:
        steps += [_step(JUMP_EQUAL, number, 0, 1), _step(RETURN, REFUSE)]
    # clone3's flags lie in memory, where a filter cannot look: the C library falls back to clone.
    steps += [_step(JUMP_EQUAL, CLONE3, 0, 1), _step(RETURN, UNKNOWN)]
    steps += [_step(JUMP_EQUAL, CLONE[machine], 1, 0), _step(RETURN, ALLOW)]
    steps += [_step(LOAD, FIRST_ARGUMENT), _step(JUMP_SET, NEW_USER, 0, 1), _step(RETURN, REFUSE)]
    return b"".join([*steps, _step(RETURN, ALLOW)])
