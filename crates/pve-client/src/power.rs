//! Turning guests on and off. Every call starts a task, and most refusals come from the task.

use crate::{
    client::Client,
    error::Error,
    params::{Method, Params, guest_path},
    task::Upid,
};

impl Client {
    async fn power(
        &self,
        node: &str,
        vmid: u32,
        what: &str,
        params: Params,
    ) -> Result<Upid, Error> {
        self.task(
            Method::Post,
            guest_path(node, vmid, &["status", what])?,
            params,
        )
        .await
    }

    /// Starts a guest. A missing, running or locked one fails in the task.
    ///
    /// # Errors
    /// As every call.
    pub async fn start(&self, node: &str, vmid: u32) -> Result<Upid, Error> {
        self.power(node, vmid, "start", Params::new()).await
    }

    /// Asks the guest to shut down and waits in the task, PVE's 60 s or `timeout_secs`; with `force_stop`
    /// it is killed after that. A stopped guest is no error.
    ///
    /// # Errors
    /// As every call.
    pub async fn shutdown(
        &self,
        node: &str,
        vmid: u32,
        timeout_secs: Option<u32>,
        force_stop: bool,
    ) -> Result<Upid, Error> {
        let params = Params::new()
            .maybe("timeout", timeout_secs)
            .flag("forceStop", force_stop);
        self.power(node, vmid, "shutdown", params).await
    }

    /// Pulls the plug. A stopped guest is no error. A start within about two seconds may run into the
    /// lock of PVE's own cleanup.
    ///
    /// # Errors
    /// As every call.
    pub async fn stop(&self, node: &str, vmid: u32) -> Result<Upid, Error> {
        self.power(node, vmid, "stop", Params::new()).await
    }

    /// Shuts the guest down and starts it again, which applies pending changes.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Rejected`] when it does not run.
    pub async fn reboot(
        &self,
        node: &str,
        vmid: u32,
        timeout_secs: Option<u32>,
    ) -> Result<Upid, Error> {
        let params = Params::new().maybe("timeout", timeout_secs);
        self.power(node, vmid, "reboot", params).await
    }

    /// Presses the reset button. Pending changes stay pending.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Rejected`] when it does not run.
    pub async fn reset(&self, node: &str, vmid: u32) -> Result<Upid, Error> {
        self.power(node, vmid, "reset", Params::new()).await
    }
}
