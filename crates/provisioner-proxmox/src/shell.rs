//! Commands inside of guests, by the QEMU guest agent. Who a guest is is looked at before each is begun.

use crate::ProxmoxProvisioner;
use crate::guest::Owner;
use async_trait::async_trait;
use tpm_domain::Server;
use tpm_provisioner::{CommandEnd, GuestShell, ShellError};
use tpm_pve_client::{Error, ErrorClass};

/// The status of an answer to a token that lacks a privilege.
const FORBIDDEN: u16 = 403;

fn said(error: &Error) -> ShellError {
    let text = error.text().to_owned();
    if error.status() == Some(FORBIDDEN) {
        return ShellError::Forbidden(text);
    }
    match error.class() {
        ErrorClass::Busy | ErrorClass::Rejected => ShellError::Silent(text),
        ErrorClass::Auth => ShellError::Forbidden(text),
        ErrorClass::Missing | ErrorClass::Exists | ErrorClass::NotSent | ErrorClass::Ambiguous => {
            ShellError::Unknown(text)
        }
    }
}

#[async_trait]
impl GuestShell for ProxmoxProvisioner {
    async fn begin(&self, server: &Server, command: &[String]) -> Result<i64, ShellError> {
        let unknown = |text: String| ShellError::Unknown(text);
        let found = self.find(server, None).await;
        let found = found.map_err(|error| unknown(error.to_string()))?;
        let Some(found) = found else {
            return Err(unknown(format!("VM {} does not exist", server.vmid)));
        };
        if let Owner::Stranger(both) = self.owner(server, &found.config) {
            return Err(unknown(both));
        }
        let begun = self.client.agent_exec(&found.node, server.vmid.0, command);
        begun.await.map_err(|error| said(&error))
    }

    async fn end(&self, server: &Server, pid: i64) -> Result<Option<CommandEnd>, ShellError> {
        let Some(node) = &server.node else {
            return Err(ShellError::Unknown("on no node".into()));
        };
        let status = self.client.agent_exec_status(&node.0, server.vmid.0, pid);
        let status = status.await.map_err(|error| said(&error))?;
        Ok(status.exited.then_some(CommandEnd {
            exit_code: status.exitcode,
            out: status.out_data,
            err: status.err_data,
        }))
    }
}
