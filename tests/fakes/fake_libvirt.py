# SPDX-License-Identifier: GPL-3.0-or-later
# Like the agent it runs on Python 2.6 and later, whose style the linters do not know.
# ruff: noqa
# mypy: ignore-errors
"""Stands in for libvirt's Python binding where the protocol around an agent is tested, and for nothing else.

``lay`` puts it into a folder as ``libvirt.py``, for an agent that is started with that folder on its PYTHONPATH.  Its
daemons are in the agent's own memory, one for each URI, and do what libvirt documents.  What a URI or a domain's name ends
with makes a call go wrong, what its kernel's path ends with a migration: it kills the target's daemon with ``eof``, and
comes to a target that makes a config of its own with ``muddled``.
"""

import os
import re
import resource
import shutil
import signal
import sys
import time

VERSION = 9002
CAPABILITIES = (
    "<capabilities><host><cpu><arch>x86_64</arch></cpu></host>"
    "<guest><arch name='aarch64'><machine maxCpus='512'>virt-7.2</machine></arch></guest>"
    "<guest><arch name='x86_64'><machine>pc-i440fx-7.2</machine>"
    "<machine canonical='pc-i440fx-7.2' maxCpus='255'>pc</machine></arch></guest></capabilities>"
)
DOMAIN_CAPABILITIES = (
    "<domainCapabilities><arch>%s</arch><machine>%s</machine><domain>%s</domain><devices>"
    "<video supported='yes'><enum name='modelType'><value>vga</value><value>bochs</value></enum></video>"
    "<tpm supported='no'><enum name='model'><value>tpm-tis</value></enum></tpm></devices></domainCapabilities>"
)
ERROR_HANDLER = []
DAEMONS = {}
DEAD = set()  # URIs of daemons that died

INACTIVE, RUNNING, PAUSED = 5, 1, 3
PEER2PEER, PERSIST_DEST, UNDEFINE_SOURCE, ARRIVE_PAUSED = 2, 8, 16, 32


def lay(folder):
    """Put this file into a folder as the module ``libvirt``, compiled where it is; returns the folder as text."""
    folder = str(folder)
    # Python compares time and size, so what it has compiled of this file is taken for the copy's: tests start many agents.
    shutil.copy2(os.path.splitext(os.path.abspath(__file__))[0] + ".py", os.path.join(folder, "libvirt.py"))
    compiled = globals().get("__cached__")
    if compiled and os.path.exists(compiled):
        cache = os.path.join(folder, "__pycache__")
        if not os.path.isdir(cache):
            os.mkdir(cache)
        shutil.copy(compiled, os.path.join(cache, os.path.basename(compiled).replace("fake_libvirt", "libvirt")))
    return folder


class libvirtError(Exception):
    """As the binding's: a message, and the numbers of the error behind it, if there is one."""

    def __init__(self, message, code=None, domain=None):
        Exception.__init__(self, message)
        self._error = (code, domain, code and message or None)
        if not ERROR_HANDLER:
            sys.stderr.write("libvirt: error : %s\n" % message)

    def get_error_code(self):
        return self._error[0]

    def get_error_domain(self):
        return self._error[1]

    def get_error_message(self):
        return self._error[2]


def registerErrorHandler(f, ctx):
    ERROR_HANDLER.append((f, ctx))


def getVersion():
    return VERSION


EVENTS = []


def virEventRegisterDefaultImpl():
    EVENTS.append("registered")


def virEventRunDefaultImpl():
    assert EVENTS == ["registered"]
    time.sleep(0.01)


def misbehave(how):
    """End as a library may."""
    if how.endswith("hang"):
        time.sleep(30)
    elif how.endswith("segv"):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), signal.SIGSEGV)
    elif how.endswith("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    elif how.endswith("exit"):
        sys.stderr.write("first\nthe last words\n")
        sys.stderr.flush()
        os._exit(7)
    elif how.endswith("broken"):
        raise ValueError("not libvirt's")
    elif how.endswith("refused"):
        raise libvirtError("unable to connect to server: Connection refused", 38, 7)
    elif how.endswith("slow"):
        time.sleep(0.005)
    elif how.endswith("mute"):
        raise libvirtError("virConnectOpen() failed")


def open(uri):
    misbehave(uri)
    return Connection(uri)


class Connection(object):
    """A connection to the daemon of a URI."""

    def __init__(self, uri):
        self.uri = uri
        self.domains = DAEMONS.setdefault(uri, {})

    def setKeepAlive(self, interval, count):
        assert EVENTS == ["registered"]
        self.keepalive = (interval, count)
        return int(self.uri.endswith("elderly"))

    def getLibVersion(self):
        return 11003000

    def getHostname(self):
        return self.uri.split("/")[2]

    def getVersion(self):
        return 7002022

    def getCapabilities(self):
        return CAPABILITIES + " " * 300000

    def getDomainCapabilities(self, emulator, arch, machine, virttype, flags):
        assert (emulator, flags) == (None, 0)
        if self.uri.endswith("elderly"):
            raise libvirtError("unknown procedure: 342", 39, 7)
        if machine != "pc-i440fx-7.2":
            raise libvirtError("invalid argument: the machine '%s' is not supported by emulator" % machine, 8, 10)
        return DOMAIN_CAPABILITIES % (arch, machine, virttype)

    def defineXML(self, xml):
        domain = self._named(xml)
        domain.persistent = True
        domain.config = xml
        return domain

    def createXML(self, xml, flags):
        domain = self._named(xml)
        domain.xml = xml
        domain.createWithFlags(flags)
        return domain

    def lookupByName(self, name):
        misbehave(name)
        if self.uri in DEAD:
            raise libvirtError("internal error: client socket is closed", 1, 0)
        if name not in self.domains:
            raise libvirtError("Domain not found: no domain with matching name '%s'" % name, 42, 10)
        return self.domains[name]

    def listDefinedDomains(self):
        return [name for name, domain in self.domains.items() if domain.state == INACTIVE]

    def listDomainsID(self):
        return [number for number, domain in enumerate(self._all()) if domain.state != INACTIVE] + [4711]

    def lookupByID(self, number):
        if number == 4711:
            raise libvirtError("Domain not found: no domain with matching id 4711", 42, 10)
        return self._all()[number]

    def _all(self):
        return [self.domains[name] for name in sorted(self.domains)]

    def _named(self, xml):
        name = re.search("<name>(.*)</name>", xml).group(1)
        if name == "bad" or "<forbidden" in xml:
            raise libvirtError("XML error: unknown OS type", 27, 20)
        kernel = re.search("<(?:kernel|loader)>([^<]*)</", xml)
        return self.domains.setdefault(name, Domain(self, name, kernel and kernel.group(1) or ""))


class Domain(object):
    """A domain on one daemon. A transient one is gone when it stops."""

    def __init__(self, connection, name, kernel):
        self._connection = connection
        self._name = name
        self._kernel = kernel
        self.persistent = False
        self.state = INACTIVE
        self.config = None  # the persistent one
        self.xml = None  # the active one

    def name(self):
        return self._name

    def info(self):
        if self._name.endswith("vanished"):
            raise libvirtError("Domain not found: no domain with matching name '%s'" % self._name, 42, 10)
        return [self.state, 16384, 16384, 1, 0]

    def isActive(self):
        return int(self.state != INACTIVE)

    def isPersistent(self):
        return int(self.persistent)

    def createWithFlags(self, flags):
        self.xml = self.xml or self.config
        self.state = flags & 1 and PAUSED or RUNNING

    def suspend(self):
        if self.state != RUNNING:
            raise libvirtError("Requested operation is not valid: domain is not running", 55, 10)
        self.state = PAUSED

    def resume(self):
        if self.state != PAUSED:
            raise libvirtError("Requested operation is not valid: domain is already running", 55, 10)
        self.state = RUNNING

    def jobInfo(self):
        if self._name.endswith("incoming"):
            message = "Requested operation is not valid: migration statistics are available only on the source host"
            raise libvirtError(message, 55, 10)
        if self.state == INACTIVE:
            raise libvirtError("Requested operation is not valid: domain is not running", 55, 10)
        return [self._name.endswith("busy") and 2 or 0] + 11 * [0]

    def abortJob(self):
        misbehave(self._name)
        if not self._name.endswith("busy"):
            raise libvirtError("Requested operation is not valid: no job is active on the domain", 55, 10)

    def XMLDesc(self, flags):
        assert flags == 2
        return re.sub("<unknown[^>]*>", "", self.config)

    def UUIDString(self):
        return re.search("<uuid>(.*)</uuid>", self.xml or self.config).group(1)

    def destroy(self):
        self.state = INACTIVE
        self._forget()

    def undefine(self):
        self.persistent = False
        self._forget()

    def migrate(self, dconn, flags, dname, uri, bandwidth):
        assert (dname, uri, bandwidth) == (None, None, 0) and not flags & PEER2PEER
        self._move(dconn, flags)

    def migrateToURI(self, duri, flags, dname, bandwidth):
        assert (dname, bandwidth) == (None, 0) and flags & PEER2PEER
        self._move(Connection(duri), flags)

    def _move(self, target, flags):
        misbehave(self._kernel)
        if self._kernel.endswith("eof"):
            DEAD.add(target.uri)
            raise libvirtError("End of file while reading data: Input/output error", 38, 7)
        domain = target.domains.setdefault(self._name, Domain(target, self._name, self._kernel))
        domain.state = flags & ARRIVE_PAUSED and PAUSED or self.state
        domain.xml = self.xml
        if flags & PERSIST_DEST:
            domain.persistent, domain.config = True, self.xml
        if self._kernel.endswith("muddled"):
            domain.persistent, domain.config = True, "<domain/>"
        self.destroy()
        if flags & UNDEFINE_SOURCE:
            self.undefine()

    def _forget(self):
        if self.state == INACTIVE and not self.persistent:
            self._connection.domains.pop(self._name, None)
