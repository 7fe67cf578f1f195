use std::os::unix::fs::symlink;

use serde_json::json;

use super::*;

/// A host in a directory: files with what they hold.
fn host(files: &[(&str, &str)], links: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let prepare = |path: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    for (path, text) in files {
        std::fs::write(prepare(path), format!("{text}\n")).unwrap();
    }
    for (path, target) in links {
        symlink(target, prepare(path)).unwrap();
    }
    root
}

#[test]
fn a_host_without_files_is_an_empty_host() {
    let root = host(&[], &[]);
    let read = read(root.path());
    assert_eq!(
        (read.cpu.total, read.storage.total, read.pci.total),
        (0, 0, 0)
    );
    assert_eq!(read.system.kind, "physical");
}

#[test]
fn this_host_has_processors_and_memory() {
    let read = read(Path::new("/"));
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    assert!(read.cpu.total >= threads && !read.cpu.sockets.is_empty());
    assert!(read.memory.total > read.memory.used && read.memory.used > 0);
    assert!(read.load.processes > 0);
}

#[test]
fn processors_are_sorted_by_package_and_core() {
    let cpu = |number: u64, file: &str| format!("sys/devices/system/cpu/cpu{number}/{file}");
    let mut files = vec![
        (
            "sys/devices/system/cpu/isolated".to_owned(),
            "2-3".to_owned(),
        ),
        (
            "proc/cpuinfo".to_owned(),
            "processor\t: 0\nvendor_id\t: AMD\nmodel name\t: EPYC\ncpu MHz\t\t: 2445.424\n"
                .to_owned(),
        ),
        (cpu(0, "cache/index0/level"), "1".to_owned()),
        (cpu(0, "cache/index0/type"), "Data".to_owned()),
        (cpu(0, "cache/index0/size"), "32K".to_owned()),
        (cpu(0, "cpufreq/cpuinfo_max_freq"), "3500000".to_owned()),
        (cpu(3, "online"), "0".to_owned()),
        (cpu(2, "node1/x"), String::new()),
    ];
    for number in 0..4_u64 {
        files.push((
            cpu(number, "topology/physical_package_id"),
            (number / 2).to_string(),
        ));
        files.push((cpu(number, "topology/core_id"), "0".to_owned()));
    }
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let read = read(host(&files, &[]).path()).cpu;
    assert_eq!((read.total, read.sockets.len()), (4, 2));
    let socket = &read.sockets[0];
    assert_eq!(
        (socket.name.as_str(), socket.vendor.as_str()),
        ("EPYC", "AMD")
    );
    assert_eq!((socket.frequency, socket.frequency_turbo), (2445, 3500));
    assert_eq!((socket.cache[0].size, socket.cache[0].level), (32 << 10, 1));
    let threads = &read.sockets[1].cores[0].threads;
    assert_eq!(
        serde_json::to_value(threads).unwrap(),
        json!([
            {"id": 2, "numa_node": 1, "thread": 0, "online": true, "isolated": true},
            {"id": 3, "numa_node": 0, "thread": 1, "online": false, "isolated": true},
        ])
    );
}

#[test]
fn memory_is_in_bytes() {
    let node = "Node 0 MemTotal: 1000 kB\nNode 0 MemUsed: 400 kB\nNode 0 HugePages_Total: 2";
    let all = "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 300 kB\nHugePages_Total: 2\nHugePages_Free: 1\nHugepagesize: 2048 kB";
    let root = host(
        &[
            ("proc/meminfo", all),
            ("sys/devices/system/node/node0/meminfo", node),
        ],
        &[],
    );
    let read = read(root.path()).memory;
    assert_eq!((read.total, read.used), (1_024_000, 716_800));
    assert_eq!(
        (read.hugepages_total, read.hugepages_used),
        (4 << 20, 2 << 20)
    );
    assert_eq!(
        (read.nodes[0].used, read.nodes[0].hugepages_total),
        (409_600, 4 << 20)
    );
}

/// A network card and a disk on PCI, and a stick behind a USB hub.
const FILES: &[(&str, &str)] = &[
    ("sys/devices/pci0000:00/0000:00:03.0/vendor", "0x1af4"),
    ("sys/devices/pci0000:00/0000:00:03.0/device", "0x1000"),
    ("sys/devices/pci0000:00/0000:00:03.0/numa_node", "-1"),
    (
        "sys/devices/pci0000:00/0000:00:03.0/virtio0/net/eth0/address",
        "52:54:00:01:02:03",
    ),
    (
        "sys/devices/pci0000:00/0000:00:03.0/virtio0/net/eth0/type",
        "1",
    ),
    (
        "sys/devices/pci0000:00/0000:00:03.0/virtio0/net/eth0/carrier",
        "1",
    ),
    (
        "sys/devices/pci0000:00/0000:00:03.0/virtio0/net/eth0/speed",
        "-1",
    ),
    (
        "sys/devices/pci0000:00/0000:00:03.0/virtio1/block/vda/dev",
        "254:0",
    ),
    (
        "sys/devices/pci0000:00/0000:00:03.0/virtio1/block/vda/size",
        "2048",
    ),
    (
        "sys/devices/pci0000:00/0000:00:03.0/virtio1/block/vda/queue/rotational",
        "1",
    ),
    (
        "sys/devices/pci0000:00/0000:00:03.0/virtio1/block/vda/vda1/partition",
        "1",
    ),
    (
        "sys/devices/pci0000:00/0000:00:03.0/virtio1/block/vda/vda1/dev",
        "254:1",
    ),
    (
        "sys/devices/pci0000:00/0000:00:03.0/virtio1/block/vda/vda1/size",
        "1024",
    ),
    ("sys/class/block/loop0/dev", "7:0"),
    (
        "proc/self/mountinfo",
        "29 1 254:1 / / rw - ext4 /dev/vda1 rw",
    ),
    (
        "usr/share/misc/pci.ids",
        "# list\n0001  Other\n\t1000  Wrong\n1af4  Red Hat, Inc.\n\t1000  Virtio network device\n\t\t01de 0001  Sub\n",
    ),
    ("sys/bus/usb/devices/1-1/busnum", "1"),
    ("sys/bus/usb/devices/1-1/devnum", "4"),
    ("sys/bus/usb/devices/1-1/bDeviceClass", "00"),
    ("sys/bus/usb/devices/1-1/idVendor", "046d"),
    ("sys/bus/usb/devices/1-1/speed", "1.5"),
    ("sys/bus/usb/devices/1-1/1-1:1.0/bInterfaceNumber", "00"),
    ("sys/bus/usb/devices/1-1/1-1:1.0/bInterfaceClass", "03"),
    ("sys/bus/usb/devices/usb1/busnum", "1"),
    ("sys/bus/usb/devices/usb1/bDeviceClass", "09"),
];

const LINKS: &[(&str, &str)] = &[
    (
        "sys/bus/pci/devices/0000:00:03.0",
        "../../../devices/pci0000:00/0000:00:03.0",
    ),
    (
        "sys/class/net/eth0",
        "../../devices/pci0000:00/0000:00:03.0/virtio0/net/eth0",
    ),
    (
        "sys/devices/pci0000:00/0000:00:03.0/virtio0/net/eth0/device",
        "../../../virtio0",
    ),
    (
        "sys/devices/pci0000:00/0000:00:03.0/virtio0/driver",
        "../../../../bus/virtio/drivers/virtio_net",
    ),
    (
        "sys/class/block/vda",
        "../../devices/pci0000:00/0000:00:03.0/virtio1/block/vda",
    ),
    (
        "sys/devices/pci0000:00/0000:00:03.0/virtio1/block/vda/device",
        "../../../virtio1",
    ),
    (
        "sys/devices/pci0000:00/0000:00:03.0/virtio1/subsystem",
        "../../../../bus/virtio",
    ),
];

#[test]
fn devices_are_found_with_their_names_and_places() {
    let read = read(host(FILES, LINKS).path());
    let card = &read.network.cards[0];
    assert_eq!(read.network.total, 1);
    assert_eq!(
        (card.pci_address.as_str(), card.driver.as_str()),
        ("0000:00:03.0", "virtio_net")
    );
    assert_eq!(
        (card.vendor.as_str(), card.product.as_str()),
        ("Red Hat, Inc.", "Virtio network device")
    );
    let port = &card.ports[0];
    assert_eq!(
        (port.id.as_str(), port.link_detected, port.link_speed),
        ("eth0", true, 0)
    );
    assert_eq!(read.storage.total, 1);
    let disk = &read.storage.disks[0];
    assert_eq!(
        (disk.id.as_str(), disk.kind.as_str(), disk.size, disk.rpm),
        ("vda", "virtio", 1 << 20, 1)
    );
    assert!(!disk.mounted && disk.partitions[0].mounted);
    assert_eq!(disk.partitions[0].id, "vda1");
    assert_eq!(read.usb.total, 1);
    let stick = &read.usb.devices[0];
    assert_eq!(
        (stick.device_address, stick.vendor_id.as_str()),
        (4, "046d")
    );
    assert_eq!((stick.speed, stick.interfaces[0].class_id), (1.5, 3));
}
