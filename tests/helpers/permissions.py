"""Permissions of files, which do not apply to root unless it gives up two capabilities."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

VERSION_3 = 0x20080522
DAC_OVERRIDE, DAC_READ_SEARCH = 1 << 1, 1 << 2
"""The capabilities by which root reads and writes every file."""


class Header(ctypes.Structure):
    """Linux's cap_user_header_t."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class Capabilities(ctypes.Structure):
    """Linux's cap_user_data_t."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def permissions_of_a_user() -> Iterator[None]:
    """Let the permissions of files apply to this thread while the block runs, also if root runs the tests."""
    if os.name != "posix":
        pytest.skip("needs the permissions of POSIX")
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root can read every file")
    system, header, held = ctypes.CDLL(None, use_errno=True), Header(VERSION_3, 0), (Capabilities * 2)()
    assert system.capget(ctypes.byref(header), held) == 0
    before = held[0].effective
    held[0].effective = before & ~(DAC_OVERRIDE | DAC_READ_SEARCH)
    assert system.capset(ctypes.byref(header), held) == 0
    try:
        yield
    finally:
        held[0].effective = before
        assert system.capset(ctypes.byref(header), held) == 0
