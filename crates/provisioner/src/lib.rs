//! The Provisioner port: durable steps that make, change and destroy servers.
