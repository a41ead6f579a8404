//! Values on the wire, read back the way PVE reads a form.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use tpm_pve_client::{
    ApiPath, Client, ConfigUpdate, DestroyOptions, ErrorClass, IpConfig, Method, Net, Params,
    SecretString,
};

use crate::{
    client,
    server::{Server, data},
};

/// PVE's way: pairs at `&` and `;`, a pair at *every* `=` with only two pieces kept, `+` for a blank.
fn read_form(form: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text)
            .decode_utf8()
            .unwrap()
            .into_owned()
    };
    form.split(['&', ';'])
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut pieces = pair.split('=');
            (
                decode(pieces.next().unwrap()),
                decode(pieces.next().unwrap_or_default()),
            )
        })
        .collect()
}

fn value(form: &str, key: &str) -> String {
    let pairs = read_form(form);
    let mut found = pairs.into_iter().filter(|(known, _)| known == key);
    let (_, value) = found.next().unwrap_or_else(|| panic!("no {key} in {form}"));
    assert!(found.next().is_none(), "{key} twice in {form}");
    value
}

async fn null_server() -> (Server, Client) {
    let server = Server::start(|_| data("null")).await;
    let client = client(&[&server]);
    (server, client)
}

#[tokio::test]
async fn hostile_values_arrive_whole() {
    let hostile = "a=b;c&d+e %2C\n\"ä\" <x> #?/\\'`$(id)\u{1F600}=;";
    let net: Net = "virtio=BC:24:11:AA:BB:CC,bridge=vmbr0,firewall=1"
        .parse()
        .unwrap();
    let ip = IpConfig::static_v4(
        Ipv4Addr::new(10, 0, 0, 5),
        24,
        Some(Ipv4Addr::new(10, 0, 0, 1)),
    );
    let keys = ["ssh-ed25519 AAAA+/== a b@c", "ssh-rsa AAAA= x"];
    let update = ConfigUpdate::new()
        .description(hostile)
        .net(0, &net)
        .ipconfig(0, &ip.unwrap())
        .cipassword(SecretString::from(hostile.to_owned()))
        .tags(["b", "a"])
        .unwrap()
        .sshkeys(keys)
        .unwrap()
        .nameserver(["1.1.1.1".parse().unwrap(), "::1".parse().unwrap()])
        .delete("net1")
        .unwrap()
        .digest("44b44a7007720892b2a9e004c177d9e3cc06ab3e");
    let (server, client) = null_server().await;
    client
        .update_config_sync("pve", 100, &update)
        .await
        .unwrap();
    let seen = &server.seen()[0];
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("PUT", "/api2/json/nodes/pve/qemu/100/config")
    );
    assert_eq!(
        seen.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(seen.header("transfer-encoding"), None);
    let form = &seen.body;
    assert_eq!(value(form, "description"), hostile);
    assert_eq!(value(form, "cipassword"), hostile);
    assert_eq!(
        value(form, "net0"),
        "virtio=BC:24:11:AA:BB:CC,bridge=vmbr0,firewall=1"
    );
    assert_eq!(value(form, "ipconfig0"), "ip=10.0.0.5/24,gw=10.0.0.1");
    assert_eq!(value(form, "tags"), "b;a");
    assert_eq!(value(form, "nameserver"), "1.1.1.1 ::1");
    assert_eq!(value(form, "delete"), "net1");
    assert_eq!(value(form, "digest").len(), 40);
    // encoded twice on the wire, once after PVE has read the form
    assert!(
        form.contains("sshkeys=ssh-ed25519%2520AAAA%252B%252F%253D%253D%2520a"),
        "{form}"
    );
    let once = value(form, "sshkeys");
    assert!(
        once.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-%_.!~*'()".contains(&b)),
        "{once}"
    );
    let keys_read = percent_encoding::percent_decode_str(&once)
        .decode_utf8()
        .unwrap()
        .into_owned();
    assert_eq!(keys_read, keys.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_text_arrives_whole(text in "\\PC{0,40}|[=;&+% \\n,]{1,12}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let form = runtime.block_on(async {
            let (server, client) = null_server().await;
            let update = ConfigUpdate::new().set("description", &text).cores(2);
            client.update_config("pve", 100, &update).await.unwrap();
            server.seen()[0].body.clone()
        });
        prop_assert_eq!(read_form(&form), vec![
            ("description".to_owned(), text),
            ("cores".to_owned(), "2".to_owned()),
        ]);
    }
}

#[tokio::test]
async fn reads_and_deletes_have_no_body_and_writes_always_a_length() {
    let upid = r#""UPID:pve:00005F56:00041310:6B03D892:qmdestroy:100:tester@pve!lab:""#;
    let server =
        Server::start(move |seen| data(if seen.method == "GET" { "[]" } else { upid })).await;
    let client = client(&[&server]);
    client
        .storage_content("pve", "local", Some("backup"), Some(100))
        .await
        .unwrap();
    client
        .destroy(
            "pve",
            100,
            DestroyOptions {
                purge: true,
                ..Default::default()
            },
        )
        .await
        .unwrap();
    client.start("pve", 100).await.unwrap();
    let seen = server.seen();
    assert_eq!(
        seen[0].target,
        "/api2/json/nodes/pve/storage/local/content?content=backup&vmid=100"
    );
    assert_eq!(
        seen[1].target,
        "/api2/json/nodes/pve/qemu/100?purge=1&destroy-unreferenced-disks=0"
    );
    assert_eq!(
        (
            seen[0].header("content-length"),
            seen[1].header("content-length")
        ),
        (None, None)
    );
    assert_eq!(seen[2].header("content-length"), Some("0"));
}

#[tokio::test]
async fn what_could_become_another_path_is_refused_here() {
    let (server, client) = null_server().await;
    for node in [
        "", ".", "..", "a/b", "a%2Fb", "-a", "a b", "pve\n", "pve?x=1", "ä",
    ] {
        let error = client.node_status(node).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Rejected, "{node:?}");
    }
    for segment in ["", ".", "..", "a/b", "a\\b", "a\0b"] {
        assert!(ApiPath::new(["nodes", segment]).is_err(), "{segment:?}");
    }
    for volid in [
        "",
        "local",
        "local:../x",
        "local:a//b",
        "local:a/./b",
        "local:a\nb",
        "../x:y",
    ] {
        assert!(client.volume("pve", volid).await.is_err(), "{volid:?}");
    }
    assert!(server.seen().is_empty());
    // a percent sign in a name stays one
    assert_eq!(
        ApiPath::new(["storage", "a%2Fb"]).unwrap().to_string(),
        "/storage/a%252Fb"
    );
}

#[tokio::test]
async fn what_pve_would_drop_without_a_word_is_refused_here() {
    let (server, client) = null_server().await;
    let path = ApiPath::new(["version"]).unwrap();
    let long = Params::new().with("x", "y".repeat(7 * 1024));
    assert_eq!(
        client
            .call(Method::Get, &path, &long)
            .await
            .unwrap_err()
            .class(),
        ErrorClass::Rejected
    );
    client.call(Method::Put, &path, &long).await.unwrap();
    let huge = Params::new().with("x", "y".repeat(512 * 1024));
    assert_eq!(
        client
            .call(Method::Put, &path, &huge)
            .await
            .unwrap_err()
            .class(),
        ErrorClass::Rejected
    );
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn an_option_is_set_or_deleted_never_both() {
    let deleted = ConfigUpdate::new()
        .cores(2)
        .delete("cores")
        .unwrap()
        .params();
    assert_eq!(
        (deleted.get("cores"), deleted.get("delete")),
        (None, Some("cores"))
    );
    let set = ConfigUpdate::new()
        .delete("cores")
        .unwrap()
        .cores(2)
        .params();
    assert_eq!((set.get("cores"), set.get("delete")), (Some("2"), None));
    let none = ConfigUpdate::new()
        .tags(Vec::<&str>::new())
        .unwrap()
        .params();
    assert_eq!((none.get("tags"), none.get("delete")), (None, Some("tags")));
    for bad in ["", "a,b", "a b", "a;b"] {
        assert!(ConfigUpdate::new().delete(bad).is_err(), "{bad:?}");
    }
    for bad in ["", "a;b", "a b", "-a", "ä"] {
        assert!(ConfigUpdate::new().tags([bad]).is_err(), "{bad:?}");
    }
    for bad in ["", "ssh-rsa A\nssh-rsa B", "x\0"] {
        assert!(ConfigUpdate::new().sshkeys([bad]).is_err(), "{bad:?}");
    }
}
