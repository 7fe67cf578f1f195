"""Drives a daemon by pylxd, unchanged: first on the unix socket, then over TLS. Arguments: endpoint, certificate, key."""

import sys

import pylxd

endpoint, certificate, key = sys.argv[1:]


def walk(client, name):
    assert client.trusted and client.host_info["api_status"] == "stable"
    config = {
        "name": name,
        "source": {"type": "image", "alias": "busybox"},
        "config": {"user.note": "x"},
        "profiles": ["default"],
    }
    instance = client.instances.create(config, wait=True)
    assert client.instances.exists(name)
    instance.start(wait=True)
    assert client.instances.get(name).status == "Running"
    assert instance.state().pid > 0

    exit_code, out, err = instance.execute(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (exit_code, out, err) == (3, "out\n", "err\n"), (exit_code, out, err)
    exit_code, out, _ = instance.execute(["cat"], stdin_payload="through")
    assert (exit_code, out) == (0, "through"), out

    instance.files.put("/root/pushed", b"content", mode="0600", uid=0, gid=0)
    assert instance.files.get("/root/pushed") == b"content"
    instance.files.delete("/root/pushed")

    instance.config["user.note"] = "y"
    instance.description = "changed"
    instance.save(wait=True)
    again = client.instances.get(name)
    assert again.config["user.note"] == "y" and again.description == "changed"

    snapshot = instance.snapshots.create("s0", stateful=False, wait=True)
    assert [each.name for each in instance.snapshots.all()] == ["s0"]
    snapshot.rename("s1", wait=True)
    instance.restore_snapshot("s1", wait=True)
    image = instance.snapshots.get("s1").publish(wait=True)
    assert client.images.exists(image.fingerprint)
    image.add_alias(name + "-image", "made by pylxd")
    assert client.images.get_by_alias(name + "-image").fingerprint == image.fingerprint
    assert len(image.export().read()) > 0
    image.delete(wait=True)
    instance.snapshots.get("s1").delete(wait=True)

    instance.freeze(wait=True)
    instance.unfreeze(wait=True)
    instance.restart(force=True, wait=True)
    instance.stop(force=True, wait=True)
    instance.rename(name + "-renamed", wait=True)
    client.instances.get(name + "-renamed").delete(wait=True)
    assert not client.instances.exists(name + "-renamed")

    profile = client.profiles.create(name + "-profile", config={"user.a": "b"}, devices={})
    profile.description = "of pylxd"
    profile.save()
    assert client.profiles.get(name + "-profile").description == "of pylxd"
    profile.delete()

    network = client.networks.create(name[:4] + "net0", config={"ipv4.address": "10.98.0.1/24", "ipv6.address": "none"})
    assert network.managed and network.config["ipv4.address"] == "10.98.0.1/24"
    forward = network.forwards.create({"listen_address": "192.0.2.77", "config": {}, "ports": []})
    forward.delete()
    network.delete()

    pool = client.storage_pools.create({"name": name + "-pool", "driver": "dir", "config": {}})
    volume = pool.volumes.create({"name": "v0", "type": "custom", "config": {}})
    assert [each.name for each in pool.volumes.all()] == ["v0"]
    assert pool.resources.get().space["total"] > 0
    volume.delete()
    pool.delete()

    project = client.projects.create(name + "-project", description="of pylxd", config={"features.images": "false"})
    project.delete()
    assert client.certificates.all() is not None
    assert client.resources["memory"]["total"] > 0


walk(pylxd.Client(), "py-unix")
walk(pylxd.Client(endpoint=endpoint, cert=(certificate, key), verify=False), "py-tls")
print("walked")
