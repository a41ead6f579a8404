//! Placement, by tables.

use super::*;
use crate::StorageView;

const RULES: PlacementRules = PlacementRules {
    cpu_percent: 400,
    memory_percent: 100,
    storage_percent: 100,
    storage_reserve_percent: 10,
};

fn node(name: &str, memory_mb: u64) -> NodeView {
    NodeView {
        name: NodeName(name.into()),
        online: true,
        cpus: 8,
        memory_mb,
        foreign_cpu: 0,
        foreign_memory_mb: 0,
    }
}

fn storage(node: &str, name: &str, shared: bool, total_gb: u64) -> StorageView {
    StorageView {
        node: NodeName(node.into()),
        name: name.into(),
        shared,
        usable: true,
        total_gb,
        used_gb: 0,
    }
}

fn template(vmid: u32, node: &str, storage: &str) -> TemplateView {
    TemplateView {
        vmid: Vmid(vmid),
        node: NodeName(node.into()),
        storage: storage.into(),
    }
}

/// Three nodes with a shared and a local storage each; 9000 lies on the shared one, 9001 on b's own.
fn cluster() -> ClusterPicture {
    let names = ["a", "b", "c"];
    ClusterPicture {
        nodes: names.iter().map(|name| node(name, 16_384)).collect(),
        storages: names
            .iter()
            .flat_map(|name| {
                [
                    storage(name, "ceph", true, 1000),
                    storage(name, "lvm", false, 100),
                ]
            })
            .collect(),
        templates: vec![template(9000, "a", "ceph"), template(9001, "b", "lvm")],
        seen_at: None,
    }
}

fn ask<'a>(templates: &'a [Vmid], wish: &'a PlacementWish) -> PlacementAsk<'a> {
    PlacementAsk {
        role: "web",
        cpu: 2,
        memory_mb: 4096,
        disk_gb: 20,
        templates,
        full_clone: false,
        storage: None,
        wish,
    }
}

fn name(placement: &Placement) -> &str {
    &placement.node.0
}

#[test]
fn servers_of_a_role_spread_and_fill_evenly() {
    let (picture, mut promised) = (cluster(), Promised::default());
    let wish = PlacementWish::default();
    let mut nodes = Vec::new();
    for _ in 0..6 {
        let placed = place(&picture, &RULES, &mut promised, &ask(&[Vmid(9000)], &wish));
        nodes.push(name(&placed.expect("room")).to_owned());
    }
    assert_eq!(nodes, ["a", "b", "c", "a", "b", "c"]);
}

#[test]
fn memory_that_is_promised_counts_and_the_last_place_is_the_last() {
    let (picture, mut promised) = (cluster(), Promised::default());
    let wish = PlacementWish::default();
    for _ in 0..12 {
        place(&picture, &RULES, &mut promised, &ask(&[Vmid(9000)], &wish)).expect("room");
    }
    let full = place(&picture, &RULES, &mut promised, &ask(&[Vmid(9000)], &wish));
    let why = full.expect_err("full");
    assert_eq!(why.len(), 3);
    assert!(
        why.iter()
            .all(|(_, unfit)| *unfit == Unfit::Memory { missing_mb: 4096 })
    );
}

#[test]
fn foreign_guests_count() {
    let mut picture = cluster();
    picture.nodes[0].foreign_memory_mb = 14_000;
    picture.nodes[1].foreign_cpu = 31;
    let placed = place(
        &picture,
        &RULES,
        &mut Promised::default(),
        &ask(&[Vmid(9000)], &PlacementWish::default()),
    );
    let placed = placed.expect("room");
    assert_eq!(name(&placed), "c");
    assert_eq!(placed.reason.candidates, 1);
}

#[test]
fn a_template_on_local_storage_stays_on_its_node() {
    let wish = PlacementWish::default();
    let mut promised = Promised::default();
    let picture = cluster();
    for _ in 0..4 {
        let placed = place(&picture, &RULES, &mut promised, &ask(&[Vmid(9001)], &wish));
        let placed = placed.expect("room");
        assert_eq!((name(&placed), placed.storage.as_str()), ("b", "lvm"));
    }
    let why = place(&picture, &RULES, &mut promised, &ask(&[Vmid(9001)], &wish))
        .expect_err("the storage or the memory is used up");
    assert!(why.contains(&(NodeName("a".into()), Unfit::NoTemplate)));
}

#[test]
fn a_template_of_the_node_itself_comes_first() {
    let wish = PlacementWish {
        node: Some(NodeName("b".into())),
        ..PlacementWish::default()
    };
    let templates = [Vmid(9000), Vmid(9001)];
    let placed = place(
        &cluster(),
        &RULES,
        &mut Promised::default(),
        &ask(&templates, &wish),
    );
    let placed = placed.expect("room");
    assert_eq!(placed.template, Vmid(9001));
    assert!(placed.reason.pinned);
}

#[test]
fn pins_exclusions_and_health_are_kept() {
    let mut picture = cluster();
    picture.nodes[1].online = false;
    let check = |wish: PlacementWish, expected: Option<&str>| {
        let placed = place(
            &picture,
            &RULES,
            &mut Promised::default(),
            &ask(&[Vmid(9000)], &wish),
        );
        assert_eq!(placed.as_ref().ok().map(name), expected, "{wish:?}");
    };
    let pin = |node: &str| PlacementWish {
        node: Some(NodeName(node.into())),
        ..PlacementWish::default()
    };
    check(pin("c"), Some("c"));
    check(pin("b"), None);
    let exclude = PlacementWish {
        exclude: [NodeName("a".into())].into(),
        ..PlacementWish::default()
    };
    check(exclude, Some("c"));
    let elsewhere = PlacementWish {
        storage: Some("lvm".into()),
        ..PlacementWish::default()
    };
    check(elsewhere, None);
}

#[test]
fn a_required_spread_refuses_a_second_one() {
    let wish = PlacementWish {
        spread: Spread::Required,
        ..PlacementWish::default()
    };
    let (picture, mut promised) = (cluster(), Promised::default());
    for _ in 0..3 {
        place(&picture, &RULES, &mut promised, &ask(&[Vmid(9000)], &wish)).expect("room");
    }
    let why = place(&picture, &RULES, &mut promised, &ask(&[Vmid(9000)], &wish));
    assert!(
        why.expect_err("each node has one")
            .iter()
            .all(|(_, why)| *why == Unfit::SameRole)
    );
}

#[test]
fn a_template_whose_node_is_away_cannot_be_cloned() {
    let mut picture = cluster();
    picture.nodes[0].online = false;
    let why = place(
        &picture,
        &RULES,
        &mut Promised::default(),
        &ask(&[Vmid(9000)], &PlacementWish::default()),
    );
    assert!(why.is_err());
}

#[test]
fn a_shared_storage_is_one_storage() {
    let mut picture = cluster();
    for storage in &mut picture.storages {
        storage.total_gb = 50;
    }
    let (wish, mut promised) = (PlacementWish::default(), Promised::default());
    for _ in 0..2 {
        place(&picture, &RULES, &mut promised, &ask(&[Vmid(9000)], &wish)).expect("room");
    }
    let why = place(&picture, &RULES, &mut promised, &ask(&[Vmid(9000)], &wish));
    assert!(
        why.expect_err("45 GiB were there")
            .iter()
            .all(|(_, why)| *why == Unfit::Storage { missing_gb: 15 })
    );
}
