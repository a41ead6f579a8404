//! Projects, networks, what was seen of the cluster and what is promised of it, rest of numbers, turns,
//! answers that are remembered: what requests and rounds rely on.

use super::{RANGE, new_server, on_all, person};
use anyhow::ensure;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;
use tpm_domain::{
    ClusterPicture, Expiry, ExpiryStage, ForeignAddress, NetworkSpec, NodeName, NodeView, OnExpiry,
    Placement, PlacementReason, PlacementWish, ProjectId, Quota, ServerId, ServerName, ServerState,
    StorageView, TaskKind, TaskState, TaskToken, TemplateView, Timestamp, Usage, Vmid,
};
use tpm_store::{
    NewServer, NewTask, NodeLimit, Remembered, Store, StoreError, TaskQuery, VmidRange,
};

fn name(text: &str) -> ServerName {
    ServerName::new(text).expect("a name")
}

fn refused<T: std::fmt::Debug>(done: &Result<T, StoreError>) -> bool {
    matches!(done, Err(StoreError::Constraint(_)))
}

fn on_node(node: &str) -> Placement {
    Placement {
        node: NodeName(node.into()),
        template: Vmid(900),
        template_node: NodeName("pve1".into()),
        storage: "local".into(),
        wish: PlacementWish::default(),
        reason: PlacementReason {
            candidates: 1,
            pinned: false,
            same_role: 0,
            free_memory_mb: 1,
            free_cpu: 1,
            free_disk_gb: 1,
            instead_of: None,
        },
    }
}

fn placed(text: &str, vmid: u32, node: &str) -> NewServer {
    NewServer {
        placement: Some(on_node(node)),
        ..new_server(text, vmid)
    }
}

fn picture(nodes: &[&str]) -> ClusterPicture {
    ClusterPicture {
        nodes: nodes
            .iter()
            .map(|node| NodeView {
                name: NodeName((*node).into()),
                online: true,
                cpus: 8,
                memory_mb: 8192,
                foreign_cpu: 1,
                foreign_memory_mb: 512,
            })
            .collect(),
        storages: nodes
            .iter()
            .map(|node| StorageView {
                node: NodeName((*node).into()),
                name: "local".into(),
                shared: false,
                usable: true,
                total_gb: 500,
                used_gb: 20,
            })
            .collect(),
        templates: vec![TemplateView {
            vmid: Vmid(900),
            node: NodeName("pve1".into()),
            storage: "local".into(),
        }],
        seen_at: None,
    }
}

fn limit(node: &str, cpu: u64, memory_mb: u64) -> NodeLimit {
    NodeLimit {
        node: NodeName(node.into()),
        cpu,
        memory_mb,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_has_no_more_than_its_quota() -> anyhow::Result<()> {
    on_all(|store| async move {
        let quota = Quota {
            servers: Some(2),
            cpu: Some(5),
            memory_mb: None,
            disk_gb: Some(100),
        };
        let tx = store.begin().await?;
        let id = tx.insert_project(&name("team"), "ours", &quota).await?;
        tx.commit().await?;
        let tx = store.begin().await?;
        ensure!(refused(&tx.insert_project(&name("team"), "", &quota).await));
        drop(tx);
        let server = |text, vmid| NewServer {
            project: id,
            ..new_server(text, vmid)
        };
        let tx = store.begin().await?;
        let one = tx.insert_server(&server("one", 1000)).await?;
        tx.insert_server(&server("two", 1001)).await?;
        tx.commit().await?;
        let tx = store.begin().await?;
        ensure!(refused(&tx.insert_server(&server("three", 1002)).await));
        drop(tx);
        let mut project = store.reads().project(id).await?.expect("a project");
        let used = Usage {
            servers: 2,
            cpu: 4,
            memory_mb: 4096,
            disk_gb: 40,
        };
        ensure!(project.usage == used, "{:?}", project.usage);
        ensure!(project.description == "ours" && project.quota == quota);

        // One that grows is counted as it will be; what it had is given back with it.
        let mut grown = store.reads().server(one).await?.expect("a server");
        grown.spec.cpu = 4;
        let tx = store.begin().await?;
        ensure!(refused(&tx.save_server(&grown).await), "cpu beyond quota");
        drop(tx);
        grown.spec.cpu = 3;
        let tx = store.begin().await?;
        tx.save_server(&grown).await?;
        tx.commit().await?;
        // Nor may a quota be set below what there is.
        project.quota.cpu = Some(4);
        let tx = store.begin().await?;
        ensure!(refused(&tx.save_project(&project).await));
        drop(tx);
        let tx = store.begin().await?;
        tx.release(one).await?;
        tx.save_project(&project).await?;
        tx.insert_server(&server("three", 1002)).await?;
        tx.commit().await?;
        let all = store.reads().projects().await?;
        let names: Vec<_> = all.iter().map(|it| it.name.as_str()).collect();
        ensure!(names == ["default", "team"]);
        ensure!(all[1].usage.cpu == 4 && all[0].usage == Usage::default());
        let found = store.reads().project_named(&name("default")).await?;
        ensure!(found.is_some_and(|it| it.id == ProjectId(1)));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_promised_no_more_than_its_limit() -> anyhow::Result<()> {
    on_all(|store| async move {
        let seen = picture(&["pve1", "pve2"]);
        let limits = [limit("pve1", 4, 4096), limit("pve2", 4, 4096)];
        ensure!(store.reads().picture().await?.seen_at.is_none());
        let tx = store.begin().await?;
        tx.save_picture(&seen, &limits).await?;
        tx.commit().await?;
        let known = store.reads().picture().await?;
        ensure!(known.seen_at.is_some());
        ensure!(known.nodes == seen.nodes && known.storages == seen.storages);
        ensure!(known.templates == seen.templates);

        let tx = store.begin().await?;
        let one = tx.insert_server(&placed("one", 1000, "pve1")).await?;
        tx.insert_server(&placed("two", 1001, "pve1")).await?;
        tx.insert_server(&placed("three", 1002, "pve2")).await?;
        tx.commit().await?;
        let tx = store.begin().await?;
        ensure!(refused(
            &tx.insert_server(&placed("four", 1003, "pve1")).await
        ));
        drop(tx);
        let promised = store.reads().promised(&known).await?;
        let (first, second) = (NodeName("pve1".into()), NodeName("pve2".into()));
        ensure!(promised.nodes[&first] == (4, 4096), "{promised:?}");
        ensure!(promised.nodes[&second] == (2, 2048), "{promised:?}");
        ensure!(promised.roles[&(first.clone(), "web".into())] == 2);
        ensure!(promised.storages[&(first.clone(), "local".into())] == 40);

        // A guest that somebody moved is followed, whatever the bound; one that grows is not.
        let mut moved = store.reads().server(one).await?.expect("a server");
        moved.node = Some(second.clone());
        let mut third = store
            .reads()
            .servers_with_guests()
            .await?
            .pop()
            .expect("the third");
        third.spec.cpu = 3;
        let tx = store.begin().await?;
        tx.save_server(&moved).await?;
        ensure!(
            refused(&tx.save_server(&third).await),
            "grown beyond the node"
        );
        drop(tx);
        // A bound that is set below what is promised leaves it, and takes nothing more.
        let tx = store.begin().await?;
        tx.save_picture(&seen, &[limit("pve1", 1, 1)]).await?;
        ensure!(refused(
            &tx.insert_server(&placed("four", 1003, "pve1")).await
        ));
        drop(tx);
        let tx = store.begin().await?;
        tx.release(one).await?;
        tx.insert_server(&placed("four", 1003, "pve1")).await?;
        // A node that nobody has seen has no bound.
        tx.insert_server(&placed("five", 1004, "pve9")).await?;
        tx.commit().await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_rest_before_they_are_given_again() -> anyhow::Result<()> {
    on_all(|store| async move {
        let small = VmidRange {
            last: Vmid(1003),
            ..RANGE
        };
        let tx = store.begin().await?;
        ensure!(tx.burn_vmid(Vmid(1001)).await?);
        ensure!(!tx.burn_vmid(Vmid(1001)).await?, "burnt twice");
        ensure!(tx.allocate_vmids(small, 9).await? == [Vmid(1000), Vmid(1002), Vmid(1003)]);
        let mut ids = Vec::new();
        for vmid in [1000, 1002, 1003] {
            let text = format!("s{vmid}");
            let id = tx.insert_server(&new_server(&text, vmid)).await?;
            tx.hold(id, &name(&text), &[], Vmid(vmid)).await?;
            ids.push(id);
        }
        tx.release(ids[1]).await?;
        ensure!(tx.is_quarantined(Vmid(1002)).await?);
        ensure!(!tx.is_quarantined(Vmid(1000)).await?);
        tx.commit().await?;
        let tx = store.begin().await?;
        ensure!(
            tx.allocate_vmids(small, 1).await?.is_empty(),
            "given while it rests"
        );
        ensure!(tx.replace_vmid(ids[0], small).await?.is_none());
        drop(tx);
        let rested = VmidRange {
            quarantine: Duration::ZERO,
            ..small
        };
        let tx = store.begin().await?;
        ensure!(tx.replace_vmid(ids[0], rested).await? == Some(Vmid(1002)));
        ensure!(tx.is_quarantined(Vmid(1000)).await?);
        tx.commit().await?;
        let server = store.reads().server(ids[0]).await?.expect("a server");
        ensure!(server.vmid == Vmid(1002));
        let listed = store.reads().servers_with_guests().await?;
        let vmids: Vec<_> = listed.iter().map(|server| server.vmid.0).collect();
        ensure!(vmids == [1002, 1003], "{vmids:?}");
        Ok(())
    })
    .await
}

/// What is left of a range goes by the same rules as what is given of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_what_can_be_given() -> anyhow::Result<()> {
    on_all(|store| async move {
        let small = VmidRange {
            last: Vmid(1009),
            ..RANGE
        };
        let rested = VmidRange {
            quarantine: Duration::ZERO,
            ..small
        };
        let left = async |range| -> anyhow::Result<u64> {
            Ok(store.reads().supplies(range).await?.vmids_free)
        };
        ensure!(left(small).await? == 10);
        ensure!(store.reads().supplies(small).await?.picture_age.is_none());
        let tx = store.begin().await?;
        // Burnt, held, resting, and outside of the range.
        tx.burn_vmid(Vmid(1001)).await?;
        tx.burn_vmid(Vmid(2000)).await?;
        let mut ids = Vec::new();
        for vmid in [1000, 1002, 1003, 3000] {
            let text = format!("s{vmid}");
            let id = tx.insert_server(&new_server(&text, vmid)).await?;
            tx.hold(id, &name(&text), &[], Vmid(vmid)).await?;
            ids.push(id);
        }
        tx.release(ids[2]).await?;
        tx.save_picture(&picture(&["pve1"]), &[limit("pve1", 64, 65_536)])
            .await?;
        ensure!(tx.supplies(small).await?.vmids_free == 6);
        tx.commit().await?;
        ensure!(left(small).await? == 6);
        // What was held and burnt both is counted once.
        let tx = store.begin().await?;
        tx.burn_vmid(Vmid(1002)).await?;
        tx.commit().await?;
        ensure!(left(small).await? == 6);
        let given = store.begin().await?.allocate_vmids(small, 99).await?;
        ensure!(given.len() == 6, "{given:?}");
        let given = store.begin().await?.allocate_vmids(rested, 99).await?;
        ensure!(left(rested).await? == given.len() as u64, "{given:?}");
        let age = store.reads().supplies(small).await?.picture_age;
        ensure!(
            age.is_some_and(|age| age < Duration::from_secs(60)),
            "{age:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_and_who_has_which_address() -> anyhow::Result<()> {
    on_all(|store| async move {
        let spec = NetworkSpec {
            range: "10.0.0.10-10.0.0.20".parse()?,
            prefix: 24,
            gateway: Some(Ipv4Addr::new(10, 0, 0, 1)),
            dns: vec![Ipv4Addr::new(10, 0, 0, 2)],
            bridge: "vmbr1".into(),
            vlan: Some(7),
            exclusions: vec!["10.0.0.15-10.0.0.16".parse()?],
        };
        let tx = store.begin().await?;
        let id = tx.insert_network(&name("inner"), &spec).await?;
        let other = tx.insert_network(&name("dmz"), &spec).await?;
        tx.commit().await?;
        let mut network = store.reads().network(id).await?.expect("a network");
        ensure!(network.spec == spec && network.name == name("inner"));
        network.name = name("dmz");
        let tx = store.begin().await?;
        ensure!(refused(&tx.save_network(&network).await), "a name twice");
        drop(tx);
        network.name = name("outer");
        network.spec.vlan = None;
        let tx = store.begin().await?;
        tx.save_network(&network).await?;
        tx.delete_network(other).await?;
        tx.commit().await?;
        let all = store.reads().networks().await?;
        ensure!(all.len() == 1 && all[0].spec.vlan.is_none() && all[0].name == name("outer"));

        let found = [ForeignAddress {
            ip: Ipv4Addr::new(10, 0, 0, 12),
            vmid: Vmid(500),
            name: "theirs".into(),
        }];
        let tx = store.begin().await?;
        let one = tx.insert_server(&new_server("one", 1000)).await?;
        let held = [Ipv4Addr::new(10, 0, 0, 11), Ipv4Addr::new(10, 0, 0, 9)];
        tx.hold(one, &name("one"), &held, Vmid(1000)).await?;
        tx.save_foreign_addresses(Vmid(500), &found).await?;
        tx.commit().await?;
        let tx = store.begin().await?;
        let taken = tx.addresses_taken().await?;
        drop(tx);
        ensure!(taken == BTreeSet::from([held[0], held[1], found[0].ip]));
        let holders = store.reads().address_holders().await?;
        ensure!(holders == [(held[1], one, name("one")), (held[0], one, name("one"))]);
        ensure!(store.reads().foreign_addresses().await? == found);
        ensure!(
            store
                .reads()
                .foreign_read_at()
                .await?
                .contains_key(&Vmid(500))
        );

        let tx = store.begin().await?;
        let first = tx.sight(Vmid(500), "a").await?;
        ensure!(tx.sight(Vmid(500), "a").await? == first);
        tx.forget_guests_except(&BTreeSet::from([Vmid(501)]))
            .await?;
        tx.commit().await?;
        ensure!(store.reads().foreign_addresses().await?.is_empty());
        ensure!(store.reads().foreign_read_at().await?.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sighting_begins_anew_with_another_mark() -> anyhow::Result<()> {
    on_all(|store| async move {
        let sight = async |mark: &str| {
            let tx = store.begin().await?;
            let first = tx.sight(Vmid(1000), mark).await?;
            let now = tx.now();
            tx.commit().await?;
            anyhow::Ok((first, now))
        };
        let (first, _) = sight("a").await?;
        loop {
            let (again, now) = sight("a").await?;
            ensure!(again == first);
            if now > first {
                break;
            }
        }
        let (other, now) = sight("b").await?;
        ensure!(other == now && other > first);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_remembered_once() -> anyhow::Result<()> {
    on_all(|store| async move {
        let by = person(&*store).await?;
        let done = Remembered {
            request_hash: "hash".into(),
            outcome: "{}".into(),
        };
        let tx = store.begin().await?;
        ensure!(tx.remembered(by, "key").await?.is_none());
        tx.remember(by, "key", &done).await?;
        tx.commit().await?;
        let tx = store.begin().await?;
        ensure!(tx.remembered(by, "key").await? == Some(done.clone()));
        ensure!(tx.remembered(by, "other").await?.is_none());
        ensure!(refused(&tx.remember(by, "key", &done).await));
        drop(tx);
        let tx = store.begin().await?;
        ensure!(tx.forget_remembered(Timestamp(0)).await? == 0);
        ensure!(tx.forget_remembered(Timestamp(i64::MAX)).await? == 1);
        tx.commit().await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_one_callers() -> anyhow::Result<()> {
    on_all(|store| async move {
        let hour = Duration::from_secs(3600);
        let mut asked = Vec::new();
        for _ in 0..8 {
            let store = store.clone();
            asked.push(tokio::spawn(async move {
                store.queue().take_turn("look", hour).await
            }));
        }
        let mut taken = 0;
        for asked in asked {
            taken += usize::from(asked.await??);
        }
        ensure!(taken == 1, "{taken} took one turn");
        ensure!(store.queue().take_turn("sweep", Duration::ZERO).await?);
        ensure!(
            store.queue().take_turn("sweep", hour).await?,
            "not due again"
        );
        ensure!(!store.queue().take_turn("sweep", hour).await?);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_whose_time_ends_are_found_until_it_is_done() -> anyhow::Result<()> {
    on_all(|store| async move {
        let ends = |text: &str, vmid, at, action, stage| NewServer {
            expiry: Expiry {
                at: Some(Timestamp(at)),
                action,
                stage,
            },
            ..new_server(text, vmid)
        };
        use ExpiryStage::{Deleted, Stopped, Waiting};
        let tx = store.begin().await?;
        for server in [
            ends("late", 1000, 900, OnExpiry::Stop, Waiting),
            ends("stopped", 1001, 100, OnExpiry::Stop, Stopped),
            ends("second", 1002, 300, OnExpiry::Delete, Stopped),
            ends("first", 1003, 200, OnExpiry::Stop, Waiting),
            ends("deleted", 1004, 100, OnExpiry::Delete, Deleted),
            new_server("forever", 1005),
        ] {
            tx.insert_server(&server).await?;
        }
        tx.commit().await?;
        let found = store.reads().expiring(Timestamp(900)).await?;
        let names: Vec<_> = found.iter().map(|server| server.name.as_str()).collect();
        ensure!(names == ["first", "second"], "{names:?}");
        Ok(())
    })
    .await
}

async fn a_task(
    store: &dyn Store,
    kind: TaskKind,
    server: ServerId,
    token: &str,
) -> anyhow::Result<()> {
    let by = person(store).await?;
    let tx = store.begin().await?;
    let on = (server, "one".to_owned());
    tx.insert_task(&NewTask::on(kind, TaskToken(token.into()), on, by))
        .await?;
    tx.commit().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_server_is_one_without_a_task() -> anyhow::Result<()> {
    on_all(|store| async move {
        let tx = store.begin().await?;
        let one = tx.insert_server(&new_server("one", 1000)).await?;
        ensure!(tx.idle_server(one).await?.is_some_and(|it| it.id == one));
        ensure!(tx.idle_server(ServerId(one.0 + 99)).await?.is_none());
        tx.commit().await?;
        a_task(&*store, TaskKind::StartServer, one, "task_a").await?;
        let tx = store.begin().await?;
        ensure!(tx.idle_server(one).await?.is_none(), "a task is at work");
        drop(tx);
        let tx = store.begin().await?;
        tx.delete_server(one).await?;
        tx.commit().await?;
        ensure!(store.reads().server(one).await?.is_none());
        let ever = store.reads().server_ever(one).await?;
        ensure!(ever.is_some_and(|it| it.state == ServerState::Creating));
        let by = store.reads().requester(&TaskToken("task_a".into())).await?;
        ensure!(by.is_some());
        let query = TaskQuery {
            server: Some(one),
            state: Some(TaskState::Pending),
            ..TaskQuery::default()
        };
        ensure!(store.reads().tasks(&query).await?.total == 1);
        Ok(())
    })
    .await
}
