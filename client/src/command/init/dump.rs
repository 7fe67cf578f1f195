//! What there is, as a preseed.

use anyhow::Result;
use rlxc_api::{
    InitNetworksProjectPost, InitPreseed, InitProfileProjectPost, Network, NetworksPost, Profile,
    ProfilesPost, Project, ProjectsPost, Server, StoragePool, StoragePoolsPost,
};

use crate::context::Context;

pub(super) async fn dump(context: &Context) -> Result<InitPreseed> {
    let server: Server = context.client.get("/1.0").await?;
    let networks: Vec<Network> = context.client.get("/1.0/networks?recursion=1").await?;
    let pools: Vec<StoragePool> = context.client.get("/1.0/storage-pools?recursion=1").await?;
    let profiles: Vec<Profile> = context.client.get("/1.0/profiles?recursion=1").await?;
    let projects: Vec<Project> = context.client.get("/1.0/projects?recursion=1").await?;
    Ok(InitPreseed {
        config: server.put.config,
        networks: networks
            .into_iter()
            .filter(|network| network.managed)
            .map(|network| InitNetworksProjectPost {
                network: NetworksPost {
                    put: network.put,
                    name: network.name,
                    kind: network.kind,
                },
                project: network.project,
            })
            .collect(),
        storage_pools: pools
            .into_iter()
            .map(|pool| StoragePoolsPost {
                put: pool.put,
                name: pool.name,
                driver: pool.driver,
            })
            .collect(),
        profiles: profiles
            .into_iter()
            .map(|profile| InitProfileProjectPost {
                profile: ProfilesPost {
                    put: profile.put,
                    name: profile.name,
                },
                project: profile.project,
            })
            .collect(),
        projects: projects
            .into_iter()
            .map(|project| ProjectsPost {
                put: project.put,
                name: project.name,
            })
            .collect(),
        ..InitPreseed::default()
    })
}
