//! Where the figures come from: the container's control group, and the host's files for what is the same for all.

use std::fs;

use super::text::{self, Used};
use crate::cgroup::Cgroup;

/// The figures of one container.
pub(super) struct Figures {
    cgroup: Cgroup,
    /// Hundredths of a second since the host booted, when the container began.
    began: u64,
    load: Load,
}

impl Figures {
    pub(super) fn new(cgroup: Cgroup) -> Self {
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
#[derive(Debug, Default)]
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
