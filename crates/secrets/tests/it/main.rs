//! Vault as a store of secrets, held against a real OpenBao.

#[expect(unreachable_pub, reason = "shared with whoever else needs one")]
#[path = "../../../test-support/src/bao.rs"]
mod bao;
mod hvac;
mod kv;
mod login;
mod peer;
mod reach;
mod sealed;
mod standby;
