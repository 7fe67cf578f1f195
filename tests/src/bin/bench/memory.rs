//! Memory of processes, in MiB, as /proc tells it (proc(5), `smaps_rollup`).

use anyhow::Context as _;

/// The resident set of a process.
pub(crate) fn resident(pid: u32) -> anyhow::Result<f64> {
    sum(pid, &["Rss:"])
}

/// What only the monitors of a world use, each.
pub(crate) fn monitors(world: u32) -> anyhow::Result<Vec<f64>> {
    private(world, "monitor")
}

/// What only the proxies of a world use, each.
pub(crate) fn proxies(world: u32) -> anyhow::Result<Vec<f64>> {
    private(world, "rlxc-proxy")
}

/// Clean and dirty private pages of each process of a world whose name or command line has `called` in it.
fn private(world: u32, called: &str) -> anyhow::Result<Vec<f64>> {
    let namespace = std::fs::read_link(format!("/proc/{world}/ns/pid"))?;
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let here =
            std::fs::read_link(entry.path().join("ns/pid")).is_ok_and(|found| found == namespace);
        let mut name = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        name.extend(std::fs::read(entry.path().join("comm")).unwrap_or_default());
        if here && String::from_utf8_lossy(&name).contains(called) {
            sizes.push(sum(pid, &["Private_Clean:", "Private_Dirty:"])?);
        }
    }
    Ok(sizes)
}

fn sum(pid: u32, fields: &[&str]) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let kib: f64 = text
        .lines()
        .filter(|line| fields.iter().any(|field| line.starts_with(field)))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok())
        .sum();
    Ok(kib / 1024.0)
}
