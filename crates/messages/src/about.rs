//! What the service is, in one sentence.

use crate::Lang;

/// For whoever opens the documentation.
#[must_use]
pub fn about(lang: Lang) -> &'static str {
    lang.pick(
        "Proxmox VE 위에 서버를 만들고 관리하는 API입니다.",
        "Provisions and manages servers on Proxmox VE.",
    )
}
