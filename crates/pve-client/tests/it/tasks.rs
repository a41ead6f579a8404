//! Task ids and how tasks end.

use proptest::prelude::*;
use tpm_pve_client::{TaskStatus, Upid};

#[test]
fn a_task_id_comes_apart() {
    let text = "UPID:pve-mp:00000ACD:000106AE8:679A423B:qmclone:112:capmox@pve!capi:";
    let upid: Upid = text.parse().unwrap();
    assert_eq!(upid.to_string(), text);
    assert_eq!(
        (upid.node.as_str(), upid.pid, upid.pstart),
        ("pve-mp", 0xACD, 0x106AE8)
    );
    assert_eq!(
        (upid.starttime, upid.kind.as_str()),
        (0x679A423B, "qmclone")
    );
    assert_eq!(
        (upid.id.as_str(), upid.user.as_str()),
        ("112", "capmox@pve!capi")
    );
    let upload: Upid = "UPID:pve:00000ACD:00006AE8:679A423B:imgcopy::root@pam:"
        .parse()
        .unwrap();
    assert_eq!(upload.id, "");
}

#[test]
fn what_is_not_a_task_id_is_refused() {
    for bad in [
        "",
        "OK",
        "UPID:pve:00000ACD:00006AE8:679A423B:qmclone:112:root@pam",
        "UPID:pve:00000ACD:00006AE8:679A423B:qmclone:112:root@pam::",
        "UPID:pve:0000ACD:00006AE8:679A423B:qmclone:112:root@pam:",
        "UPID:pve:00000ACD:6AE8:679A423B:qmclone:112:root@pam:",
        "UPID:pve:00000ACD:0000006AE8:679A423B:qmclone:112:root@pam:",
        "UPID:pve:+0000ACD:00006AE8:679A423B:qmclone:112:root@pam:",
        "UPID:pve:00000ACG:00006AE8:679A423B:qmclone:112:root@pam:",
        "UPID::00000ACD:00006AE8:679A423B:qmclone:112:root@pam:",
        "UPID:-a:00000ACD:00006AE8:679A423B:qmclone:112:root@pam:",
        "UPID:a_b:00000ACD:00006AE8:679A423B:qmclone:112:root@pam:",
        "UPID:pve:00000ACD:00006AE8:679A423B::112:root@pam:",
        "UPID:pve:00000ACD:00006AE8:679A423B:qmclone:112::",
        "UPID:pve:00000ACD:00006AE8:679A423B:qmclone:1/2:root@pam:",
        "UPID:pve:00000ACD:00006AE8:679A423B:qmclone:1 2:root@pam:",
        "UPID:pve:00000ACD:00006AE8:679A423B:qmclone:112:root@pam:\n",
    ] {
        assert!(bad.parse::<Upid>().is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn reading_a_task_id_never_panics(text in "\\PC*|UPID(:[0-9A-Fa-f/@!a-z]{0,9}){0,9}") {
        if let Ok(upid) = text.parse::<Upid>() {
            prop_assert_eq!(upid.as_str(), text);
        }
    }
}

#[test]
fn exit_texts() {
    assert_eq!(TaskStatus::from_exit("OK"), TaskStatus::Ok);
    assert_eq!(
        TaskStatus::from_exit("WARNINGS: 3"),
        TaskStatus::Warnings(3)
    );
    assert_eq!(
        TaskStatus::from_exit("a\n b\n"),
        TaskStatus::Failed("a b".to_owned())
    );
    assert!(!TaskStatus::from_exit("").is_success());
    assert!(!TaskStatus::from_exit("WARNINGS: many").is_success());
    assert!(TaskStatus::Warnings(1).is_success() && TaskStatus::Warnings(1).is_finished());
    assert!(!TaskStatus::Running.is_finished() && !TaskStatus::Running.is_success());
}
