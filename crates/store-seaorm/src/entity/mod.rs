//! The tables as SeaORM entities. Never seen outside of this crate.
#![expect(unreachable_pub, reason = "SeaORM's derive demands `pub` items")]

pub(crate) mod alerts;
pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod backups;
pub(crate) mod channels;
pub(crate) mod deliveries;
pub(crate) mod drills;
pub(crate) mod events;
pub(crate) mod exporters;
pub(crate) mod foreign_addresses;
pub(crate) mod login_throttle;
pub(crate) mod logs;
pub(crate) mod networks;
pub(crate) mod nodes;
pub(crate) mod notification_marks;
pub(crate) mod notifications;
pub(crate) mod projects;
pub(crate) mod reservations;
pub(crate) mod roles;
pub(crate) mod schedules;
pub(crate) mod server_figures;
pub(crate) mod servers;
pub(crate) mod sessions;
pub(crate) mod steps;
pub(crate) mod storages;
pub(crate) mod tasks;
pub(crate) mod templates;
pub(crate) mod users;
