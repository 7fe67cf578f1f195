//! Where the figures come from: the container's control group, and the host's files for what is the same for all.

use std::fs;

use super::text::{self, Used};
use crate::cgroup::Cgroup;

/// What sysinfo(2) tells of a machine; sizes in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Seconds.
    pub(crate) uptime: u64,
    /// In parts of 65,536.
    pub(crate) loads: [u64; 3],
    pub(crate) total: u64,
    pub(crate) free: u64,
    pub(crate) shared: u64,
    pub(crate) buffers: u64,
    pub(crate) swap_total: u64,
    pub(crate) swap_free: u64,
    pub(crate) processes: u64,
}

/// The figures of one container.
pub(crate) struct Figures {
    cgroup: Cgroup,
    /// Hundredths of a second since the host booted, when the container began.
    began: u64,
    load: Load,
}

impl Figures {
    pub(crate) fn new(cgroup: Cgroup) -> Self {
        let began = now();
        Self {
            cgroup,
            began,
            load: Load {
                at: began,
                ..Load::default()
            },
        }
    }

    /// What a file holds; `None` if there is none of that name.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let host = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Some(match name {
            "cpuinfo" => text::cpuinfo(&host("/proc/cpuinfo"), &self.cgroup.effective_cpus()),
            "diskstats" => text::diskstats(&self.cgroup.disks()),
            "loadavg" => self.loadavg(),
            "meminfo" => {
                let host = host("/proc/meminfo");
                self.cgroup
                    .memory()
                    .map_or_else(|| host.clone(), |memory| text::meminfo(&host, &memory))
            }
            "online" => text::online(self.cgroup.effective_cpus().len()),
            "stat" => text::stat(&host("/proc/stat"), &self.used()),
            "swaps" => match self.cgroup.memory() {
                Some(memory) => text::swaps(&host("/proc/meminfo"), &memory),
                None => host("/proc/swaps"),
            },
            "uptime" => text::uptime(&self.used()),
            _ => return None,
        })
    }

    /// The same as a whole.
    pub(crate) fn machine(&self) -> Machine {
        let host = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory = self.cgroup.memory();
        let shown = memory.map_or_else(|| host.clone(), |memory| text::meminfo(&host, &memory));
        let bytes = |name| text::field(&shown, name) * 1024;
        let (user_us, system_us) = self.cgroup.cpu_time();
        let averages = self
            .load
            .clone()
            .read(now(), (user_us + system_us) / 10_000);
        Machine {
            uptime: self.used().hundredths / 100,
            loads: averages.map(fixed_point),
            total: bytes("MemTotal"),
            free: bytes("MemFree"),
            shared: bytes("Shmem"),
            buffers: bytes("Buffers"),
            swap_total: bytes("SwapTotal"),
            swap_free: bytes("SwapFree"),
            processes: self.cgroup.tasks(),
        }
    }

    fn used(&self) -> Used {
        let (user_us, system_us) = self.cgroup.cpu_time();
        Used {
            hundredths: now().saturating_sub(self.began),
            began: self.began,
            user: user_us / 10_000,
            system: system_us / 10_000,
            cpus: self.cgroup.effective_cpus().len() as u64,
        }
    }

    fn loadavg(&mut self) -> String {
        let (user_us, system_us) = self.cgroup.cpu_time();
        let averages = self.load.read(now(), (user_us + system_us) / 10_000);
        text::loadavg(averages, self.cgroup.tasks())
    }
}

/// Hundredths of a second since boot.
fn now() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let mut fields = text.split([' ', '.']);
    let number = |field: Option<&str>| field.and_then(|field| field.parse().ok()).unwrap_or(0);
    let seconds: u64 = number(fields.next());
    seconds * 100 + number(fields.next())
}

/// Averages of the processors that were used, over one, five and fifteen minutes. The kernel takes samples of how many
/// tasks want to run; here the time between two looks is known exactly instead, and nobody need look meanwhile.
#[derive(Debug, Clone, Default)]
struct Load {
    at: u64,
    used: u64,
    averages: [f64; 3],
}

impl Load {
    /// Both in hundredths of a second.
    fn read(&mut self, at: u64, used: u64) -> [f64; 3] {
        const PERIODS: [f64; 3] = [60.0, 300.0, 900.0];
        let elapsed = seconds(at.saturating_sub(self.at));
        if elapsed > 0.0 {
            let rate = seconds(used.saturating_sub(self.used)) / elapsed;
            for (average, period) in self.averages.iter_mut().zip(PERIODS) {
                let kept = (-elapsed / period).exp();
                *average = *average * kept + rate * (1.0 - kept);
            }
            (self.at, self.used) = (at, used);
        }
        self.averages
    }
}

/// As the kernel keeps averages (SI_LOAD_SHIFT of linux/sysinfo.h).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "averages are small and never negative"
)]
fn fixed_point(average: f64) -> u64 {
    (average * 65_536.0) as u64
}

#[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
fn seconds(hundredths: u64) -> f64 {
    hundredths as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_comes_and_goes() {
        let mut load = Load::default();
        let busy = load.read(6000, 12_000);
        assert!(busy[0] > 1.2 && busy[0] < 1.3, "{busy:?}");
        assert!(busy[1] < busy[0] && busy[2] < busy[1]);
        let calm = load.read(36_000, 12_000);
        assert!(calm[0] < 0.02, "{calm:?}");
        let same = load.read(36_000, 12_000);
        assert!((same[0] - calm[0]).abs() < 1e-9, "no time has passed");
        assert!(now() > 0);
    }
}
