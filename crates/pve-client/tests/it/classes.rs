//! Every class of failure, by the texts of a real host and those known from PVE's sources.

use tpm_pve_client::{
    Access::{Read, Write},
    ErrorClass::{self, Ambiguous, Auth, Busy, Exists, Missing, NotSent, Rejected},
    Origin, TaskStatus, classify,
};

#[track_caller]
fn check(origin: Origin, status: Option<u16>, text: &str, class: ErrorClass) {
    assert_eq!(
        classify(origin, status, text),
        class,
        "{origin:?} {status:?} {text:?}"
    );
}

/// Texts that mean the same whether they come as an answer or as the end of a task.
const TEXTS: &[(ErrorClass, &str)] = &[
    (NotSent, "got no worker upid - start worker failed"),
    (
        Busy,
        "can't lock file '/var/lock/qemu-server/lock-140.conf' - got timeout",
    ),
    (
        Busy,
        "can't lock file '/var/lock/pve-manager/pve-storage-local-lvm' - got timeout",
    ),
    (
        Busy,
        "can't acquire lock '/var/run/vzdump.lock' - got timeout",
    ),
    (
        Busy,
        "cfs-lock 'storage-ceph' error: got lock request timeout",
    ),
    (
        Busy,
        "clone failed: unable to create image: cfs-lock 'storage-ceph' error: got lock request timeout",
    ),
    (Busy, "cfs-lock 'file-user_cfg' error: no quorum!"),
    (Busy, "cluster not ready - no quorum?"),
    (Busy, "VM is locked (backup)"),
    (Busy, "VM is locked (clone)"),
    (Busy, "CT is locked (snapshot)"),
    (Busy, "trying to get global lock - waiting..."),
    (Busy, "QEMU guest agent is not running"),
    (
        Missing,
        "Configuration file 'nodes/pve/qemu-server/999.conf' does not exist",
    ),
    (
        Missing,
        "Configuration file 'nodes/pve/lxc/200.conf' does not exist",
    ),
    (
        Missing,
        "unable to find configuration file for VM 999 on node 'pve'",
    ),
    (
        Exists,
        "unable to create VM 101: config file already exists",
    ),
    (
        Exists,
        "unable to create VM 100 - VM 100 already exists on node 'pve'",
    ),
    (
        Exists,
        "unable to create VM 105 - CT 105 already exists on node 'pve'",
    ),
    (
        Exists,
        "unable to restore VM 101 - VM 101 already exists on node 'pve'",
    ),
    (
        Exists,
        "atomic file '/etc/pve/nodes/pve1/qemu-server/105.conf' failed: File exists",
    ),
    (
        Exists,
        "create user failed: user 'tester@pve' already exists",
    ),
    (Exists, "snapshot name 's1' already used"),
    (
        Exists,
        "refusing to override existing file '/var/lib/vz/template/iso/x.iso'",
    ),
    (Rejected, "shrinking disks is not supported"),
    (Rejected, "storage 'nosuch' does not exist"),
    (
        Rejected,
        "could not activate storage 'nosuch': storage 'nosuch' does not exist could not get storage information for 'nosuch': storage 'nosuch' does not exist",
    ),
    (Rejected, "storage 'x' is disabled"),
    (Rejected, "storage 'x' is not available on node 'pve'"),
    (Rejected, "disk 'scsi5' does not exist"),
    (Rejected, "snapshot 'nope' does not exist"),
    (Rejected, "bridge 'vmbr9' does not exist"),
    (
        Rejected,
        "volume 'local:backup/vzdump-qemu-777-2026_01_01-00_00_00.vma.zst' does not exist",
    ),
    (Rejected, "not enough space for thin volume"),
    (Rejected, "write error: No space left on device"),
    (
        Rejected,
        "base volume 'local:9000/base-9000-disk-0.qcow2' is still in use by linked cloned",
    ),
    (
        Rejected,
        "base volume 'local:9000/base-9000-disk-0.qcow2' is still in use by linked clones",
    ),
    (Rejected, "can't remove VM 102 - protection mode enabled"),
    (
        Rejected,
        "cannot remove protected volume 'backup/vzdump-qemu-101.vma.zst' on 'local'",
    ),
    (Rejected, "VM 100 is running - destroy failed"),
    (Rejected, "unable to restore VM 100 - vm is running"),
    (Rejected, "you can't start a vm if it's a template"),
    (Rejected, "you can't convert a template to a template"),
    (
        Rejected,
        "you can't convert a VM to template if VM is running",
    ),
    (
        Rejected,
        "unable to create template, because VM contains snapshots",
    ),
    (Rejected, "snapshot feature is not available"),
    (
        Rejected,
        "Linked clone feature is not supported for 'local:100/vm-100-disk-0.raw' (scsi0)",
    ),
    (
        Rejected,
        "parameter 'storage' not allowed for linked clones",
    ),
    (
        Rejected,
        "can't clone VM to node 'x' (VM uses local storage)",
    ),
    (Rejected, "can't migrate running VM without --online"),
    (Rejected, "no such cluster node 'nosuch'"),
    (
        Rejected,
        "hostname lookup 'nosuch' failed - failed to get address info for: nosuch: Name or service not known",
    ),
    (Rejected, "no such file '/nosuch'"),
    (Rejected, "no options specified"),
    (Rejected, "SSH public key validation error"),
    (Rejected, "No QEMU guest agent configured"),
    (Rejected, "VM 100 is not running"),
    (Rejected, "VM 100 not running"),
    (Rejected, "only root can set 'lock' config"),
    (
        Rejected,
        "unable to remove VM 100 - used in HA resources and purge parameter not set.",
    ),
    (
        Rejected,
        "malformed JSON string, neither tag, array, object, number, string or atom, at character offset 10 (before \"(end of string)\") at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 934.",
    ),
    (
        Rejected,
        "could not load supported machine versions - can't open '/usr/share/kvm/machine-versions-x86_64.json' - No such file or directory",
    ),
    (Ambiguous, "checksum mismatch (file change by other user?)"),
    (
        Ambiguous,
        "detected modified configuration - file changed by other user? Try again.",
    ),
    (Ambiguous, "received interrupt"),
    (Ambiguous, "clone failed: interrupted by signal"),
    (Ambiguous, "unexpected status"),
    (Ambiguous, "job errors"),
    (Ambiguous, "VM 140 already running"),
    (Ambiguous, "VM quit/powerdown failed - got timeout"),
    (Ambiguous, "start failed: QEMU exited with code 1"),
    (
        Ambiguous,
        "'storage-ceph'-locked command timed out - aborting",
    ),
    (
        Ambiguous,
        "VM 100 qga command 'guest-get-osinfo' failed - got timeout",
    ),
    (
        Ambiguous,
        "ipcc_send_rec[1] failed: Transport endpoint is not connected",
    ),
    (Ambiguous, "a text nobody has seen yet"),
    (Ambiguous, ""),
];

#[test]
fn texts_mean_the_same_in_answers_and_tasks() {
    for (class, text) in TEXTS {
        check(Origin::Task, None, text, *class);
        for access in [Read, Write] {
            check(Origin::Http(access), Some(500), text, *class);
            check(
                Origin::Http(access),
                Some(500),
                &format!("{text}\n"),
                *class,
            );
        }
    }
}

#[test]
fn phases_decide_before_texts() {
    for (_, text) in TEXTS {
        for status in [None, Some(200), Some(500)] {
            check(Origin::Request, status, text, Rejected);
            check(Origin::Connect, status, text, NotSent);
            check(Origin::Tls, status, text, NotSent);
            check(Origin::Transport(Read), status, text, NotSent);
            check(Origin::Transport(Write), status, text, Ambiguous);
            check(Origin::Reply(Read), status, text, Ambiguous);
            check(Origin::Reply(Write), status, text, Ambiguous);
        }
    }
}

#[test]
fn some_statuses_decide_before_texts() {
    for (_, text) in TEXTS {
        for access in [Read, Write] {
            check(Origin::Http(access), Some(401), text, Auth);
            check(Origin::Http(access), Some(403), text, Rejected);
            check(Origin::Http(access), Some(595), text, NotSent);
            check(Origin::Http(access), Some(302), text, Rejected);
            check(Origin::Http(access), Some(429), text, Busy);
        }
        for status in 596..=599 {
            check(Origin::Http(Read), Some(status), text, NotSent);
            check(Origin::Http(Write), Some(status), text, Ambiguous);
        }
    }
}

#[test]
fn a_parameter_error_is_rejected_unless_its_text_says_more() {
    let lead = "Parameter verification failed.";
    let rows = [
        (Rejected, "vmid: type check ('integer') failed - got 'abc'"),
        (Rejected, "upid: unable to parse worker upid"),
        (Rejected, "skiplock: Only root may use this option."),
        (Rejected, "storage: storage 'x' does not support vm images"),
        (Exists, "vmid: VM 9000 already exists"),
        // some of the change was made
        (
            Ambiguous,
            "scsi2: hotplug problem - error on hot-unplugging device, still busy in guest?",
        ),
        // the outcome of that task is lost
        (Ambiguous, "upid: no such task"),
    ];
    for (class, field) in rows {
        check(
            Origin::Http(Write),
            Some(400),
            &format!("{lead}; {field}"),
            class,
        );
    }
    check(Origin::Http(Write), Some(400), lead, Rejected);
    // the text was lost on the way, and with it the meaning
    for text in ["", "Bad Request"] {
        check(Origin::Http(Write), Some(400), text, Ambiguous);
        check(Origin::Http(Read), Some(400), text, Rejected);
    }
}

#[test]
fn what_the_server_has_no_code_for_is_rejected() {
    let rows = [
        (501, "Method 'GET /nosuch' not implemented"),
        (501, "for data too large"),
        (501, "chunked transfer encoding not supported"),
        (506, "upload 'Content-Type 'text/plain' not implemented"),
        (404, "Not Found"),
        (405, "Method Not Allowed"),
    ];
    for (status, text) in rows {
        check(Origin::Http(Write), Some(status), text, Rejected);
    }
    for status in [500, 502, 503, 504] {
        check(
            Origin::Http(Write),
            Some(status),
            "proxy trouble",
            Ambiguous,
        );
    }
}

#[test]
fn no_status_makes_a_write_safe_to_repeat_but_those_that_say_so() {
    for status in 100..=999 {
        let class = classify(
            Origin::Http(Write),
            Some(status),
            "a text nobody has seen yet",
        );
        assert_eq!(class == NotSent, status == 595, "{status}");
        assert_eq!(class == Auth, status == 401, "{status}");
    }
}

#[test]
fn a_failed_task_is_an_error_with_a_class() {
    for (class, text) in TEXTS {
        let error = TaskStatus::from_exit(text).error().expect("a failure");
        assert_eq!(error.class(), *class, "{text}");
        assert_eq!(error.status(), None);
    }
    assert!(TaskStatus::from_exit("OK").error().is_none());
    assert!(TaskStatus::from_exit("WARNINGS: 1").error().is_none());
}
