//! The families: names as LXD has them.

use super::text::{Family, Kind};

/// Writes the families down, one a line.
macro_rules! families {
    ($($constant:ident $kind:ident $name:literal $help:literal;)*) => {
        $(pub(super) const $constant: Family = Family {
            name: concat!("lxd_", $name),
            kind: Kind::$kind,
            help: $help,
        };)*
    };
}

families! {
    CPU_EFFECTIVE Gauge "cpu_effective_total" "Processors that it may use";
    CPU_SECONDS Counter "cpu_seconds_total" "Seconds of processor time";
    DISK_READ_BYTES Counter "disk_read_bytes_total" "Bytes read";
    DISK_READS Counter "disk_reads_completed_total" "Reads";
    DISK_WRITTEN_BYTES Counter "disk_written_bytes_total" "Bytes written";
    DISK_WRITES Counter "disk_writes_completed_total" "Writes";
    FILESYSTEM_AVAIL Gauge "filesystem_avail_bytes" "Bytes that can be used on the storage pool of its root";
    FILESYSTEM_FREE Gauge "filesystem_free_bytes" "Bytes that are free on the storage pool of its root";
    FILESYSTEM_SIZE Gauge "filesystem_size_bytes" "Bytes of the storage pool of its root";
    MEMORY_ACTIVE_ANON Gauge "memory_Active_anon_bytes" "Anonymous memory that was used lately";
    MEMORY_ACTIVE_FILE Gauge "memory_Active_file_bytes" "Memory of files that was used lately";
    MEMORY_ACTIVE Gauge "memory_Active_bytes" "Memory that was used lately";
    MEMORY_CACHED Gauge "memory_Cached_bytes" "Memory of files";
    MEMORY_DIRTY Gauge "memory_Dirty_bytes" "Memory that waits to be written to disk";
    MEMORY_INACTIVE_ANON Gauge "memory_Inactive_anon_bytes" "Anonymous memory that was not used lately";
    MEMORY_INACTIVE_FILE Gauge "memory_Inactive_file_bytes" "Memory of files that was not used lately";
    MEMORY_INACTIVE Gauge "memory_Inactive_bytes" "Memory that was not used lately";
    MEMORY_MAPPED Gauge "memory_Mapped_bytes" "Memory of files that is mapped";
    MEMORY_MEM_AVAILABLE Gauge "memory_MemAvailable_bytes" "Memory that it can have yet";
    MEMORY_MEM_FREE Gauge "memory_MemFree_bytes" "Memory that it does not use";
    MEMORY_MEM_TOTAL Gauge "memory_MemTotal_bytes" "Memory that it may use";
    MEMORY_RSS Gauge "memory_RSS_bytes" "Anonymous memory";
    MEMORY_SHMEM Gauge "memory_Shmem_bytes" "Shared memory";
    MEMORY_SWAP Gauge "memory_Swap_bytes" "Swap that it uses";
    MEMORY_UNEVICTABLE Gauge "memory_Unevictable_bytes" "Memory that stays";
    MEMORY_WRITEBACK Gauge "memory_Writeback_bytes" "Memory that is being written to disk";
    MEMORY_OOM_KILLS Counter "memory_OOM_kills_total" "Processes that were killed for want of memory";
    NETWORK_RECEIVE_BYTES Counter "network_receive_bytes_total" "Bytes received";
    NETWORK_RECEIVE_PACKETS Counter "network_receive_packets_total" "Packets received";
    NETWORK_RECEIVE_ERRS Counter "network_receive_errs_total" "Packets not received for an error";
    NETWORK_RECEIVE_DROP Counter "network_receive_drop_total" "Packets that were dropped instead of being received";
    NETWORK_TRANSMIT_BYTES Counter "network_transmit_bytes_total" "Bytes sent";
    NETWORK_TRANSMIT_PACKETS Counter "network_transmit_packets_total" "Packets sent";
    NETWORK_TRANSMIT_ERRS Counter "network_transmit_errs_total" "Packets not sent for an error";
    NETWORK_TRANSMIT_DROP Counter "network_transmit_drop_total" "Packets that were dropped instead of being sent";
    PROCS Gauge "procs_total" "Processes";
    OPERATIONS Gauge "operations_total" "Operations under way";
    WARNINGS Gauge "warnings_total" "Warnings";
}
