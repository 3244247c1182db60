# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent: makes libvirt calls on the client machine with that machine's own libvirt binding.

How it is asked and answers is in serving.py.  Apart from domain_capabilities it uses only API that libvirt 0.8 had.  It never
decides anything: what to call and what to think of the answer is the controller's side.
"""

import json
import os
import sys
import threading

from .serving import failure, serve

try:
    import libvirt
except ImportError:
    libvirt = None

# virDomainState, in virsh's words.
STATES = ("no state", "running", "idle", "paused", "in shutdown", "shutoff", "crashed", "pmsuspended")
# virDomainJobType; none, and those that have ended, are no job.
JOBS = {0: None, 1: "bounded", 2: "unbounded", 3: None, 4: None, 5: None}
VIR_ERR_NO_SUPPORT = 3
VIR_ERR_RPC = 39
VIR_ERR_NO_DOMAIN = 42
VIR_ERR_OPERATION_INVALID = 55
VIR_DOMAIN_START_PAUSED = 1
VIR_DOMAIN_XML_INACTIVE = 2
VIR_DOMAIN_UNDEFINE_NVRAM = 4


class Agent(object):
    """Answers requests. Every public method is a call; its keyword arguments are the request's fields."""

    def __init__(self):
        self._connections = {}
        self._events = False

    def hello(self):
        """Versions of this machine's client library (libvirt's number) and Python, and this process's number."""
        return {"libvirt": libvirt.getVersion(), "python": "%d.%d.%d" % sys.version_info[:3], "pid": os.getpid()}

    def open(self, connection, uri, keepalive=None):
        """Open a connection and keep it under a name; answers what the daemon reports of itself.

        ``keepalive`` is the interval in seconds and the count with which the connection is to notice a silent daemon; then the
        answer's ``keepalive`` tells whether it does: binding and daemon must know how (0.9.8).
        """
        known = keepalive is not None and hasattr(libvirt, "virEventRegisterDefaultImpl")
        if known and not self._events:
            # Before the first connection, which looks for the event loop when it is opened.
            libvirt.virEventRegisterDefaultImpl()
            loop = threading.Thread(target=run_events)
            loop.setDaemon(True)
            loop.start()
            self._events = True
        opened = libvirt.open(uri)
        self._connections[connection] = opened
        told = {"libvirt": opened.getLibVersion(), "hostname": opened.getHostname()}
        if keepalive is not None:
            # 0: in force; 1: the daemon does not know it.
            known = known and hasattr(opened, "setKeepAlive")
            told["keepalive"] = bool(known and opened.setKeepAlive(keepalive[0], keepalive[1]) == 0)
        return told

    def alive(self, connection):
        """The version of the daemon's libvirt, which it knows without asking anybody: it answers, or its connection has ended."""
        return {"libvirt": self._connections[connection].getLibVersion()}

    def hypervisor(self, connection):
        """Version of the daemon's QEMU, in libvirt's number (0 where the daemon knows none)."""
        return {"hypervisor": self._connections[connection].getVersion()}

    def capabilities(self, connection):
        """The daemon's capabilities XML."""
        return {"xml": self._connections[connection].getCapabilities()}

    def domain_capabilities(self, connection, arch, machine, type):
        """The daemon's domain capabilities XML for a machine type; null where binding or daemon have none (before 1.2.7)."""
        opened = self._connections[connection]
        if not hasattr(opened, "getDomainCapabilities"):
            return {"xml": None}
        try:
            return {"xml": opened.getDomainCapabilities(None, arch, machine, type, 0)}
        except libvirt.libvirtError as error:
            # An older daemon does not know the call at all.
            if error.get_error_code() in (VIR_ERR_NO_SUPPORT, VIR_ERR_RPC):
                return {"xml": None}
            raise

    def define(self, connection, xml):
        """Define a persistent domain."""
        self._connections[connection].defineXML(xml)

    def start(self, connection, name, paused):
        """Start a defined domain."""
        self._domain(connection, name).createWithFlags(paused and VIR_DOMAIN_START_PAUSED or 0)

    def create(self, connection, xml, paused):
        """Create a transient domain."""
        self._connections[connection].createXML(xml, paused and VIR_DOMAIN_START_PAUSED or 0)

    def suspend(self, connection, name):
        """Pause a running domain."""
        self._domain(connection, name).suspend()

    def resume(self, connection, name):
        """Let a paused domain run."""
        self._domain(connection, name).resume()

    def abort_job(self, connection, name):
        """Abort the job of a domain."""
        self._domain(connection, name).abortJob()

    def job(self, connection, name):
        """The job of a domain in a word, null when it has none.

        A target that receives the domain has a job, and refuses to say more of it.
        """
        try:
            kind = self._domain(connection, name).jobInfo()[0]
        except libvirt.libvirtError as error:
            if error.get_error_code() == VIR_ERR_OPERATION_INVALID and "source host" in error.get_error_message():
                return {"job": "incoming"}
            # Gone, or not active any more.
            if error.get_error_code() in (VIR_ERR_NO_DOMAIN, VIR_ERR_OPERATION_INVALID):
                return {"job": None}
            raise
        return {"job": JOBS.get(kind, "job of type %d" % kind)}

    def migrate(self, source, name, target, bits):
        """Migrate under the client's control, between two connections."""
        self._domain(source, name).migrate(self._connections[target], bits, None, None, 0)

    def migrate_to_uri(self, source, name, uri, bits):
        """Migrate under the source daemon's control, to a URI as the source sees it."""
        self._domain(source, name).migrateToURI(uri, bits, None, 0)

    def look(self, connection, name):
        """A domain as the daemon shows it."""
        try:
            domain = self._domain(connection, name)
            state = STATES[domain.info()[0]]
            return {
                "exists": True,
                "active": bool(domain.isActive()),
                "persistent": bool(domain.isPersistent()),
                "state": state,
            }
        except libvirt.libvirtError as error:
            # A domain may go between two of the calls above: that is absence too.
            if error.get_error_code() == VIR_ERR_NO_DOMAIN:
                return {"exists": False}
            raise

    def config(self, connection, name):
        """XML of a domain's persistent config."""
        return {"xml": self._domain(connection, name).XMLDesc(VIR_DOMAIN_XML_INACTIVE)}

    def uuid(self, connection, name):
        """A domain's UUID as text."""
        return {"uuid": self._domain(connection, name).UUIDString()}

    def destroy(self, connection, name):
        """Stop a domain at once."""
        self._domain(connection, name).destroy()

    def undefine(self, connection, name):
        """Remove a domain's persistent config, and the UEFI variables of one that has some."""
        domain = self._domain(connection, name)
        try:
            domain.undefine()
        except libvirt.libvirtError:
            # "cannot undefine domain with nvram"; a library before 0.9.4 knows neither.
            if not hasattr(domain, "undefineFlags"):
                raise
            domain.undefineFlags(VIR_DOMAIN_UNDEFINE_NVRAM)

    def domains(self, connection):
        """Names of all domains, active and inactive."""
        opened = self._connections[connection]
        names = opened.listDefinedDomains()
        for number in opened.listDomainsID():
            try:
                names.append(opened.lookupByID(number).name())
            except libvirt.libvirtError as error:
                # Gone between the list and the look-up.
                if error.get_error_code() != VIR_ERR_NO_DOMAIN:
                    raise
        return {"names": sorted(names)}

    def _domain(self, connection, name):
        return self._connections[connection].lookupByName(name)


def run_events():
    """Run the library's events, which send and answer keepalive, for as long as the agent lives."""
    while True:
        libvirt.virEventRunDefaultImpl()


def libvirt_failure(error):
    """An exception as the answer's error; libvirt's numbers where it is libvirt's."""
    if not isinstance(error, libvirt.libvirtError):
        return failure(error)
    return {
        "code": error.get_error_code(),
        "domain": error.get_error_domain(),
        "message": error.get_error_message() or str(error),
    }


def main():
    """Answer requests, the first of them with an error where there is no libvirt."""
    if libvirt is None:
        # Of an agent that ends before its first request the controller sees only that it exited.
        sys.stdin.readline()
        problem = "this machine's %s has no libvirt module" % sys.executable
        sys.stdout.write(json.dumps({"ok": False, "error": {"message": problem}, "seconds": 0}) + "\n")
        return
    # Without a handler of ours the library prints every error on standard error.
    libvirt.registerErrorHandler(lambda context, error: None, None)
    serve(Agent(), libvirt_failure)
