//! Proxies of running instances: one whose process has died is started again.

use rlxc_sys::chain::chain;

use super::report;
use crate::app::network::{expanded_all, proxy};
use crate::context::{App, instance_url};
use crate::error::Result;
use crate::plan::proxy::ProxyPlan;

/// Starts what has ended and should not have.
pub(super) async fn revive(app: &App) -> Result<()> {
    let mut findings = Vec::new();
    for (instance, expanded) in app.db.read(expanded_all).await? {
        let devices: Vec<&String> = proxy::proxies(&expanded.devices).collect();
        let status = app.instances.status(instance.id);
        // One that is being changed is looked at the next time.
        let Some(running) = status
            .running
            .filter(|_| status.code == status.state.status())
        else {
            continue;
        };
        for device in devices {
            let url = format!(
                "{} {device}",
                instance_url(&instance.project, &instance.name)
            );
            let plan = proxy::plan(app, &instance, &expanded.devices, device)?;
            let ProxyPlan::Process(spec) = &plan else {
                continue;
            };
            if app.runtime.is_proxy_running(&spec.lock) {
                continue;
            }
            let started = proxy::start(app, (instance.id, device), plan, running.as_ref()).await;
            let text = match started {
                Ok(()) => format!(
                    "proxy `{device}` of instance `{}` had ended and was started again",
                    instance.name
                ),
                Err(error) => chain(&error).to_string(),
            };
            findings.push((url, text));
        }
    }
    report(app, "Proxy ended", findings).await
}
