//! What single calls send, and how they read answers the recordings do not have.

use std::net::IpAddr;

use tpm_pve_client::{
    BackupMode, BackupRequest, CloneRequest, ErrorClass, Fingerprint, RestoreRequest, VolumeUpdate,
};

use crate::{
    client,
    server::{Answer, Seen, Server, bare, data, json, refused},
};

const UPID: &str = r#""UPID:pve:00005F56:00041310:6B03D892:qmclone:9000:tester@pve!lab:""#;

fn line(seen: &Seen) -> String {
    let path = seen.target.strip_prefix("/api2/json").unwrap();
    format!("{} {path} {}", seen.method, seen.body)
}

#[tokio::test]
async fn calls_send_what_pve_expects() {
    let server = Server::start(|_| data(UPID)).await;
    let client = client(&[&server]);
    let clone = CloneRequest {
        name: Some("web1".to_owned()),
        full: Some(true),
        pool: Some("prod".to_owned()),
        ..CloneRequest::new(105)
    };
    client.clone_guest("pve", 9000, &clone).await.unwrap();
    client
        .resize("pve", 105, "scsi0", 11 << 30, Some("abc"))
        .await
        .unwrap();
    client
        .resize("pve", 105, "scsi0", 10752 << 20, None)
        .await
        .unwrap();
    client.shutdown("pve", 105, Some(30), true).await.unwrap();
    client.reboot("pve", 105, None).await.unwrap();
    let backup = BackupRequest {
        vmid: 105,
        mode: BackupMode::Stop,
        ..BackupRequest::default()
    };
    assert!(client.vzdump("pve", &backup).await.unwrap().is_some());
    let archive = "local:backup/vzdump-qemu-100-2026_11_23-06_19_25.vma.zst".to_owned();
    let restore = RestoreRequest {
        vmid: 106,
        archive: archive.clone(),
        unique: true,
        ..RestoreRequest::default()
    };
    client.restore("pve", &restore).await.unwrap();
    client.delete_volume("pve", &archive).await.unwrap();
    let update = VolumeUpdate {
        protected: Some(true),
        notes: None,
    };
    client
        .update_volume("pve", "local:backup/a", &update)
        .await
        .unwrap();
    let upid = UPID.trim_matches('"').parse().unwrap();
    client.stop_task(&upid).await.unwrap();
    let sent: Vec<_> = server.seen().iter().map(line).collect();
    assert_eq!(
        sent,
        [
            "POST /nodes/pve/qemu/9000/clone newid=105&name=web1&full=1&pool=prod",
            "PUT /nodes/pve/qemu/105/resize disk=scsi0&size=11G&digest=abc",
            "PUT /nodes/pve/qemu/105/resize disk=scsi0&size=10752M",
            "POST /nodes/pve/qemu/105/status/shutdown timeout=30&forceStop=1",
            "POST /nodes/pve/qemu/105/status/reboot ",
            "POST /nodes/pve/vzdump vmid=105&mode=stop",
            "POST /nodes/pve/qemu vmid=106&archive=local%3Abackup%2Fvzdump-qemu-100-2026_11_23-06_19_25.vma.zst&unique=1",
            "DELETE /nodes/pve/storage/local/content/local%3Abackup%2Fvzdump-qemu-100-2026_11_23-06_19_25.vma.zst ",
            "PUT /nodes/pve/storage/local/content/local%3Abackup%2Fa protected=1",
            "DELETE /nodes/pve/tasks/UPID%3Apve%3A00005F56%3A00041310%3A6B03D892%3Aqmclone%3A9000%3Atester%40pve%21lab%3A ",
        ]
    );
}

#[tokio::test]
async fn interfaces_of_a_guest() {
    let server = Server::start(|_| {
        data(
            r#"{"result":[
            {"name":"lo","hardware-address":"00:00:00:00:00:00","ip-addresses":
              [{"ip-address-type":"ipv4","ip-address":"127.0.0.1","prefix":8}]},
            {"name":"eth0","hardware-address":"bc:24:11:aa:bb:cc","ip-addresses":
              [{"ip-address":"10.0.0.5","prefix":"24"},{"ip-address":"fe80::1%eth0","prefix":64},
               {"ip-address":"nonsense","prefix":1},{"ip-address":"::2"}],"statistics":{"rx-bytes":1}},
            {"name":"tun0"}]}"#,
        )
    })
    .await;
    let interfaces = client(&[&server])
        .agent_interfaces("pve", 100)
        .await
        .unwrap();
    let [lo, eth0, tun0] = &interfaces[..] else {
        panic!("{interfaces:?}")
    };
    assert_eq!(lo.addresses.len(), 1);
    assert_eq!(eth0.mac.unwrap().to_string(), "BC:24:11:AA:BB:CC");
    let found: Vec<_> = eth0
        .addresses
        .iter()
        .map(|address| (address.ip, address.prefix))
        .collect();
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(
        found,
        [
            (ip("10.0.0.5"), Some(24)),
            (ip("fe80::1"), Some(64)),
            (ip("::2"), None)
        ]
    );
    assert_eq!((tun0.mac, tun0.addresses.len()), (None, 0));
}

#[tokio::test]
async fn an_agent_that_does_not_answer() {
    for (text, class) in [
        ("QEMU guest agent is not running", ErrorClass::Busy),
        ("VM 100 is not running", ErrorClass::Rejected),
        ("No QEMU guest agent configured", ErrorClass::Rejected),
    ] {
        let server = Server::start(move |_| refused(500, text)).await;
        let client = client(&[&server]);
        assert_eq!(
            client.agent_ping("pve", 100).await.unwrap_err().class(),
            class
        );
        assert_eq!(
            client
                .agent_interfaces("pve", 100)
                .await
                .unwrap_err()
                .class(),
            class
        );
    }
    for body in [
        r#"{"result":{"error":{"class":"x","desc":"not allowed"}}}"#,
        r#"{"result":7}"#,
        "null",
    ] {
        let server = Server::start(move |_| data(body)).await;
        client(&[&server])
            .agent_interfaces("pve", 100)
            .await
            .unwrap_err();
    }
}

#[tokio::test]
async fn an_older_pve_has_its_text_in_the_status_line_only() {
    let server = Server::start(|_| {
        Answer::Close(json(
            "500 unable to create VM 101: config file already exists",
            r#"{"data":null}"#,
        ))
    })
    .await;
    let error = client(&[&server])
        .clone_guest("pve", 9000, &CloneRequest::new(101))
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Exists);
    assert_eq!(
        error.text(),
        "unable to create VM 101: config file already exists"
    );
}

#[tokio::test]
async fn an_error_without_any_text_still_says_something() {
    for (status, text) in [
        (595, ""),
        (596, ""),
        (500, "Internal Server Error"),
        (401, ""),
        (777, ""),
    ] {
        let server = Server::start(move |_| bare(status, text)).await;
        let error = client(&[&server]).version().await.unwrap_err();
        assert_eq!(error.status(), Some(status));
        assert!(!error.text().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn a_taken_vmid_is_an_answer_and_not_an_error() {
    let server = Server::start(|_| {
        let body = r#"{"data":null,"message":"Parameter verification failed.\n",
            "errors":{"vmid":"VM 9000 already exists"}}"#;
        Answer::Close(json("400 Parameter verification failed.", body))
    })
    .await;
    assert!(!client(&[&server]).nextid_check(9000).await.unwrap());
    let server = Server::start(|_| data(r#""105""#)).await;
    assert!(client(&[&server]).nextid_check(105).await.unwrap());
    let server = Server::start(|_| refused(400, "Parameter verification failed.")).await;
    client(&[&server]).nextid_check(1).await.unwrap_err();
}

#[tokio::test]
async fn nothing_to_back_up_is_no_task() {
    let server = Server::start(|_| data(r#""OK""#)).await;
    let backup = BackupRequest {
        vmid: 105,
        ..BackupRequest::default()
    };
    assert!(
        client(&[&server])
            .vzdump("pve", &backup)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn numbers_come_in_any_dress_and_what_is_missing_stays_so() {
    let pin = Fingerprint::of(b"x");
    let server = Server::start(move |seen| {
        data(&if seen.target.ends_with("/nodes") {
            format!(r#"[{{"node":"pve","maxcpu":"16","mem":12.0,"cpu":"nan","ssl_fingerprint":"{pin}","new":[]}}]"#)
        } else if seen.target.ends_with("/qemu") {
            r#"[{"vmid":"100","template":"1","mem":"x"},{"vmid":101,"template":true,"tags":"a;b","name":7}]"#.to_owned()
        } else {
            r#"{"memory":512,"cores":"2","onboot":true,"protection":0,"unused0":"a:b","net00":"x","tags":"b;a"}"#.to_owned()
        })
    })
    .await;
    let client = client(&[&server]);
    let node = &client.nodes().await.unwrap()[0];
    assert_eq!(
        (node.maxcpu, node.mem, node.cpu, node.maxmem),
        (Some(16.0), Some(12), None, None)
    );
    assert_eq!(node.ssl_fingerprint, Some(pin));
    let guests = client.guests("pve").await.unwrap();
    assert_eq!(
        (guests[0].vmid, guests[0].template, guests[0].mem),
        (100, Some(true), None)
    );
    assert_eq!(
        (guests[1].name.as_deref(), guests[1].tags.len()),
        (Some("7"), 2)
    );
    let config = client.guest_config("pve", 100, true).await.unwrap();
    assert_eq!(
        (config.memory_mb(), config.cores(), config.sockets()),
        (Some(512), Some(2), None)
    );
    assert!(config.onboot() && !config.protection() && !config.template());
    assert_eq!(config.unused_volumes().collect::<Vec<_>>(), ["a:b"]);
    assert_eq!((config.nets().unwrap().len(), config.tags().len()), (0, 2));
}

#[tokio::test]
async fn a_guest_without_an_id_is_no_guest() {
    let server = Server::start(|_| data(r#"[{"name":"x"}]"#)).await;
    client(&[&server]).guests("pve").await.unwrap_err();
}
