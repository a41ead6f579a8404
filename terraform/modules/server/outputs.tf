output "vm_id" {
  description = "VMID of the guest."
  value       = proxmox_virtual_environment_vm.this.vm_id
}

output "node_name" {
  description = "Node that the guest is on."
  value       = proxmox_virtual_environment_vm.this.node_name
}

output "mac_addresses" {
  description = "MAC addresses, in the order of the interfaces."
  value       = [for n in proxmox_virtual_environment_vm.this.network_device : n.mac_address]
}
