//! The settings file of a stack.

use super::{Plan, TOKEN};
use serde_json::Value;
use std::path::Path;

/// The network is the one of the API reference's examples, so that they work as they stand.
///
/// `public` is the address of the proxy in front, when there is one.
pub(super) fn text(plan: &Plan, endpoint: &str, ca: &Path, public: Option<&str>) -> String {
    let proxies = if public.is_some() { "127.0.0.1" } else { "" };
    let text = |value: &str| Value::from(value).to_string();
    format!(
        "# Written anew at every start by `cargo xtask`.\n\
         data_dir = {data}\n\
         \n[api]\nlisten = {api}\npublic_url = {public}\ndrain_secs = 0\n\
         trusted_proxies = {proxies}\n\
         \n[proxmox]\nendpoints = [{endpoint}]\ntoken_id = {token}\nca_file = {ca}\n\
         \n[network]\npool = \"192.168.0.21-192.168.0.250\"\nprefix = 24\n\
         gateway = \"192.168.0.1\"\n\n{more}",
        more = plan.stage.as_ref().map_or("", |stage| &stage.settings),
        data = text(&plan.folder.to_string_lossy()),
        api = text(plan.api),
        proxies = text(proxies),
        public = text(public.unwrap_or_default()),
        endpoint = text(endpoint),
        token = text(TOKEN.0),
        ca = text(&ca.to_string_lossy()),
    )
}
