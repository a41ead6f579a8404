//! One guest against what its client was told: pure functions over the cluster's own account.

use super::book::{Network, Told};
use super::installation::MARK;
use tpm_pve_simulator::GuestView;

/// The server's number in the mark on a guest.
pub(crate) fn marked_for(guest: &GuestView) -> Option<i64> {
    let line = guest
        .description
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix(MARK))?;
    let word = line.split(' ').find_map(|word| word.strip_prefix("s="))?;
    word.parse().ok()
}

/// Whether somebody's clone is not finished.
pub(crate) fn is_locked_by_clone(guest: &GuestView) -> bool {
    guest.config.get("lock").is_some_and(|lock| lock == "clone")
}

/// The fixed address that a guest is configured with.
pub(crate) fn address(guest: &GuestView) -> Option<&str> {
    let text = guest.config.get("ipconfig0")?;
    let part = text.split(',').find_map(|part| part.strip_prefix("ip="))?;
    let address = part.split('/').next()?;
    (address != "dhcp").then_some(address)
}

/// Whether an address is one that was asked for.
fn is_wished(network: &Network, address: &str) -> bool {
    match network {
        Network::Pool => address.starts_with("10.64."),
        Network::Fixed(wanted) => wanted == address,
        Network::Range(stem, first, last) => address
            .strip_prefix(stem.as_str())
            .and_then(|rest| rest.strip_prefix('.'))
            .and_then(|rest| rest.parse::<u8>().ok())
            .is_some_and(|n| (*first..=*last).contains(&n)),
    }
}

/// What is wrong with the guest of a server that was made.
pub(crate) fn wrong_with(told: &Told, guest: Option<&GuestView>) -> Vec<String> {
    if told.by_hand.destroyed || told.by_hand.replaced {
        return Vec::new();
    }
    let Some(guest) = guest else {
        return vec!["there is no guest".into()];
    };
    let mut wrong = Vec::new();
    let option = |key: &str| guest.config.get(key).map_or("", String::as_str);
    let mut want = |what: &str, wanted: &str, found: &str| {
        if wanted != found {
            wrong.push(format!("{what} is {found:?}, not {wanted:?}"));
        }
    };
    let wish = &told.wish;
    let id = told.id.to_string();
    let marked = marked_for(guest).map(|id| id.to_string());
    want("mark", &id, marked.as_deref().unwrap_or("none"));
    want("cores", &wish.cpu.to_string(), option("cores"));
    want("memory", &wish.memory.to_string(), option("memory"));
    want("lock", "", option("lock"));
    if !told.by_hand.renamed {
        want("name", &wish.name, &guest.name);
    }
    if let (Some(power), false) = (told.power, told.by_hand.switched) {
        want("power", power, &guest.status);
    }
    let told_address = told.address.as_deref().unwrap_or_default();
    want("address", told_address, address(guest).unwrap_or_default());
    let size = format!("size={}G", wish.disk);
    if !option("scsi0").split(',').any(|part| part == size) {
        wrong.push(format!("disk is {:?}, not {size}", option("scsi0")));
    }
    if !is_wished(&wish.network, told_address) {
        wrong.push(format!("{told_address:?} is none of {:?}", wish.network));
    }
    wrong
}
