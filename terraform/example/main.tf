# One server by the command line alone. The provider reads its endpoint and token from the environment:
#   export PROXMOX_VE_ENDPOINT=https://pve1.example:8006
#   export PROXMOX_VE_API_TOKEN='tpm@pve!manager=…'
terraform {
  required_version = ">= 1.9.0"

  required_providers {
    proxmox = {
      source  = "bpg/proxmox"
      version = "0.111.1"
    }
  }
}

provider "proxmox" {}

module "server" {
  source = "../modules/server"

  name      = "web-01"
  vm_id     = 4001
  node_name = "pve1"
  tags      = ["web"]

  template = {
    vm_id     = 9000
    node_name = "pve1"
  }

  cores     = 2
  memory_mb = 2048

  disk = {
    interface = "scsi0"
    storage   = "ceph"
    size_gb   = 20
  }

  networks = [{
    bridge  = "vmbr0"
    address = "192.168.77.41/24"
    gateway = "192.168.77.1"
  }]

  cloud_init = {
    storage     = "ceph"
    user        = "ubuntu"
    dns_servers = ["192.168.77.1"]
  }
}

output "server" {
  value = module.server
}
