//! Makes what a preseed says.

use anyhow::{Context as _, Result};
use rlxc_api::{
    InitNetworksProjectPost, InitPreseed, InitProfileProjectPost, InitStorageVolumesProjectPost,
};
use rlxc_client::url;
use serde::Serialize;
use serde_json::{Value, json};

use crate::command::object;
use crate::context::Context;

pub(super) async fn apply(context: &Context, preseed: &InitPreseed) -> Result<()> {
    if !preseed.config.is_empty() {
        let body = json!({ "config": preseed.config });
        let reply = context.client.patch("/1.0", &body).await;
        reply.context("set the server's configuration")?;
    }
    for project in &preseed.projects {
        let item = Item("projects", "", &project.name);
        item.ensure(context, project, &project.put).await?;
    }
    for pool in &preseed.storage_pools {
        let item = Item("storage-pools", "", &pool.name);
        item.ensure(context, pool, &pool.put).await?;
    }
    for InitNetworksProjectPost { network, project } in &preseed.networks {
        let item = Item("networks", project, &network.name);
        item.ensure(context, network, &network.put).await?;
    }
    for InitStorageVolumesProjectPost {
        volume,
        pool,
        project,
    } in &preseed.storage_volumes
    {
        let kind = if volume.kind.is_empty() {
            "custom"
        } else {
            &volume.kind
        };
        let collection = format!(
            "storage-pools/{}/volumes/{}",
            url::encode(pool),
            url::encode(kind)
        );
        let item = Item(&collection, project, &volume.name);
        item.ensure(context, volume, &volume.put).await?;
    }
    for InitProfileProjectPost { profile, project } in &preseed.profiles {
        let item = Item("profiles", project, &profile.name);
        item.ensure(context, profile, &profile.put).await?;
    }
    for certificate in &preseed.certificates {
        let reply = context.client.post("/1.0/certificates", certificate).await;
        reply.with_context(|| format!("trust `{}`", certificate.put.name))?;
    }
    Ok(())
}

/// Where an object of a preseed goes: collection, project and name.
struct Item<'a>(&'a str, &'a str, &'a str);

impl Item<'_> {
    fn scope(&self, path: String) -> String {
        if self.1.is_empty() {
            path
        } else {
            url::with_query(&path, "project", self.1)
        }
    }

    /// Creates the object, or changes it where it is there.
    async fn ensure(
        &self,
        context: &Context,
        post: &impl Serialize,
        put: &impl Serialize,
    ) -> Result<()> {
        let path = self.scope(object(self.0, self.2));
        let found = match context.client.get::<Value>(&path).await {
            Ok(found) => Some(found),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        if found.as_ref().is_some_and(|found| holds(found, put)) {
            return Ok(());
        }
        let exists = found.is_some();
        let reply = if exists {
            context.client.patch(&path, put).await
        } else {
            context
                .client
                .post(&self.scope(format!("/1.0/{}", self.0)), post)
                .await
        };
        let kind = if self.0.contains("/volumes") {
            "storage volume".to_owned()
        } else {
            self.0.trim_end_matches('s').replace('-', " ")
        };
        let what = format!("{kind} `{}`", self.2);
        let failed = || format!("{} the {what}", if exists { "change" } else { "create" });
        context
            .finish(reply.with_context(failed)?, &what)
            .await
            .with_context(failed)?;
        context.printer.note(&format!(
            "{} {what}",
            if exists { "Changed" } else { "Created" }
        ));
        Ok(())
    }
}

/// Whether an object has all these fields, and in its maps all these keys: then there is nothing to change.
fn holds(object: &Value, put: &impl Serialize) -> bool {
    fn within(have: &Value, want: &Value) -> bool {
        match (have, want) {
            (Value::Object(have), Value::Object(want)) => want
                .iter()
                .all(|(key, want)| have.get(key).is_some_and(|have| within(have, want))),
            (have, want) => have == want,
        }
    }
    serde_json::to_value(put).is_ok_and(|put| within(object, &put))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_already_is_no_change() {
        let object = json!({"name": "p", "config": {"a": "1", "b": "2"}, "description": ""});
        assert!(holds(
            &object,
            &json!({"config": {"a": "1"}, "description": ""})
        ));
        assert!(!holds(&object, &json!({"config": {"a": "2"}})));
        assert!(!holds(&object, &json!({"config": {"c": ""}})));
    }
}
