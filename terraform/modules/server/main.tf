resource "proxmox_virtual_environment_vm" "this" {
  name        = var.name
  vm_id       = var.vm_id
  node_name   = var.node_name
  description = var.description
  tags        = var.tags
  started     = var.started
  on_boot     = var.on_boot

  # A guest that is changed keeps running; what needs a restart waits for one.
  reboot_after_update = false
  stop_on_destroy     = true

  dynamic "clone" {
    for_each = var.template[*]

    content {
      vm_id        = clone.value.vm_id
      node_name    = clone.value.node_name
      full         = var.full_clone
      datastore_id = var.full_clone ? var.disk.storage : null
    }
  }

  agent {
    enabled = var.agent
    timeout = var.agent_timeout
  }

  cpu {
    cores   = var.cores
    sockets = var.sockets
    type    = var.cpu_type
  }

  memory {
    dedicated = var.memory_mb
  }

  disk {
    interface    = var.disk.interface
    datastore_id = var.disk.storage
    size         = var.disk.size_gb
    cache        = var.disk.cache
    discard      = var.disk.discard
    iothread     = var.disk.iothread
    ssd          = var.disk.ssd
  }

  dynamic "network_device" {
    for_each = var.networks

    content {
      bridge      = network_device.value.bridge
      model       = network_device.value.model
      vlan_id     = network_device.value.vlan
      mac_address = network_device.value.mac_address
      firewall    = network_device.value.firewall
    }
  }

  dynamic "initialization" {
    for_each = var.cloud_init[*]

    content {
      interface    = initialization.value.interface
      datastore_id = initialization.value.storage

      dynamic "dns" {
        for_each = length(initialization.value.dns_servers) > 0 || initialization.value.search_domain != null ? [1] : []

        content {
          servers = initialization.value.dns_servers
          domain  = initialization.value.search_domain
        }
      }

      dynamic "ip_config" {
        for_each = var.networks

        content {
          ipv4 {
            address = coalesce(ip_config.value.address, "dhcp")
            gateway = ip_config.value.gateway
          }
        }
      }

      dynamic "user_account" {
        for_each = initialization.value.user != null || length(initialization.value.ssh_keys) > 0 ? [1] : []

        content {
          username = initialization.value.user
          keys     = initialization.value.ssh_keys
        }
      }
    }
  }

  lifecycle {
    # Where it came from is history; whether it runs is not Terraform's; the rest is the template's affair.
    ignore_changes = [
      clone,
      started,
      bios,
      boot_order,
      hotplug,
      keyboard_layout,
      machine,
      operating_system,
      scsi_hardware,
      serial_device,
      tablet_device,
      vga,
    ]
  }
}
