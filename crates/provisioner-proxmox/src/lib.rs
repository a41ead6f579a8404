//! The direct engine: clones, configures, starts and destroys guests through the PVE API.
