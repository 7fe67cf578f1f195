//! Figures of instances that run.

use std::collections::HashMap;
use std::fmt::Display;

use rlxc_container::cgroup::{MemoryStatistics, Statistics};
use rlxc_network::InterfaceState;
use rlxc_storage::Usage;

use super::families::{
    CPU_EFFECTIVE, CPU_SECONDS, DISK_READ_BYTES, DISK_READS, DISK_WRITES, DISK_WRITTEN_BYTES,
    FILESYSTEM_AVAIL, FILESYSTEM_FREE, FILESYSTEM_SIZE, MEMORY_ACTIVE, MEMORY_ACTIVE_ANON,
    MEMORY_ACTIVE_FILE, MEMORY_CACHED, MEMORY_DIRTY, MEMORY_INACTIVE, MEMORY_INACTIVE_ANON,
    MEMORY_INACTIVE_FILE, MEMORY_MAPPED, MEMORY_MEM_AVAILABLE, MEMORY_MEM_FREE, MEMORY_MEM_TOTAL,
    MEMORY_OOM_KILLS, MEMORY_RSS, MEMORY_SHMEM, MEMORY_SWAP, MEMORY_UNEVICTABLE, MEMORY_WRITEBACK,
    NETWORK_RECEIVE_BYTES, NETWORK_RECEIVE_DROP, NETWORK_RECEIVE_ERRS, NETWORK_RECEIVE_PACKETS,
    NETWORK_TRANSMIT_BYTES, NETWORK_TRANSMIT_DROP, NETWORK_TRANSMIT_ERRS, NETWORK_TRANSMIT_PACKETS,
    PROCS,
};
use super::text::{Family, Text};
use crate::context::App;
use crate::instance::Status;
use crate::model::Instance;

/// Adds the figures of all of them that run.
pub(super) fn add(app: &App, all: &[Instance], text: &mut Text) {
    let mut pools: HashMap<&str, Option<Usage>> = HashMap::new();
    for instance in all {
        let Status {
            running: Some(running),
            ..
        } = app.instances.status(instance.id)
        else {
            continue;
        };
        let mut samples = Samples::of(instance, text);
        // One that ends at this moment has no figures any more.
        if let Ok(statistics) = app.cgroup(instance.id).statistics() {
            samples.statistics(&statistics, app.host.memory);
        }
        for interface in running.netns().interfaces().unwrap_or_default() {
            samples.interface(&interface);
        }
        let usage = pools
            .entry(&instance.pool)
            .or_insert_with(|| app.pools.get(&instance.pool).ok()?.usage().ok());
        if let Some(usage) = usage {
            samples.filesystem(&instance.pool, usage);
        }
    }
}

/// The samples of one instance.
struct Samples<'a> {
    name: &'a str,
    project: &'a str,
    text: &'a mut Text,
}

impl<'a> Samples<'a> {
    fn of(instance: &'a Instance, text: &'a mut Text) -> Self {
        Self {
            name: &instance.name,
            project: &instance.project,
            text,
        }
    }

    fn add(&mut self, family: &Family, labels: &[(&str, &str)], value: impl Display) {
        let own = [
            ("name", self.name),
            ("project", self.project),
            ("type", "container"),
        ];
        self.text.add(family, &[labels, &own].concat(), value);
    }

    fn statistics(&mut self, statistics: &Statistics, host_memory: u64) {
        let seconds = |us: u64| std::time::Duration::from_micros(us).as_secs_f64();
        for (mode, us) in [
            ("system", statistics.system_us),
            ("user", statistics.user_us),
        ] {
            // Control groups don't count by processor.
            self.add(&CPU_SECONDS, &[("cpu", "0"), ("mode", mode)], seconds(us));
        }
        if let Some(cpus) = statistics.cpus {
            self.add(&CPU_EFFECTIVE, &[], cpus);
        }
        self.add(&PROCS, &[], statistics.usage.processes);
        for disk in &statistics.disks {
            let device = [("device", disk.device.as_str())];
            self.add(&DISK_READ_BYTES, &device, disk.read_bytes);
            self.add(&DISK_READS, &device, disk.reads);
            self.add(&DISK_WRITTEN_BYTES, &device, disk.written_bytes);
            self.add(&DISK_WRITES, &device, disk.writes);
        }
        let total = statistics.usage.memory_limit.unwrap_or(host_memory);
        let free = total.saturating_sub(statistics.usage.memory);
        let can_go = statistics.memory.map_or(0, |memory| memory.inactive_file);
        self.add(&MEMORY_MEM_TOTAL, &[], total);
        self.add(&MEMORY_MEM_FREE, &[], free);
        self.add(&MEMORY_MEM_AVAILABLE, &[], (free + can_go).min(total));
        self.add(&MEMORY_SWAP, &[], statistics.usage.swap.unwrap_or(0));
        if let Some(memory) = &statistics.memory {
            self.memory(memory);
        }
    }

    fn memory(&mut self, memory: &MemoryStatistics) {
        for (family, value) in [
            (MEMORY_ACTIVE_ANON, memory.active_anon),
            (MEMORY_ACTIVE_FILE, memory.active_file),
            (MEMORY_ACTIVE, memory.active_anon + memory.active_file),
            (MEMORY_INACTIVE_ANON, memory.inactive_anon),
            (MEMORY_INACTIVE_FILE, memory.inactive_file),
            (MEMORY_INACTIVE, memory.inactive_anon + memory.inactive_file),
            (MEMORY_CACHED, memory.cached),
            (MEMORY_DIRTY, memory.dirty),
            (MEMORY_WRITEBACK, memory.writeback),
            (MEMORY_MAPPED, memory.mapped),
            (MEMORY_RSS, memory.rss),
            (MEMORY_SHMEM, memory.shmem),
            (MEMORY_UNEVICTABLE, memory.unevictable),
            (MEMORY_OOM_KILLS, memory.oom_kills),
        ] {
            self.add(&family, &[], value);
        }
    }

    fn interface(&mut self, interface: &InterfaceState) {
        let device = [("device", interface.name.as_str())];
        let counters = &interface.counters;
        for (family, value) in [
            (NETWORK_RECEIVE_BYTES, counters.bytes_received),
            (NETWORK_RECEIVE_PACKETS, counters.packets_received),
            (NETWORK_RECEIVE_ERRS, counters.errors_received),
            (NETWORK_RECEIVE_DROP, counters.packets_dropped_inbound),
            (NETWORK_TRANSMIT_BYTES, counters.bytes_sent),
            (NETWORK_TRANSMIT_PACKETS, counters.packets_sent),
            (NETWORK_TRANSMIT_ERRS, counters.errors_sent),
            (NETWORK_TRANSMIT_DROP, counters.packets_dropped_outbound),
        ] {
            self.add(&family, &device, value);
        }
    }

    fn filesystem(&mut self, pool: &str, usage: &Usage) {
        let labels = [("device", pool), ("fstype", ""), ("mountpoint", "/")];
        let free = usage.space_total.saturating_sub(usage.space_used);
        self.add(&FILESYSTEM_SIZE, &labels, usage.space_total);
        self.add(&FILESYSTEM_FREE, &labels, free);
        self.add(&FILESYSTEM_AVAIL, &labels, free);
    }
}
