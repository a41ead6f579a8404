"""A day in the life of proxmoxer against the simulator: log in twice, clone, configure, run, delete."""
import sys
import time

from proxmoxer import ProxmoxAPI
from proxmoxer.core import AuthenticationError, ResourceException

host, port, ca, secret = sys.argv[1:5]


def wait(api, upid):
    node = upid.split(":")[1]
    for _ in range(500):
        status = api.nodes(node).tasks(upid).status.get()
        if status["status"] == "stopped":
            assert status["exitstatus"] == "OK", status
            return status
        time.sleep(0.01)
    raise SystemExit(f"task does not end: {upid}")


def walk(api, newid):
    assert api.version.get()["release"] == "9.2"
    nodes = sorted(node["node"] for node in api.nodes.get())
    assert nodes == ["pve1", "pve2", "pve3"], nodes
    source = api.nodes("pve1").qemu(9000)
    wait(api, source.clone.post(newid=newid, name=f"walk-{newid}", target="pve2"))
    vm = api.nodes("pve2").qemu(newid)
    vm.config.put(cores=2, memory=1024, ipconfig0="ip=10.0.0.5/24,gw=10.0.0.1", tags="b;a", description="line 1\nline 2")
    config = vm.config.get()
    assert config["cores"] == 2 and config["memory"] == "1024" and config["tags"] == "a;b", config
    wait(api, vm.resize.put(disk="scsi0", size="+2G"))
    assert "size=12G" in vm.config.get()["scsi0"]
    status = wait(api, vm.status.start.post())
    assert status["type"] == "qmstart" and status["id"] == str(newid), status
    vm.agent.ping.post()
    interfaces = vm.agent("network-get-interfaces").get()["result"]
    assert interfaces[1]["ip-addresses"][0]["ip-address"] == "10.0.0.5", interfaces
    log = api.nodes("pve2").tasks(status["upid"]).log.get()
    assert log[-1]["t"] == "TASK OK", log
    names = [guest["name"] for guest in api.cluster.resources.get(type="vm") if guest["vmid"] == newid]
    assert names == [f"walk-{newid}"], names
    try:
        vm.delete()
        raise SystemExit("a running guest was deleted")
    except ResourceException as error:
        assert error.status_code == 500 and "is running - destroy failed" in str(error), error
    try:
        vm.config.put(bogus=1)
        raise SystemExit("an unknown parameter was accepted")
    except ResourceException as error:
        assert error.status_code == 400 and "bogus" in error.errors, error
    wait(api, vm.status.stop.post())
    wait(api, vm.delete(purge=1))
    try:
        vm.config.get()
        raise SystemExit("the guest is still there")
    except ResourceException as error:
        assert "does not exist" in str(error), error


common = {"port": int(port), "verify_ssl": ca, "timeout": 20}
walk(ProxmoxAPI(host, user="root@pam", password="simulator", **common), 300)
walk(ProxmoxAPI(host, user="tpm@pve", password="simulator", **common), 301)
walk(ProxmoxAPI(host, user="tpm@pve", token_name="manager", token_value=secret, **common), 302)
try:
    ProxmoxAPI(host, user="root@pam", password="wrong", **common)
    raise SystemExit("a wrong password was accepted")
except AuthenticationError:
    pass
print("walked")
